"""Scores of a reconstructed RAW by the definitions of the AIM 2022 Reverse ISP challenge, whole or by region.

Conde et al., "Reversed Image Signal Processing and RAW Reconstruction. AIM 2022 Challenge Report" (ECCV Workshops
2022). All scores are computed in float64 on packed planes ``[B,4,h,w]`` in [0,1], one score for each image. The
score of a set is the mean over images (not the PSNR of the mean error). Clamp a prediction before you score it:
the challenge refuses values outside [0,1].

A region is a weight for each sample: a full-resolution mask ``[B,1,H,W]``, packed like the mosaic, so that the
four samples of a Bayer quad may differ. Neither score depends on the order of the planes, so neither depends on
the CFA.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revisp.errors import ShapeError
from revisp.metrics.base import MeanOverImages, packed_doubles, weighted_mean

__all__ = [
    "AIMPSNR",
    "AIMSSIM",
    "IDENTICAL_PSNR",
    "SSIM_BORDER",
    "SSIM_REACH",
    "aim_psnr",
    "aim_ssim",
    "aim_ssim_map",
    "region_psnr",
    "region_ssim",
]

IDENTICAL_PSNR = 999.0
"""PSNR of identical images, as the challenge's script gives it."""

_WINDOW_SIGMA = 1.5
_WINDOW_RADIUS = (
    6  # int(truncate · σ + 0.5) of scipy.ndimage.gaussian_filter with its default truncate = 4: 13 taps
)
SSIM_BORDER = 5
"""Rows and columns at each side that the mean of an SSIM leaves out."""

SSIM_REACH = _WINDOW_RADIUS
"""Distance in pixels to the farthest sample that a value of `aim_ssim_map` depends on."""

_C1 = 0.01**2
_C2 = 0.03**2


def aim_psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the PSNR of each image, ``10·log10(1 / MSE)``; MSE is the mean over all pixels of the four planes.

    Args:
        prediction: packed RAW ``[B,4,h,w]`` in [0,1].
        target: packed RAW ``[B,4,h,w]`` in [0,1].

    Returns:
        ``[B]`` float64, in dB; 999 where the images are identical.

    Raises:
        ShapeError: not packed RAW of one shape.

    Example:
        >>> aim_psnr(torch.full((1, 4, 8, 8), 0.6), torch.full((1, 4, 8, 8), 0.5)).round().tolist()
        [20.0]
    """
    return region_psnr(prediction, target, None)


def aim_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the SSIM of each image: mean over the four planes of the mean over pixels (Wang et al., TIP 2004).

    Gaussian window of σ = 1.5 cut at 4σ (13 taps), K = (0.01, 0.03), data range 1, population covariance, borders
    mirrored as by ``scipy.ndimage`` ("reflect": the edge sample is repeated). The mean leaves out 5 border pixels.
    scikit-image cuts its window at 3.5σ, so its result differs in the fourth decimal.

    Args:
        prediction: packed RAW ``[B,4,h,w]`` in [0,1], h and w at least 11.
        target: packed RAW ``[B,4,h,w]`` in [0,1].

    Returns:
        ``[B]`` float64, in [-1,1].

    Raises:
        ShapeError: not packed RAW of one shape, or planes smaller than 11 x 11.

    Example:
        >>> truth = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> aim_ssim(truth, truth).item(), aim_ssim(1 - truth, truth).item() < 0
        (1.0, True)
    """
    return region_ssim(prediction, target, None)


def region_psnr(prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
    """Return the PSNR of each image within a region: `aim_psnr` with the weighted mean of the squared error.

    Args:
        prediction: packed RAW ``[B,4,h,w]`` in [0,1].
        target: packed RAW ``[B,4,h,w]`` in [0,1].
        region: packed weights ``[B,4,h,w]`` in [0,1]; None counts every sample.

    Returns:
        ``[B]`` float64, in dB; 999 where the error is 0, NaN where the region is empty.

    Raises:
        ShapeError: not packed, or of different shapes.

    Example:
        >>> truth, half = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
        >>> half[..., :4] = 1.0  # the left half
        >>> [round(region_psnr(0.1 * half, truth, part).item()) for part in (half, 1 - half)]
        [20, 999]
    """
    prediction, target, weight = packed_doubles(prediction, target, region)
    mse = weighted_mean((prediction - target).square(), weight)
    return torch.where(mse == 0, IDENTICAL_PSNR, -10 * mse.log10())


def region_ssim(prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
    """Return the SSIM of each image within a region: the map of `aim_ssim`, averaged over the region's samples.

    The map is computed on the whole images, so windows at the region's edge include samples outside it. Samples of
    all planes have equal weight (for the whole image this equals the challenge's mean over planes). The 5 border
    pixels do not count.

    Args:
        prediction: packed RAW ``[B,4,h,w]`` in [0,1], h and w at least 11.
        target: packed RAW ``[B,4,h,w]`` in [0,1].
        region: packed weights ``[B,4,h,w]`` in [0,1]; None counts every sample.

    Returns:
        ``[B]`` float64, in [-1,1]; NaN where the region, less the border, is empty.

    Raises:
        ShapeError: not packed, of different shapes, or planes smaller than 11 x 11.

    Example:
        >>> truth = torch.rand(1, 4, 16, 16)
        >>> region_ssim(truth, truth, torch.zeros_like(truth)).tolist()  # an empty region
        [nan]
    """
    prediction, target, weight = packed_doubles(prediction, target, region)
    height, width = prediction.shape[-2:]
    if min(height, width) <= 2 * SSIM_BORDER:
        raise ShapeError(
            f"SSIM leaves out {SSIM_BORDER} border pixels and needs planes of 11 x 11, got {height} x {width}"
        )
    inner = (..., slice(SSIM_BORDER, height - SSIM_BORDER), slice(SSIM_BORDER, width - SSIM_BORDER))
    return weighted_mean(aim_ssim_map(prediction, target)[inner], weight[inner])


def aim_ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Return the SSIM of `aim_ssim` at each sample, border included.

    Args:
        x: planes ``[..., h, w]``, float64, h and w at least 6.
        y: planes of the same shape.
    """
    mean_x, mean_y = _gaussian_filter(x), _gaussian_filter(y)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = _gaussian_filter(x * y) - product
    variances = _gaussian_filter(x * x + y * y) - squares
    return (2 * product + _C1) / (squares + _C1) * (2 * covariance + _C2) / (variances + _C2)


def _gaussian_filter(x: Tensor) -> Tensor:
    """Filter like ``scipy.ndimage.gaussian_filter(plane, 1.5)``; sums of shifts need no float64 convolution."""
    offset = torch.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-offset.square() / (2 * _WINDOW_SIGMA**2))
    taps = taps / taps.sum()
    for axis in (-2, -1):
        size = x.shape[axis]
        head, tail = (
            x.narrow(axis, 0, _WINDOW_RADIUS).flip(axis),
            x.narrow(axis, size - _WINDOW_RADIUS, _WINDOW_RADIUS).flip(axis),
        )
        padded = torch.cat([head, x, tail], dim=axis)
        x = torch.zeros_like(x)
        for shift, tap in enumerate(taps.tolist()):
            x.add_(padded.narrow(axis, shift, size), alpha=tap)
    return x


class AIMPSNR(MeanOverImages):
    """Mean over images of `aim_psnr`, or of `region_psnr` where a region is given.

    Unit: dB, 999 for identical images; higher is better. Sums are in float32, which every device has;
    ``precision=torch.float64`` changes this.

    Example:
        >>> metric = AIMPSNR()
        >>> metric.update(torch.full((1, 1, 16, 16), 0.6), torch.full((1, 1, 16, 16), 0.5))
        >>> round(metric.compute().item(), 2)
        20.0
    """

    sums = torch.float32

    def score(self, prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
        """Score each image; all arguments are packed."""
        return region_psnr(prediction, target, region)


class AIMSSIM(MeanOverImages):
    """Mean over images of `aim_ssim`, or of `region_ssim` where a region is given.

    Range: [-1,1]; higher is better. Sums are in float32, as in `AIMPSNR`.

    Example:
        >>> metric = AIMSSIM()
        >>> truth = torch.rand(2, 1, 32, 32)
        >>> metric.update(truth, truth)
        >>> round(metric.compute().item(), 4)
        1.0
    """

    sums = torch.float32
    border = SSIM_BORDER

    def score(self, prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
        """Score each image; all arguments are packed."""
        return region_ssim(prediction, target, region)
