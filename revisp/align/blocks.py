"""Local displacement: normalised cross-correlation of blocks, with a sub-pixel peak and its sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import fft
from torch import Tensor

from revisp.align.affine import Array

__all__ = ["KNOWN_WEIGHT", "MIN_CORRELATION", "Matches", "match_blocks"]

MIN_CORRELATION = 0.5
"""Least correlation of a block that counts as found. Unrelated blocks of 48 pixels reach some 0.3 by chance."""

_SHARP_CURVATURE = 0.1
"""Curvature of the correlation's peak, 1/pixel², from which a direction has full weight; textures have more."""
_BLIND_CURVATURE = 0.02
"""Curvature below which a direction has weight 0: along a straight edge the peak is a ridge."""
KNOWN_WEIGHT = 0.25
"""Weight from which a block's shift in a direction counts as known."""
_BLOCKS_AT_ONCE = 64


@dataclass(frozen=True)
class Matches:
    """The matches of ``n`` blocks, in pixels of the working grid.

    Attributes:
        centre: (x, y) of each block's centre, ``[n, 2]``.
        shift: (x, y) of the photo's content minus (x, y) of the reference's, ``[n, 2]``; 0 where not found.
        weight: information on the shift, symmetric ``[n, 2, 2]``, eigenvalues in [0, 1]; 0 where not found.
        peak: height of the correlation, ``[n]``.
        found: whether the correlation reached `MIN_CORRELATION` inside the searched range, ``[n]``.
    """

    centre: Array
    shift: Array
    weight: Array
    peak: Array
    found: Array


def match_blocks(reference: Tensor, moving: Tensor, centres: Array, size: int, reach: int) -> Matches:
    """Find each block of the reference in a picture that is nearly registered to it.

    A Hann window weights the block. The other picture is not weighted; its strength under the window is measured
    at every offset, so that shifts are not biased towards 0. The sub-pixel peak is that of a quadratic fitted to
    the 3x3 correlations around the greatest.

    Args:
        reference: band-passed ``[H, W]``.
        moving: the other picture, band-passed, on the same grid, ``[H, W]``.
        centres: (x, y) of the blocks, in whole pixels, ``[n, 2]``.
        size: side of a block, even.
        reach: greatest offset of the search, in pixels.
    """
    window = torch.hann_window(size, periodic=False)
    window = window[:, None] * window
    border = size // 2 + reach
    still, other = (F.pad(x, (border,) * 4) for x in (reference, moving))
    parts = []
    for start in range(0, len(centres), _BLOCKS_AT_ONCE):
        some = [(int(x), int(y)) for x, y in centres[start : start + _BLOCKS_AT_ONCE]]
        blocks = torch.stack([still[y + reach : y + reach + size, x + reach : x + reach + size] for x, y in some])
        areas = torch.stack([other[y : y + 2 * border, x : x + 2 * border] for x, y in some])
        parts.append(_peaks(_scores(blocks, areas, window)))
    offset, peak, hessian = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
    return _judge(centres, offset, peak, hessian, reach)


def _scores(blocks: Tensor, areas: Tensor, window: Tensor) -> Tensor:
    """Return the correlation ``[n, k, k]`` of blocks of side s at the k x k offsets in areas of side s + k - 1."""
    offsets = areas.shape[-1] - window.shape[0] + 1
    shape = [fft.next_fast_len(areas.shape[-1], real=True)] * 2

    def correlate(template: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum * torch.fft.rfft2(template, s=shape).conj(), s=shape)[
            :, :offsets, :offsets
        ]

    weighted = blocks * window
    numerator = correlate(weighted, torch.fft.rfft2(areas, s=shape))
    energy = correlate(window[None], torch.fft.rfft2(areas.square(), s=shape))
    own = (weighted * blocks).sum((-2, -1), keepdim=True)
    # Strength below one normalised unit over a thousandth of the window is no more than rounding.
    return numerator / (own * energy.clamp_min(0)).sqrt().clamp_min(1e-3 * float(window.sum()))


def _peaks(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the peak of each ``[n, k, k]``: offset (x, y) from the centre, height, and minus the Hessian."""
    count, side = scores.shape[0], scores.shape[-1]
    inner = scores[:, 1:-1, 1:-1].reshape(count, -1).argmax(1)
    row, column = inner // (side - 2) + 1, inner % (side - 2) + 1
    around = torch.arange(-1, 2)
    near = scores[
        torch.arange(count)[:, None, None],
        row[:, None, None] + around[:, None],
        column[:, None, None] + around,
    ].double()
    # Least squares of a quadratic on 3x3 points, in closed form.
    gx = (near[:, :, 2] - near[:, :, 0]).sum(1) / 6
    gy = (near[:, 2] - near[:, 0]).sum(1) / 6
    hxx = (near[:, :, 2] - 2 * near[:, :, 1] + near[:, :, 0]).sum(1) / 3
    hyy = (near[:, 2] - 2 * near[:, 1] + near[:, 0]).sum(1) / 3
    hxy = (near[:, 2, 2] + near[:, 0, 0] - near[:, 2, 0] - near[:, 0, 2]) / 4
    hessian = -torch.stack([hxx, hxy, hxy, hyy], -1).view(count, 2, 2)
    # Along a ridge the step is unknown: keep the whole pixel rather than divide by nearly 0.
    values, vectors = torch.linalg.eigh(hessian)
    along = (vectors.transpose(1, 2) @ torch.stack([gx, gy], -1)[..., None])[..., 0]
    step = torch.where(values > 1e-3, along / values.clamp_min(1e-3), torch.zeros_like(along)).clamp(-1, 1)
    step = (vectors @ step[..., None])[..., 0]
    whole = torch.stack([column, row], -1).double() - (side - 1) / 2
    return whole + step, near[:, 1, 1], hessian


def _judge(centres: Array, offset: Array, peak: Array, hessian: Array, reach: int) -> Matches:
    values, vectors = np.linalg.eigh(hessian)
    information = np.where(values < _BLIND_CURVATURE, 0.0, np.minimum(values / _SHARP_CURVATURE, 1))
    found = (peak >= MIN_CORRELATION) & (information.max(1) >= KNOWN_WEIGHT)
    # At the border of the range the true peak may lie outside.
    found &= (np.abs(offset) < reach - 1).all(1)
    weight = np.einsum("nij,nj,nkj->nik", vectors, information, vectors) * found[:, None, None]
    return Matches(np.asarray(centres, float), np.where(found[:, None], offset, 0), weight, peak, found)
