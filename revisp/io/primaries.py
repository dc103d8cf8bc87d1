"""Convert colours from the chromaticities that a file states to the linear primaries of sRGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["D50", "REC709", "Primaries", "xyz_to_srgb"]

Array = np.ndarray[Any, Any]

_BRADFORD: Array = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to the cone responses of linear Bradford adaptation (ICC.1:2010, annex E)."""


class Primaries(NamedTuple):
    """CIE 1931 chromaticities (x, y) of red, green, blue and white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Primaries | None:
        """Make primaries of eight numbers; return None if they span no colours.

        Adobe Photoshop writes eight zeros into Radiance files, for instance.
        """
        if len(numbers) != 8 or not np.isfinite(numbers).all():
            return None
        pairs = [(float(x), float(y)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        area = np.linalg.det([[x, y, 1] for x, y in pairs[:3]])
        return cls(*pairs) if abs(area) > 1e-3 and pairs[3][1] > 0 else None

    def to_xyz(self) -> Array:
        """Return the matrix from linear RGB to XYZ, in which white has luminance 1."""
        corners = np.array([[x, y, 1 - x - y] for x, y in self[:3]]).T
        matrix: Array = corners * np.linalg.solve(corners, _xyz(self.white))
        return matrix

    def to_srgb(self, neutral: tuple[float, float] | None = None) -> Array:
        """Return the matrix from linear RGB to linear sRGB.

        Args:
            neutral: (x, y) of the light that becomes the white of sRGB; None takes the white of the primaries.
        """
        return xyz_to_srgb(neutral or self.white) @ self.to_xyz()

    def same(self, other: Primaries) -> bool:
        """Whether both are the same within rounding."""
        return bool(np.abs(np.array(self) - np.array(other)).max() < 2e-3)


REC709 = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
"""Primaries of sRGB, with its white D65."""

D50 = (0.3457, 0.3585)
"""White of the colours of ICC profiles (ICC.1:2022, 6.3.3) and of DNG's profiles."""


def xyz_to_srgb(white: tuple[float, float]) -> Array:
    """Return the matrix from XYZ to linear sRGB, with linear Bradford adaptation from a white to D65.

    Args:
        white: (x, y) of the light that becomes R = G = B.

    Example:
        >>> (xyz_to_srgb((1 / 3, 1 / 3)) @ [1, 1, 1]).round(6).tolist()
        [1.0, 1.0, 1.0]
    """
    cones = (_BRADFORD @ _xyz(REC709.white)) / (_BRADFORD @ _xyz(white))
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD
    matrix: Array = np.linalg.inv(REC709.to_xyz()) @ adapt
    return matrix


def _xyz(xy: tuple[float, float]) -> Array:
    x, y = xy
    return np.array([x / y, 1, (1 - x - y) / y])
