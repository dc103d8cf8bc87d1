"""The coarse search for symmetry, scale and offset, on pictures reduced to about 256 pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from revisp.align.affine import Array, resize_matrix, then
from revisp.align.signal import area_resize, band_floor, normalise
from revisp.symmetry import SYMMETRIES, Symmetry

__all__ = ["MAX_OUTSIDE", "SURE_CORRELATION", "Candidate", "search"]

MAX_OUTSIDE = 0.04
"""Share of the photo that may lie outside the RAW: cameras crop their own JPEG inside the sensor's area."""

_SEARCH_SIDE = 256
_SCALE_STEP = 0.01
"""Relative step between neighbouring scales: 1.3 pixels at the edge of a picture of 256."""
SURE_CORRELATION = 0.9
"""Correlation from which the identity is taken at once. One exposure reached 0.94, a mirrored chart 0.78."""


class Candidate(NamedTuple):
    """``matrix``, 2x3, maps (x, y, 1) of the RAW after ``symmetry`` to the photo; ``score`` lies in [-1, 1]."""

    symmetry: Symmetry
    matrix: Array
    score: float


def search(photo: Tensor, reference: Tensor, window: tuple[int, int, int, int] | None) -> list[Candidate]:
    """Return the best candidate of each symmetry, the most likely first.

    Masked normalised cross-correlation (D. Padfield, CVPR 2010, here for signals of mean 0) over all offsets that
    leave the photo inside the reference, and over plausible scales.

    Args:
        photo: luma ``[h, w]``.
        reference: luma ``[H, W]`` of the RAW.
        window: (top, left, height, width) of the reference that the photo shows, or None if unknown.
    """
    full, own = (reference.shape[0], reference.shape[1]), (photo.shape[0], photo.shape[1])
    pitch = max(full) / _SEARCH_SIDE
    small = area_resize(photo, _shrink(own, max(1.0, max(own) / (3 * _SEARCH_SIDE))))  # once, not for every scale
    bands: dict[tuple[int, int], Array] = {}

    def best(symmetry: Symmetry, scales: list[float]) -> Candidate:
        turned = symmetry.apply(base).numpy()
        matcher, found = _Matcher(turned), (-1.0, (0, 0), (8, 8))
        for shape in dict.fromkeys(_shrink(own, pitch * scale) for scale in scales):
            if shape not in bands:
                bands[shape] = _band(small, shape)
            found = max(found, (*matcher.best_offset(bands[shape]), shape))
        score, (row, column), shape = found
        to_small = resize_matrix(full[::-1] if symmetry.transpose else full, (turned.shape[0], turned.shape[1]))
        shift = np.array([[1.0, 0, -column], [0, 1.0, -row]])
        return Candidate(symmetry, then(to_small, shift, resize_matrix(shape, own)), score)

    base = torch.from_numpy(_band(reference, _shrink(full, pitch)))
    found = [best(Symmetry(), _scales(own, full, window))]
    if found[0].score < SURE_CORRELATION:
        found += [best(s, _scales(own, full[::-1] if s.transpose else full, window)) for s in SYMMETRIES[1:]]
    return sorted(found, key=lambda candidate: -candidate.score)


def _band(y: Tensor, shape: tuple[int, int]) -> Array:
    y = area_resize(y, shape)
    band: Array = normalise(y, band_floor(y))[0].numpy()
    return band


def _shrink(shape: tuple[int, int], pitch: float) -> tuple[int, int]:
    height, width = (max(8, round(side / pitch)) for side in shape)
    return height, width


def _scales(photo: tuple[int, int], raw: tuple[int, int], window: tuple[int, int, int, int] | None) -> list[float]:
    """Photo pixels per RAW pixel to try: filling the RAW, filling the window, equal pitch."""
    fill = max(a / b for a, b in zip(photo, raw, strict=True))
    ranges = [(fill * 0.975, fill * 1.06)]
    if window:
        hint = max(a / b for a, b in zip(photo, window[2:], strict=True))
        ranges.append((hint * 0.99, hint * 1.01))
    scales = [1.0] if fill < 1 else []
    for low, high in ranges:
        scales += list(np.geomspace(low, high, int(np.ceil(np.log(high / low) / _SCALE_STEP)) + 1))
    return scales


class _Matcher:
    """Spectra of a band-passed reference, to correlate with photos that lie inside it except for `MAX_OUTSIDE`."""

    def __init__(self, reference: Array) -> None:
        self.shape = reference.shape
        self.least = 1 - MAX_OUTSIDE - 0.02  # an offset on this grid is uncertain by half a pixel
        # Room for a photo that begins before or ends after the reference. Greater offsets are not searched.
        self.size = [fft.next_fast_len(side + side // 8, real=True) for side in reference.shape]
        self.spectra = [fft.rfft2(x, self.size) for x in (reference, reference**2, np.ones_like(reference))]

    def best_offset(self, photo: Array) -> tuple[float, tuple[int, int]]:
        """Return the best correlation, and the (row, column) of the reference at which the photo begins."""
        overlaps = [self._overlap(axis, photo.shape[axis]) for axis in (0, 1)]
        allowed = np.multiply.outer(*overlaps) >= self.least
        if not allowed.any():
            return -1.0, (0, 0)
        pictures = (photo, photo**2, np.ones_like(photo))
        own, own_energy, own_area = (np.conj(fft.rfft2(x, self.size)) for x in pictures)
        signal, energy, area = self.spectra
        product, mine, theirs = (
            fft.irfft2(spectrum, self.size) for spectrum in (signal * own, area * own_energy, energy * own_area)
        )
        score = product / np.sqrt(np.maximum(mine * theirs, 1e-6 * photo.size**2))
        score[~allowed] = -1
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        return float(score[row, column]), (self._signed(0)[row], self._signed(1)[column])

    def _signed(self, axis: int) -> Array:
        at = np.arange(self.size[axis])
        signed: Array = np.where(at < self.shape[axis], at, at - self.size[axis])
        return signed

    def _overlap(self, axis: int, side: int) -> Array:
        """Return the share of a photo's ``side`` that lies on the reference, for each offset."""
        begin = self._signed(axis)
        share: Array = np.maximum(np.minimum(begin + side, self.shape[axis]) - np.maximum(begin, 0), 0) / side
        return share
