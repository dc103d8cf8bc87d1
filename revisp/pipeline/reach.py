"""The reach of a step of the pipeline, and the sizes that it takes. Prediction in tiles needs both."""

from __future__ import annotations

import math
from typing import NamedTuple

from revisp.backbones.base import BackboneSpec
from revisp.refine import BayerRefiner

__all__ = ["Reach"]


class Reach(NamedTuple):
    """The reach of a step, and the tiles that it takes.

    Attributes:
        align: position and size of a tile must be multiples of this, in pixels.
        pixels: farthest distance, in rows or columns, of an input pixel that an output pixel depends on; None if
            that is unknown or the whole photo.
        least: least height and width of a tile in pixels.

    Example:
        >>> from revisp.pipeline import ReverseISP
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 3, "norm": "none"})
        >>> model.reach
        Reach(align=4, pixels=26, least=4)
    """

    align: int
    pixels: int | None
    least: int = 1

    @classmethod
    def of_networks(cls, spec: BackboneSpec) -> Reach:
        """Return the reach of networks. ``align`` is even, since their predictions become a mosaic."""
        known = spec.receptive_field is not None and not spec.global_context
        pixels = (spec.receptive_field - 1) // 2 if known and spec.receptive_field else None
        return cls(math.lcm(2, spec.multiple_of), pixels, spec.min_size)

    @classmethod
    def of_refinement(cls, refine: BayerRefiner) -> Reach:
        """Return the reach of a refinement, on the mosaic."""
        return cls(refine.align, refine.reach)

    def beside(self, pixels: int) -> Reach:
        """Return the reach of this step and of another one on the same input, whose reach is ``pixels``."""
        return self._replace(pixels=None if self.pixels is None else max(self.pixels, pixels))

    def after(self, pixels: int) -> Reach:
        """Return the reach of this step on the result of another one, whose reach is ``pixels``."""
        return self._replace(pixels=None if self.pixels is None else self.pixels + pixels)

    def then(self, other: Reach) -> Reach:
        """Return the reach of this step followed by another one on its result.

        Example:
            >>> Reach(16, 20, 16).then(Reach(4, 9))
            Reach(align=16, pixels=29, least=16)
        """
        known = self.pixels is not None and other.pixels is not None
        return Reach(
            math.lcm(self.align, other.align),
            self.pixels + other.pixels if known else None,  # type: ignore[operator]
            max(self.least, other.least),
        )
