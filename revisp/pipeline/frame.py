"""The padding around a photo that gives it a size that networks take."""

from __future__ import annotations

from collections.abc import Callable
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
    """Pad photos for networks, and find the photo's position in the result.

    Args:
        spec: size contract of the networks.
        padding: ``"reflect"``: below and to the right; ``"ones4"``: four pixels of constant 1 on each side, and
            more below and to the right.

    Attributes:
        margin: padded rows above the photo, and padded columns on its left.
        pad: adds mirrored rows below and columns to the right; an export takes `append_mirrored`.
    """

    def __init__(self, spec: BackboneSpec, padding: Padding) -> None:
        self.spec = spec
        self.margin = 4 if padding == "ones4" else 0
        self.pad: Callable[[Tensor, int, int], Tensor] = _reflect

    def put_around(self, x: Tensor) -> Tensor:
        """Return ``x``, ``[B, C, H, W]``, with its frame."""
        margin = self.margin
        height, width = (self._allowed(size + 2 * margin) for size in x.shape[-2:])
        down, right = height - x.shape[-2] - margin, width - x.shape[-1] - margin
        if margin:
            return F.pad(x, (margin, right, margin, down), value=1.0)
        return self.pad(x, down, right)

    def shift(self, span: slice) -> slice:
        """Return the rows, or columns, of the frame that hold these rows, or columns, of the photo."""
        return slice(self.margin + span.start, self.margin + span.stop)

    def cut_out(self, y: Tensor, height: int, width: int) -> Tensor:
        """Return the photo's part of ``[B, C, H, W]`` of the frame's size."""
        return y[..., self.margin : self.margin + height, self.margin : self.margin + width]

    def cut_out_planes(self, y: Tensor, height: int, width: int) -> Tensor:
        """Return the photo's part of planes of half the frame's size; an odd photo loses its last line."""
        margin, height, width = self.margin // 2, height // 2, width // 2
        return y[..., margin : margin + height, margin : margin + width]

    def _allowed(self, size: int) -> int:
        """Return the least size from ``size`` up that the networks take."""
        multiple, least = self.spec.multiple_of, self.spec.min_size
        allowed = next_multiple(size, multiple)
        if least <= next_multiple(MINIMUM_SIZE, multiple):
            return allowed
        at_least = torch.sym_max(allowed, next_multiple(least, multiple))  # max, also of an export's open sizes
        return cast("int", at_least)


def _reflect(x: Tensor, down: int, right: int) -> Tensor:
    return reflect_pad(x, 0, down, 0, right)
