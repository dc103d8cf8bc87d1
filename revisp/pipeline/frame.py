"""The frame around a photo that brings it to a size that networks take."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.backbones.base import BackboneSpec
from revisp.padding import next_multiple, reflect_pad
from revisp.pipeline.reconstruction import MINIMUM_SIZE

__all__ = ["PaddedFrame", "Padding"]

Padding = Literal["reflect", "ones4"]


class PaddedFrame:
    """Pads photos for networks, and says where the photo lies in the result.

    Args:
        spec: the networks.
        padding: ``"reflect"``: below and to the right; ``"ones4"``: four pixels of constant 1 on each side, and
            more below and to the right.

    Attributes:
        margin: rows above the photo, and columns on its left.
    """

    def __init__(self, spec: BackboneSpec, padding: Padding) -> None:
        self.spec = spec
        self.margin = 4 if padding == "ones4" else 0

    def put_around(self, x: Tensor) -> Tensor:
        """Return ``x``, ``[B, C, H, W]``, in its frame."""
        margin = self.margin
        height, width = (self._allowed(size + 2 * margin) for size in x.shape[-2:])
        down, right = height - x.shape[-2] - margin, width - x.shape[-1] - margin
        if margin:
            return F.pad(x, (margin, right, margin, down), value=1.0)
        return reflect_pad(x, 0, down, 0, right)

    def shift(self, span: slice) -> slice:
        """Return where rows, or columns, of the photo lie in the frame."""
        return slice(self.margin + span.start, self.margin + span.stop)

    def cut_out(self, y: Tensor, height: int, width: int) -> Tensor:
        """Return the photo's part of ``[B, C, H, W]`` of the frame's size."""
        return y[..., self.margin : self.margin + height, self.margin : self.margin + width]

    def cut_out_planes(self, y: Tensor, height: int, width: int) -> Tensor:
        """Return the photo's part of planes of half the frame's size; of an odd photo without its last row."""
        margin, height, width = self.margin // 2, height // 2, width // 2
        return y[..., margin : margin + height, margin : margin + width]

    def _allowed(self, size: int) -> int:
        """Return the least size from ``size`` up that the networks take."""
        multiple, least = self.spec.multiple_of, self.spec.min_size
        allowed = next_multiple(size, multiple)
        if least <= next_multiple(MINIMUM_SIZE, multiple):
            return allowed
        at_least = torch.sym_max(allowed, next_multiple(least, multiple))  # also where an export leaves sizes open
        return cast("int", at_least)
