"""PSNR and SSIM of AIM 2022 of a picture and its regions, in one pass that stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from revisp.errors import ShapeError
from revisp.metrics.aim import IDENTICAL_PSNR, SSIM_BORDER, SSIM_REACH, aim_ssim_map
from revisp.metrics.base import double
from revisp.metrics.regions import REGIONS, ScoredPlanes

__all__ = ["SCORES", "Stored", "psnr_ssim"]

SCORES = tuple(f"{score}{region}" for score in ("psnr", "ssim") for region in REGIONS)
"""Names of the figures: PSNR in dB (999 if nothing differs) and SSIM in [-1, 1], of all pixels, OE and NOE."""

BAND_SAMPLES = 2**19
"""Samples that are scored at once. What is computed of them then stays in the processor's cache."""

Stored = Callable[[Tensor], Tensor]
"""Returns values in float64 as a challenge stores them, before it scores them."""


def psnr_ssim(planes: ScoredPlanes, stored: Stored = double) -> dict[str, float]:
    """Return the PSNR and SSIM of a picture in each of its regions, in the order of `SCORES`.

    The figures are those of `revisp.metrics.region_psnr` and `revisp.metrics.region_ssim`, of all regions in one
    pass over the picture.

    Args:
        planes: prediction, truth and regions, each ``[C, h, w]``, h and w at least 11.
        stored: turns both pictures into what is compared: `revisp.metrics.quantise` for NTIRE 2025.

    Returns:
        Those of `SCORES` whose region is given; NaN if a region is empty.

    Raises:
        ShapeError: the planes are smaller.

    Example:
        >>> from revisp.metrics.regions import scored_planes
        >>> truth = torch.full((4, 16, 16), 0.5)
        >>> scores = psnr_ssim(scored_planes(truth + 0.1, truth))
        >>> round(scores["psnr"], 1), list(scores)
        (20.0, ['psnr', 'ssim'])
    """
    channels, height, width = planes.truth.shape
    if min(height, width) <= 2 * SSIM_BORDER:
        raise ShapeError(
            f"SSIM leaves out {SSIM_BORDER} border pixels and needs planes of 11 x 11, got {height} x {width}"
        )
    sums = {suffix: torch.zeros(4, dtype=torch.float64) for suffix in planes.regions}
    rows = max(BAND_SAMPLES // (channels * width), 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        low, high = max(top - SSIM_REACH, 0), min(bottom + SSIM_REACH, height)
        x, y = (stored(each[:, low:high]) for each in (planes.prediction, planes.truth))
        here = slice(top - low, bottom - low)
        error, similarity = (x - y)[:, here].square(), aim_ssim_map(x, y)[:, here, SSIM_BORDER:-SSIM_BORDER]
        inner = slice(max(SSIM_BORDER - top, 0), max(min(bottom, height - SSIM_BORDER) - top, 0))
        for suffix, region in planes.regions.items():
            weight = double(region[:, top:bottom])
            inside = weight[:, inner, SSIM_BORDER:-SSIM_BORDER]
            found = ((error * weight).sum(), weight.sum(), (similarity[:, inner] * inside).sum(), inside.sum())
            sums[suffix] += torch.stack(found).cpu()
    scores = {}
    for suffix, (error, weight, similarity, inside) in sums.items():
        mse = error / weight
        scores[f"psnr{suffix}"] = IDENTICAL_PSNR if mse == 0 else (-10 * mse.log10()).item()
        scores[f"ssim{suffix}"] = (similarity / inside).item()
    return {name: scores[name] for name in SCORES if name in scores}
