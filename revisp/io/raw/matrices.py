"""Choose the colour matrix for daylight among those that a RAW file holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["matrix_near_d65"]

Array = np.ndarray[Any, Any]

_D65 = 6504


def matrix_near_d65(matrices: Iterable[tuple[float | None, Array]]) -> Array | None:
    """Return the 3x3 matrix whose light is nearest to D65 in reciprocal temperature.

    The DNG specification (chapter 6, *Translating White Balance xy Coordinates to Camera Neutral Coordinates*)
    interpolates between two matrices by reciprocal temperature. Outside their range it takes the nearer matrix.

    Args:
        matrices: pairs of colour temperature in kelvin and matrix. A temperature of None is unknown; its matrix is
            the last choice.
    """
    usable = [(kelvin, m) for kelvin, m in matrices if m.shape == (3, 3) and m.any()]
    if not usable:
        return None
    return min(usable, key=lambda item: abs(1 / item[0] - 1 / _D65) if item[0] else 1.0)[1]
