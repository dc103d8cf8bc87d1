"""Choose the colour matrix for daylight among those that a RAW file holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

__all__ = ["dng_matrix", "matrix_near_d65"]

Array = np.ndarray[Any, Any]

_D65 = 6504
_MATRICES = {50721: 50778, 50722: 50779}  # ColorMatrix1, 2 to CalibrationIlluminant1, 2
_TEMPERATURE = {
    **dict.fromkeys((3, 17), 2850),  # tungsten, standard light A
    **dict.fromkeys((1, 4, 9, 18, 20), 5500),  # daylight, flash, fine weather, B, D55
    **dict.fromkeys((10, 19, 21), 6500),  # cloudy weather, C, D65
    **dict.fromkeys((11, 22), 7500),  # shade, D75
    2: 4150, 12: 6400, 13: 5050, 14: 4150, 15: 3525, 16: 2925,  # fluorescent lamps
    23: 5000, 24: 3200,  # D50, ISO studio tungsten
}  # fmt: skip
"""Kelvin by EXIF LightSource, as the DNG SDK takes them (dng_camera_profile.cpp)."""


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


def dng_matrix(path: Path) -> Array | None:
    """Return a DNG's ColorMatrix for the light nearest to D65; LibRaw does not return it."""
    try:
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            found = [(tags.valueof(light), tags.valueof(matrix) or ()) for matrix, light in _MATRICES.items()]
    except (tifffile.TiffFileError, OSError):
        return None
    return matrix_near_d65((_TEMPERATURE.get(light), _ratios(values)) for light, values in found)


def _ratios(values: Any) -> Array:
    """Return nine rationals, each a numerator and a denominator, as a 3x3 matrix; zeros for anything else."""
    if len(values) != 18:
        return np.zeros((3, 3))
    numerators, denominators = np.asarray(values, float).reshape(9, 2).T
    if not denominators.all():
        return np.zeros((3, 3))
    matrix: Array = (numerators / denominators).reshape(3, 3)
    return matrix
