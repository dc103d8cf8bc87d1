"""PSNR and SSIM on 12-bit RAW, as in the NTIRE 2025 challenge on RAW reconstruction from sRGB.

The challenge stores RAW in [0,1] as integers of 12 bits, ``floor(4095·x)``, and scores the stored values over 4095
(Conde et al., "RAW Image Reconstruction from RGB on Smartphones. NTIRE 2025 Challenge Report", CVPR Workshops
2025; data set ``marcosv/rgb2raw``). Its scoring script is not public: PSNR and SSIM here are those of
`revisp.metrics.aim` on quantised values. Scores are means over images.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from revisp.errors import ConfigError
from revisp.metrics.aim import region_psnr, region_ssim
from revisp.metrics.base import double

__all__ = ["LARGEST_LEVEL", "Rounding", "ntire_psnr", "ntire_ssim", "quantise"]

Rounding = Literal["round", "floor"]

LARGEST_LEVEL = 4095
"""Largest stored value of 12 bits."""


def quantise(raw: Tensor, levels: int = LARGEST_LEVEL, rounding: Rounding = "round") -> Tensor:
    """Return values after they are stored as integers from 0 to ``levels`` and read back.

    ``"round"`` takes the nearest step, for a prediction. ``"floor"`` takes the step below, as the challenge stored
    its RAW. Both keep a value that lies on a step. float32 holds a step only to a part in 2²⁴, so floor counts a
    value up to ``levels``/2²³ of a step below a step as that step.

    Args:
        raw: values of any shape; clipped to [0,1].
        levels: the largest integer.
        rounding: ``"round"`` or ``"floor"``.

    Returns:
        Float64 of the same shape, multiples of 1/levels in [0,1]; NaN stays NaN.

    Raises:
        ConfigError: levels below 1, or unknown rounding.

    Example:
        >>> (quantise(torch.tensor([0.5, 1.5])) * LARGEST_LEVEL).tolist()
        [2048.0, 4095.0]
    """
    if levels < 1:
        raise ConfigError(f"levels must be positive, got {levels}")
    if rounding not in get_args(Rounding):
        raise ConfigError(f"unknown rounding {rounding!r}: use 'round' or 'floor'")
    scaled = double(raw).clamp(0, 1) * levels
    if rounding == "round":
        return scaled.round() / levels
    return (scaled + levels * torch.finfo(torch.float32).eps).floor().clamp_max(levels) / levels


def ntire_psnr(
    prediction: Tensor,
    target: Tensor,
    region: Tensor | None = None,
    *,
    levels: int = LARGEST_LEVEL,
    rounding: Rounding = "round",
) -> Tensor:
    """Return the PSNR of each image on stored values: `revisp.metrics.aim.region_psnr` after `quantise` of both.

    Args:
        prediction: packed RAW ``[B,4,h,w]``, clipped to [0,1].
        target: packed RAW ``[B,4,h,w]``.
        region: packed weights ``[B,4,h,w]`` in [0,1]; None counts every sample.
        levels: the largest stored integer.
        rounding: as for `quantise`.

    Returns:
        ``[B]`` float64, in dB; 999 where the stored values are identical, NaN where the region is empty.

    Raises:
        ShapeError: not packed, or of different shapes.
        ConfigError: as `quantise`.

    Example:
        >>> truth = torch.full((1, 4, 8, 8), 0.5)
        >>> ntire_psnr(truth + 1e-5, truth).tolist()  # both are stored as the same 12 bits
        [999.0]
    """
    return region_psnr(quantise(prediction, levels, rounding), quantise(target, levels, rounding), region)


def ntire_ssim(
    prediction: Tensor,
    target: Tensor,
    region: Tensor | None = None,
    *,
    levels: int = LARGEST_LEVEL,
    rounding: Rounding = "round",
) -> Tensor:
    """Return the SSIM of each image on stored values: `revisp.metrics.aim.region_ssim` after `quantise` of both.

    Args:
        prediction: packed RAW ``[B,4,h,w]``, clipped to [0,1], h and w at least 11.
        target: packed RAW ``[B,4,h,w]``.
        region: packed weights ``[B,4,h,w]`` in [0,1]; None counts every sample.
        levels: the largest stored integer.
        rounding: as for `quantise`.

    Returns:
        ``[B]`` float64, in [-1,1]; NaN where the region, less the border, is empty.

    Raises:
        ShapeError: not packed, of different shapes, or planes smaller than 11 x 11.
        ConfigError: as `quantise`.

    Example:
        >>> truth = torch.rand(1, 4, 16, 16)
        >>> round(ntire_ssim(truth + 1e-6, truth).item(), 3)
        1.0
    """
    return region_ssim(quantise(prediction, levels, rounding), quantise(target, levels, rounding), region)
