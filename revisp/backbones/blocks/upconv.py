"""Upsampling by nearest neighbour, then a convolution."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from revisp.backbones.blocks.basic import ConvNormAct

__all__ = ["UpConv"]


class UpConv(ConvNormAct):
    """Doubling by nearest neighbour, then a `ConvNormAct`: ``[B, in, h, w]`` to ``[B, out, 2h, 2w]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve."""
        enlarged: Tensor = super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return enlarged
