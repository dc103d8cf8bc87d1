"""Transfer functions by their numbers in ITU-T H.273, table 3: encoded values to linear light.

SDR white is 1. HDR white is above it: 203 cd/m² of PQ and HLG are 1 (ITU-R BT.2408).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["HDR_TRANSFERS", "HLG", "SRGB_TRANSFER", "hlg_to_linear", "rec709_to_linear", "transfer_function"]

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]

SRGB_TRANSFER = 13
PQ, HLG = 16, 18
HDR_TRANSFERS = {PQ: "PQ", HLG: "HLG"}
"""Names of the transfer functions of HDR pictures."""

_WHITE_NITS = 203.0
_HLG_PEAK_NITS = 1000.0
_HLG_GAMMA = 1.2


def transfer_function(number: int) -> Function | None:
    """Return the function from encoded values in [0, 1] to linear light; None for numbers that mean none.

    HLG gives the light of the scene in [0, 1]: `hlg_to_linear` makes that of a display of it.

    Example:
        >>> round(float(transfer_function(13)(np.array(0.5))), 4)
        0.214
        >>> round(float(transfer_function(16)(np.array(0.5807))), 2)
        1.0
    """
    return _FUNCTIONS.get(number)


def rec709_to_linear(encoded: Array) -> Array:
    """Invert the curve of ITU-R BT.709 (its item 1.2), which BT.601 and BT.2020 share."""
    return np.where(encoded < 0.081, encoded / 4.5, ((encoded + 0.099) / 1.099) ** (1 / 0.45))


def hlg_to_linear(scene: Array, luminance: Array) -> Array:
    """Return the light of a display of 1000 cd/m² (ITU-R BT.2100, table 5), from HLG's light of the scene.

    Args:
        scene: ``[..., 3]`` in [0, 1].
        luminance: weights of the three channels.
    """
    shown: Array = scene * (scene @ luminance)[..., None] ** (_HLG_GAMMA - 1) * (_HLG_PEAK_NITS / _WHITE_NITS)
    return shown


def _srgb(encoded: Array) -> Array:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _smpte240(encoded: Array) -> Array:
    return np.where(encoded < 0.0913, encoded / 4, ((encoded + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(encoded: Array) -> Array:
    """Invert SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = np.asarray(encoded) ** (1 / m2)
    nits: Array = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return nits / _WHITE_NITS


def _hlg(encoded: Array) -> Array:
    """Invert the curve of ITU-R BT.2100, table 5."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)


def _power(exponent: float) -> Function:
    return lambda encoded: np.asarray(encoded) ** exponent


def _logarithm(decades: float) -> Function:
    return lambda encoded: np.where(encoded > 0, 10 ** (decades * (np.asarray(encoded) - 1)), 0)


_FUNCTIONS: dict[int, Function] = {
    1: rec709_to_linear,
    2: _srgb,  # unspecified
    4: _power(2.2),
    5: _power(2.8),
    6: rec709_to_linear,
    7: _smpte240,
    8: _power(1.0),
    9: _logarithm(2.0),
    10: _logarithm(2.5),
    11: rec709_to_linear,
    12: rec709_to_linear,
    SRGB_TRANSFER: _srgb,
    14: rec709_to_linear,
    15: rec709_to_linear,
    PQ: _pq,
    17: _power(2.6),
    HLG: _hlg,
}
