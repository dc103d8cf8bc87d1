"""Lens shading: light falls off towards the corners, and the camera's processing corrects it.

The gain that flattens a frame is the radial polynomial of Adobe DNG's ``FixVignetteRadial`` opcode (DNG
specification 1.4, chapter 6), with the centre in the middle of the frame.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from revisp.camera.place import Place
from revisp.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["apply_shading", "check_shading", "correct_shading", "shading_at", "shading_factors", "shading_gain"]


_SQUARES = np.linspace(0, 1, 257)
"""Squares of the distance from the middle, at which a gain is checked."""


def shading_gain(
    height: int,
    width: int,
    coefficients: Sequence[float],
    place: Place | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: Any = None,
) -> Tensor:
    r"""Return the gain that corrects a lens's shading at each pixel.

    .. math:: g(r) = 1 + \sum_{i=1}^{n} k_i\, r^{2i}

    with the distance :math:`r` from the frame's middle, 1 in its corners. For a falloff of 1 EV in the corners the
    coefficients sum to 1.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        coefficients: :math:`k_1, k_2, \dots`; without any the gain is 1 everywhere.
        place: where the picture lies in its frame; None: it is the whole frame.
        dtype: floating type of the result.
        device: device of the result.

    Returns:
        Gain ``[1, H, W]``, positive.

    Raises:
        ConfigError: the gain is not positive everywhere.

    Example:
        >>> [round(gain, 2) for gain in shading_gain(3, 3, (1.0,))[0, 0].tolist()]  # the top row
        [1.44, 1.22, 1.44]
    """
    check_shading(coefficients)
    left, right = shading_factors(height, width, coefficients, place, dtype=dtype, device=device)
    return (left @ right).unsqueeze(0)


def shading_factors(
    height: int,
    width: int,
    coefficients: Sequence[float],
    place: Place | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: Any = None,
) -> tuple[Tensor, Tensor]:
    """Return matrices ``[H, n]`` and ``[n, W]`` whose product is `shading_gain`, for callers that need some rows.

    A polynomial of the sum of two squares is a sum of products of their powers.
    """
    factors = (1.0, *coefficients)
    powers = range(len(factors))
    mixed = [[comb(i + j, i) * factors[i + j] if i + j in powers else 0.0 for j in powers] for i in powers]
    top, left, full_height, full_width = place or Place(0, 0, height, width)
    y = (np.arange(height) + top + 0.5) * 2 - full_height
    x = (np.arange(width) + left + 0.5) * 2 - full_width
    down, along = (np.square(side) / (full_height**2 + full_width**2) for side in (y, x))
    exponents = np.arange(len(factors))
    matrices = (down[:, None] ** exponents @ np.array(mixed), along ** exponents[:, None])
    rows, columns = (torch.from_numpy(matrix).to(device=device, dtype=dtype) for matrix in matrices)
    return rows, columns


def shading_at(square: Tensor, coefficients: Sequence[float] | Tensor) -> Tensor:
    """Return the gain of `shading_gain` at given squares of the distance from the middle, of the same shape."""
    if not len(coefficients):
        return torch.ones_like(square)
    *others, last = coefficients
    gain = square * last
    for coefficient in reversed(others):
        gain = (gain + coefficient) * square
    return gain + 1


def correct_shading(raw: Tensor, coefficients: Sequence[float], place: Place | None = None) -> Tensor:
    """Multiply linear values ``[..., C, H, W]`` by `shading_gain`; undoes `apply_shading`.

    Raises:
        ShapeError: not a floating tensor of at least three axes.
        ConfigError: the gain is not positive everywhere.
    """
    return raw * _gain_like(raw, coefficients, place)


def apply_shading(raw: Tensor, coefficients: Sequence[float], place: Place | None = None) -> Tensor:
    """Darken linear values ``[..., C, H, W]`` as the lens does: divide by `shading_gain`.

    Raises:
        ShapeError: not a floating tensor of at least three axes.
        ConfigError: the gain is not positive everywhere.
    """
    return raw / _gain_like(raw, coefficients, place)


def check_shading(coefficients: Sequence[float]) -> None:
    """Require coefficients whose gain is positive from the middle to the corners.

    Raises:
        ConfigError: the gain is not positive everywhere.
    """
    gain: Any = 0.0
    for coefficient in reversed((1.0, *coefficients)):
        gain = gain * _SQUARES + coefficient
    if not gain.min() > 0:
        raise ConfigError(
            f"shading coefficients {tuple(coefficients)} give a gain that is not positive everywhere"
        )


def _gain_like(raw: Tensor, coefficients: Sequence[float], place: Place | None) -> Tensor:
    if raw.ndim < 3 or not raw.is_floating_point():
        raise ShapeError(f"raw must be floating point [..., C, H, W], got {raw.dtype} {list(raw.shape)}")
    return shading_gain(raw.shape[-2], raw.shape[-1], coefficients, place, dtype=raw.dtype, device=raw.device)
