"""The level at which each colour of a RAW saturates, found by the samples that pile up there.

A file states one white level for all colours. A camera may saturate below or above it, and each colour elsewhere:
if it balances white before it stores, or if the file states the range of the numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from revisp.cfa import pack
from revisp.io.raw.rawimage import RawImage

__all__ = ["Ceiling", "find_ceilings"]

Array = np.ndarray[Any, Any]

_LEAST_SAMPLES, _LEAST_SHARE = 64, 5e-5  # of a plane, at a ceiling
_PEAK = 8.0  # times as many samples as in a band of the picture below
_BANDS_BELOW, _GAP = 10, 1
_ABOVE = 0.02  # share of the samples at a ceiling that may lie above it: hot pixels and noise
_LOWEST = 0.5  # of the range from black to white: a bright wall is no ceiling
_WIDTH = 0.005  # of the range: noise and rounding spread a ceiling as far


class Ceiling(NamedTuple):
    """A level at which samples of one colour pile up, with nothing above.

    Attributes:
        level: median of these samples, in stored units.
        samples: their number.
        expected: how many the picture below it would lead one to expect.

    Example:
        >>> Ceiling(4095.0, samples=900, expected=2.0).level
        4095.0
    """

    level: float
    samples: int
    expected: float


def find_ceilings(raw: RawImage) -> tuple[Ceiling | None, ...]:
    """Return the ceilings of R, Gr, Gb, B; None for a colour that saturates too rarely to tell.

    The samples are counted by level, first by single levels, then in bands of half a percent of the range. A
    ceiling is the highest level where at least 64 samples, and eight times as many as in the ten levels below, are
    found, while hardly any lies above.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io.exif import PhotoMetadata
        >>> light = np.random.default_rng(0).integers(64, 4000, (128, 128))
        >>> stored = light.clip(max=950).astype(np.uint16)
        >>> raw = RawImage(stored, SIMULATED.profile, PhotoMetadata(), orientation=1)
        >>> [ceiling.level for ceiling in find_ceilings(raw)]
        [950.0, 950.0, 950.0, 950.0]
    """
    height, width = (n // 2 * 2 for n in raw.mosaic.shape)
    planes = pack(raw.mosaic[None, :height, :width], raw.profile.cfa)
    white = raw.profile.white_level
    return tuple(
        _ceiling(plane.ravel(), black, white) for plane, black in zip(planes, raw.profile.black_level, strict=True)
    )


def _ceiling(samples: Array, black: float, white: float) -> Ceiling | None:
    lowest = black + _LOWEST * (white - black)
    counts = np.bincount(samples, minlength=int(white) + 1)
    levels = np.flatnonzero(counts)
    single = _highest_peak(counts[levels], levels.astype(float), samples.size, 0, lowest)
    if single is not None:
        return single
    band = max(2, round(_WIDTH * (white - black)))
    middles = np.arange(0, counts.size, band) + (band - 1) / 2
    summed = np.add.reduceat(counts, np.arange(0, counts.size, band))
    found = _highest_peak(summed, middles, samples.size, _GAP, lowest)
    if found is None:
        return None
    near = samples[np.abs(samples - found.level) <= 1.5 * band]
    return found._replace(level=float(np.median(near)))


def _highest_peak(counts: Array, levels: Array, total: int, gap: int, lowest: float) -> Ceiling | None:
    """Return the highest peak that nearly nothing lies above.

    Args:
        counts: samples at each level, ascending.
        levels: the levels.
        total: number of all samples.
        gap: levels beside a peak that belong to it.
        lowest: lowest level of a ceiling.
    """
    least = max(_LEAST_SAMPLES, _LEAST_SHARE * total)
    for at in range(len(counts) - 1, _BANDS_BELOW + gap, -1):
        if levels[at] < lowest:
            return None
        here = int(counts[max(at - gap, 0) : at + gap + 1].sum())
        above = int(counts[at + gap + 1 :].sum())
        if above > _ABOVE * total:
            return None
        expected = float(counts[at - gap - _BANDS_BELOW : at - gap].mean()) * (2 * gap + 1)
        if here >= least and here >= _PEAK * expected and above <= _ABOVE * here and counts[at] >= here / 3:
            return Ceiling(float(levels[at]), here, expected)
    return None
