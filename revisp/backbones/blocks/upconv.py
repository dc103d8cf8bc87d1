"""Upsampling by nearest neighbour, then a convolution."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from revisp.backbones.blocks.basic import ConvNormAct
from revisp.backbones.blocks.join import join

__all__ = ["UpConv", "interleave", "phase_weights"]


class UpConv(ConvNormAct):
    """Doubling by nearest neighbour, then a `ConvNormAct`: ``[B, in, h, w]`` to ``[B, out, 2h, 2w]``.

    In training both are one convolution of the small picture, of four ninths of the arithmetic (`phase_weights`).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve."""
        conv: nn.Conv2d = self.conv  # type: ignore[assignment]
        if self.training:
            assert conv.bias is not None
            phases = F.conv2d(x, phase_weights(conv.weight), conv.bias.repeat(4), padding=1)
            convolved = cast("Tensor", _Interleave.apply(phases))
        else:
            convolved = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        enlarged: Tensor = self.get_submodule("act")(self.get_submodule("norm")(convolved))
        return enlarged

    def append_to(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return a skip connection ``[B, C, 2h, 2w]`` with the result for ``x`` as further channels."""
        return join(skip, self(x))


def phase_weights(weight: Tensor) -> Tensor:
    """Return the 2x2 weights that do on a small picture what 3x3 weights do on the doubled one.

    After doubling by nearest neighbour, at most four of the nine pixels under a 3x3 convolution differ. So at each
    of the four positions in a 2x2 block the result is a 2x2 convolution of the small picture. Its weights are sums
    of the 3x3 weights.

    Args:
        weight: ``[out, in, 3, 3]``.

    Returns:
        ``[4 * out, in, 2, 2]``, first all channels of the upper left position, then those of the upper right, the
        lower left and the lower right one. With a padding of 1, the position in row i and column j of a block is
        found i rows and j columns further on.
    """
    rows = _pair_sums(weight, 2)
    return torch.cat([part for row in rows for part in _pair_sums(row, 3)])


def _pair_sums(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Sum three taps along an axis to two taps, for the first and for the second pixel of a doubled pair."""
    first, middle, last = weight.unbind(axis)
    return torch.stack([first, middle + last], axis), torch.stack([first + middle, last], axis)


def interleave(phases: Tensor, joined: Tensor) -> None:
    """Copy the four positions ``[B, 4 * out, h + 1, w + 1]`` of `phase_weights` into ``[B, out, 2h, 2w]``."""
    for inside, found in zip(_positions(joined), _found(phases), strict=True):
        inside.copy_(found)


class _Interleave(torch.autograd.Function):
    """Join the four positions ``[B, 4 * out, h + 1, w + 1]`` to ``[B, out, 2h, 2w]``, channels last.

    The gradient is written once. That of slices would fill a tensor of zeros for each position and add them up.
    """

    @staticmethod
    def forward(ctx: Any, phases: Tensor) -> Tensor:
        batch, channels, height, width = phases.shape
        size = (batch, channels // 4, 2 * height - 2, 2 * width - 2)
        joined = torch.empty(size, dtype=phases.dtype, device=phases.device, memory_format=torch.channels_last)
        interleave(phases, joined)
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        batch, channels, height, width = gradient.shape
        phases = gradient.new_zeros(batch, height // 2 + 1, width // 2 + 1, 4 * channels).permute(0, 3, 1, 2)
        for inside, found in zip(_positions(gradient), _found(phases), strict=True):
            found.copy_(inside)
        return phases


def _positions(joined: Tensor) -> list[Tensor]:
    """Return the four positions of ``[B, out, 2h, 2w]``, each ``[B, out, h, w]``, without copying."""
    return [joined[..., row::2, column::2] for row in range(2) for column in range(2)]


def _found(phases: Tensor) -> list[Tensor]:
    """Return where `phase_weights` puts the four positions in ``[B, 4 * out, h + 1, w + 1]``, without copying."""
    height, width = phases.shape[-2] - 1, phases.shape[-1] - 1
    upper_left, upper_right, lower_left, lower_right = phases.chunk(4, dim=1)
    return [
        upper_left[..., :height, :width],
        upper_right[..., :height, 1:],
        lower_left[..., 1:, :width],
        lower_right[..., 1:, 1:],
    ]
