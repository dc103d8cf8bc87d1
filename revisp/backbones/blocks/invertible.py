"""Layers that can be run backwards: the invertible 1x1 convolution of normalizing flows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["InvertibleConv1x1"]


class InvertibleConv1x1(nn.Module):
    r"""Multiply the channels of each pixel by a matrix that stays invertible (Glow, arXiv 1807.03039).

    .. math:: W = P\,L\,(U + \operatorname{diag}(s))

    with a fixed permutation P, L lower triangular with ones on its diagonal, U strictly upper triangular, and s of
    fixed signs. L, U and :math:`\log |s|` are learned: ``channels ** 2`` numbers. It starts as a random rotation.

    Args:
        channels: number of channels.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64, device="cpu"))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.lu = nn.Parameter(torch.empty(channels, channels))
        """L below the diagonal, U above it, :math:`\\log |s|` on it: ``[channels, channels]``."""
        self.register_buffer("permutation", torch.empty(channels, channels))
        self.register_buffer("signs", torch.empty(channels))
        with torch.no_grad():
            self.lu.copy_(lower.tril(-1) + upper.triu(1) + diagonal.abs().log().diag())
            self.permutation.copy_(permutation)
            self.signs.copy_(diagonal.sign())

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``[B, channels, H, W]`` by the matrix."""
        diagonal = torch.diag(self.signs * self.lu.diagonal().exp())
        eye = torch.eye(len(self.lu), dtype=self.lu.dtype, device=self.lu.device)
        weight = self.permutation @ (self.lu.tril(-1) + eye) @ (self.lu.triu(1) + diagonal)
        return F.conv2d(x, weight[..., None, None])

    def inverse(self, x: Tensor) -> Tensor:
        """Multiply ``[B, channels, H, W]`` by the inverse of the matrix."""
        scale = self.signs * (-self.lu.diagonal()).exp()
        upper = _unit_inverse(scale[:, None] * self.lu.triu(1)) * scale
        weight = upper @ _unit_inverse(self.lu.tril(-1)) @ self.permutation.T
        return F.conv2d(x, weight[..., None, None])


def _unit_inverse(strict: Tensor) -> Tensor:
    """Return the inverse of ``1 + strict`` for a strictly triangular matrix, by its finite Neumann series."""
    eye = torch.eye(len(strict), dtype=strict.dtype, device=strict.device)
    inverse = eye
    for _ in range(len(strict) - 1):
        inverse = eye - strict @ inverse
    return inverse
