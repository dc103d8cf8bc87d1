"""Same exposure or not: a photo and the RAW of its own exposure share their noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from torch import Tensor

from revisp.align.affine import Array

__all__ = ["NO_NOISE", "Noise", "compare_noise"]

_BLOCK_SIDE, _BLOCK_MARGIN = 32, 8
_MOST_BLOCKS = 1600
_FEWEST_BLOCKS = 24
"""Least number of flat blocks for a measurement."""
_CALM_RATIO = 1.5
"""First condition of a flat block: its band has at most this multiple of the strength of the calmest tenth."""
_NOISE_SHAPE = 0.95
"""Second condition: its band (sigma 0.7 to 2) has at most this share of the finest band (below sigma 1).

Demosaiced white noise has 0.68, that of real cameras 0.72 to 0.9, texture seen through a lens 1 to 2.
"""
_DARKEST_LUMA, _BRIGHTEST_LUMA = 0.03, 0.97


class Noise(NamedTuple):
    """Noise of a photo and of its RAW.

    Attributes:
        correlation: correlation between both, the median over flat blocks; NaN without enough of them.
        ratio: strength of the photo's noise over that of the reference; NaN without enough blocks.
    """

    correlation: float
    ratio: float


NO_NOISE = Noise(float("nan"), float("nan"))


def compare_noise(reference: Tensor, photo: Tensor, matrix: Array) -> Noise:
    """Correlate the noise of a registered pair of full size in flat, unclipped blocks.

    The band between Gaussians of sigma 0.7 and 2 pixels is compared. Finer noise seldom survives JPEG and
    resampling. Coarser variation is shading and texture, which two exposures share.

    Args:
        reference: luma ``[H, W]``.
        photo: luma ``[h, w]``.
        matrix: from the reference to the photo, 2x3.
    """
    height, width = reference.shape
    side = _BLOCK_SIDE + 2 * _BLOCK_MARGIN
    step = max(_BLOCK_SIDE, int(np.ceil(np.sqrt(height * width / _MOST_BLOCKS))))
    tops, lefts = (np.arange(0, length - side + 1, step) for length in (height, width))
    if not (len(tops) and len(lefts)):
        return NO_NOISE
    corners = np.stack(np.meshgrid(tops, lefts, indexing="ij"), -1).reshape(-1, 2)
    rows, columns = (corners[:, k, None] + np.arange(side) for k in (0, 1))
    still = reference.numpy()[rows[:, :, None], columns[:, None, :]]
    at_x, at_y = (m[0] * columns[:, None, :] + m[1] * rows[:, :, None] + m[2] for m in matrix)
    inside = (at_x >= 0) & (at_y >= 0) & (at_x <= photo.shape[1] - 1) & (at_y <= photo.shape[0] - 1)
    moved = ndimage.map_coordinates(photo.numpy(), [at_y, at_x], order=3, mode="nearest")
    return _compare(still, moved, inside.all((1, 2)))


def _compare(still: Array, moved: Array, inside: Array) -> Noise:
    inner = slice(_BLOCK_MARGIN, -_BLOCK_MARGIN)
    open_ = inside.copy()
    for x in (still, moved):
        open_ &= (x.min((1, 2)) > _DARKEST_LUMA) & (x.max((1, 2)) < _BRIGHTEST_LUMA)
    if open_.sum() < _FEWEST_BLOCKS:
        return NO_NOISE
    still, moved = still[open_], moved[open_]
    own, theirs = (_band(x, 0.7, 2.0)[:, inner, inner] for x in (still, moved))
    fine = (still - _blur(still, 1.0))[:, inner, inner].std((1, 2))
    strength = own.std((1, 2))
    flat = (
        (strength <= _CALM_RATIO * np.quantile(strength, 0.1))
        & (strength <= _NOISE_SHAPE * fine)
        & (strength > 1e-6)
    )
    if flat.sum() < _FEWEST_BLOCKS:
        return NO_NOISE
    own, theirs = (x[flat] - x[flat].mean((1, 2), keepdims=True) for x in (own, theirs))
    strengths = np.sqrt((own**2).sum((1, 2))), np.sqrt((theirs**2).sum((1, 2)))
    correlation = (own * theirs).sum((1, 2)) / np.maximum(strengths[0] * strengths[1], 1e-9)
    return Noise(float(np.median(correlation)), float(np.median(strengths[1] / strengths[0])))


def _band(x: Array, fine: float, coarse: float) -> Array:
    return _blur(x, fine) - _blur(x, coarse)


def _blur(x: Array, sigma: float) -> Array:
    blurred: Array = ndimage.gaussian_filter(x, (0, sigma, sigma), mode="nearest")
    return blurred
