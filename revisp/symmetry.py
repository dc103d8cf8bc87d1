"""The eight symmetries of a picture, and their effect on the Bayer phase of a mosaic.

They turn a RAW upright, register a mirrored sensor to its JPEG, and augment crops. A flip changes the colour of
every photosite of a mosaic. A shift by one row or column also changes the phase. So for each symmetry there is one
window, shifted by at most one pixel, that has the wanted phase after the flip.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.cfa import CFA

__all__ = ["SYMMETRIES", "Symmetry"]


class Symmetry(NamedTuple):
    """A left-right mirror, then a top-bottom mirror, then an exchange of rows and columns, each done or not.

    Example:
        >>> import torch
        >>> from revisp.cfa import CFA
        >>> mirror = Symmetry(hflip=True)
        >>> mirror.apply(torch.tensor([[1, 2], [3, 4]])).tolist(), mirror.phase_after(CFA.RGGB, 2, 2).value
        ([[2, 1], [4, 3]], 'GRBG')
    """

    hflip: bool = False
    vflip: bool = False
    transpose: bool = False

    @classmethod
    def of_orientation(cls, orientation: int) -> Symmetry:
        """Return the symmetry that turns a picture of an EXIF orientation upright; the identity outside 1 to 8."""
        return _UPRIGHT.get(orientation, cls())

    def apply(self, x: Tensor) -> Tensor:
        """Transform the last two axes of ``[..., H, W]``."""
        axes = [axis for axis, flip in ((-1, self.hflip), (-2, self.vflip)) if flip]
        x = x.flip(axes) if axes else x
        return x.transpose(-2, -1) if self.transpose else x

    def phase_after(self, cfa: CFA, height: int, width: int) -> CFA:
        """Return the phase of a mosaic ``height`` x ``width`` of phase ``cfa`` after `apply`."""
        cfa = cfa.hflip(width) if self.hflip else cfa
        cfa = cfa.vflip(height) if self.vflip else cfa
        return cfa.transpose() if self.transpose else cfa

    def window_offset(self, cfa: CFA, size: int, target: CFA | None = None) -> tuple[int, int]:
        """Return the shift (rows, columns), each 0 or 1, of a square window that begins at phase ``cfa``.

        After the shift, `apply` turns the window of ``size`` x ``size`` pixels into one of phase ``target``.

        Args:
            cfa: phase at the window's first pixel.
            size: side of the window in pixels.
            target: wanted phase; None takes ``cfa``.
        """
        return _window_offset(self, cfa, size, cfa if target is None else target)


@cache
def _window_offset(symmetry: Symmetry, cfa: CFA, size: int, target: CFA) -> tuple[int, int]:
    return next(
        (rows, columns)
        for rows in (0, 1)
        for columns in (0, 1)
        if symmetry.phase_after(cfa.crop(rows, columns), size, size) is target
    )


SYMMETRIES = tuple(Symmetry(h, v, t) for h in (False, True) for v in (False, True) for t in (False, True))
"""All eight, the identity first."""

_UPRIGHT = {
    2: Symmetry(hflip=True),
    3: Symmetry(hflip=True, vflip=True),
    4: Symmetry(vflip=True),
    5: Symmetry(transpose=True),
    6: Symmetry(vflip=True, transpose=True),
    7: Symmetry(hflip=True, vflip=True, transpose=True),
    8: Symmetry(hflip=True, transpose=True),
}
