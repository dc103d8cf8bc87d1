"""Choose the colour matrix for daylight among those that a RAW file holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

__all__ = ["dng_calibration", "dng_matrix", "matrix_near_d65"]

Array = np.ndarray[Any, Any]

_D65 = 6504
_MATRICES = {50721: 50778, 50722: 50779}  # ColorMatrix1, 2 to CalibrationIlluminant1, 2
_CALIBRATIONS = {50723: 50778, 50724: 50779}  # CameraCalibration1, 2 to the same
_ANALOG_BALANCE, _SIGNATURES = 50727, (50931, 50932)
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
    """Return a DNG's ColorMatrix for the light nearest to D65, with `dng_calibration`."""
    tags = _tags(path)
    matrix = _nearest(tags, _MATRICES)
    return None if matrix is None else _calibration(tags) @ matrix


def dng_calibration(path: Path) -> Array:
    """Return what a DNG adds to its ColorMatrix ``[3, 3]``: AnalogBalance times CameraCalibration.

    CameraCalibration corrects one body of a model. It counts only where its signature is that of the profile (DNG
    1.7.1, CameraCalibrationSignature). LibRaw returns the ColorMatrix without both.
    """
    return _calibration(_tags(path))


def _tags(path: Path) -> dict[int, Any]:
    """Return the colour tags of a DNG's first directory by number; nothing for other files."""
    numbers = {*_MATRICES, *_CALIBRATIONS, *_MATRICES.values(), _ANALOG_BALANCE, *_SIGNATURES}
    try:
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            return {number: tags.valueof(number) for number in numbers if number in tags}
    except (tifffile.TiffFileError, OSError):
        return {}


def _nearest(tags: dict[int, Any], kind: dict[int, int]) -> Array | None:
    found = [(tags.get(light), tags.get(matrix, ())) for matrix, light in kind.items()]
    return matrix_near_d65(
        (_TEMPERATURE.get(light or 0), _ratios(values).reshape(-1, 3)) for light, values in found
    )


def _calibration(tags: dict[int, Any]) -> Array:
    balance = _ratios(tags.get(_ANALOG_BALANCE, ()))
    analog = np.diag(balance) if balance.shape == (3,) and balance.all() else np.eye(3)
    ours, theirs = (str(tags.get(signature) or "") for signature in _SIGNATURES)
    body = _nearest(tags, _CALIBRATIONS) if ours == theirs else None
    product: Array = analog if body is None else analog @ body
    return product


def _ratios(values: Any) -> Array:
    """Return rationals, each a numerator and a denominator in turn; nothing for anything else."""
    flat = np.asarray(values, float).ravel()
    if len(flat) % 6 or not flat[1::2].all():
        return np.zeros(0)
    return flat[::2] / flat[1::2]
