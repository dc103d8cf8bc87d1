"""A 3x3 convolution whose borders mirror the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ReflectConv", "mirror_border"]


def mirror_border(x: Tensor) -> Tensor:
    """Add a border of one pixel that mirrors the image about its outermost pixels, which are not repeated.

    The result equals ``torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")``, but its gradient is
    deterministic on a GPU too.

    Args:
        x: ``[..., H, W]``, H and W at least 2.

    Returns:
        ``[..., H + 2, W + 2]``.
    """
    x = torch.cat([x[..., 1:2, :], x, x[..., -2:-1, :]], dim=-2)
    return torch.cat([x[..., 1:2], x, x[..., -2:-1]], dim=-1)


class ReflectConv(nn.Conv2d):
    """3x3 convolution with bias and mirrored borders: ``[B, in, H, W]`` to ``[B, out, H, W]``, H and W at least 2.

    Weights start by He's rule for ReLU (arXiv 1502.01852); the bias starts at zero.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``[B, in, H, W]``: ``[B, out, H, W]``."""
        return super().forward(mirror_border(x))
