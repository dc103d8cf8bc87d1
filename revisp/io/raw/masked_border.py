"""The black level, measured on samples that no light reaches: the masked border of the sensor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from revisp.cfa import CFA, pack
from revisp.io.raw.rawimage import Planes, Rectangle

__all__ = ["border_black", "masked_black", "warn_of_black"]

Array = np.ndarray[Any, Any]

_MIN_SAMPLES = 64  # samples a plane, for a mean to within a tenth of their noise

_NOISE = 0.02  # of white: read noise is a fraction of a percent, even at high gain

_APART = 0.02  # of the range: black drifts with temperature, but by less


def border_black(stored: Array, visible: Rectangle, cfa: CFA, white: float) -> Planes | None:
    """Return the mean reading of the masked border for R, Gr, Gb, B, in stored units.

    Light and charge leak into the samples next to the picture, so only the outer half of the border is used. The
    mean leaves out hot pixels: samples more than three robust standard deviations (1.4826 times the median
    absolute deviation) from the median.

    Args:
        stored: all values that the file holds, ``[H, W]``.
        visible: rectangle of the picture.
        cfa: Bayer phase of the picture.
        white: white level.

    Returns:
        None if there is no border or it is not usable: too few samples, all equal (padding), uneven or noisy
        (light reaches it), or brighter than the picture's shadows or a quarter of white.
    """
    areas = _outer_half(stored.shape, visible)
    sides = [stored[area] for area in areas]
    if not _tells(sides, white):
        return None
    if np.percentile(stored[visible.slices], 1) < min(np.percentile(side, 1) for side in sides):
        return None
    return _mean_by_plane(stored, areas, visible, cfa)


def masked_black(stored: Array, areas: Sequence[Rectangle], visible: Rectangle, cfa: CFA) -> Planes | None:
    """Return the mean reading of areas that the file itself calls masked, as `border_black` does of a border.

    Args:
        stored: all values that the file holds, ``[H, W]``.
        areas: the masked areas.
        visible: rectangle of the picture.
        cfa: Bayer phase of the picture.

    Returns:
        None if there are too few samples.
    """
    return _mean_by_plane(stored, [area.slices for area in areas], visible, cfa)


def warn_of_black(black: Planes, measured: Planes | None, white: float, path: Path) -> None:
    """Warn if a stated black level is far from the masked border's.

    Args:
        black: stated black level of R, Gr, Gb, B.
        measured: that of the border; None if there is none.
        white: white level.
        path: the file.
    """
    if measured is None:
        return
    apart = max(abs(one - two) for one, two in zip(black, measured, strict=True))
    if apart > _APART * (white - max(black)):
        stated, found = (", ".join(f"{level:.4g}" for level in levels) for levels in (black, measured))
        warnings.warn(
            f"{path}: states a black level of {stated}, which is used, but its masked border reads {found}",
            stacklevel=5,
        )


def _mean_by_plane(
    stored: Array, areas: Sequence[tuple[slice, slice]], visible: Rectangle, cfa: CFA
) -> Planes | None:
    """Return the mean of R, Gr, Gb, B in some areas without hot pixels; None if there are too few samples."""
    height, width = (n // 2 * 2 for n in stored.shape)
    phase = cfa.crop(-visible.top, -visible.left)
    mask = np.zeros(stored.shape, bool)
    for area in areas:
        mask[area] = True
    planes = pack(stored[None, :height, :width], phase)
    masked = pack(mask[None, :height, :width], phase)
    samples = [plane[where] for plane, where in zip(planes, masked, strict=True)]
    if min(plane.size for plane in samples) < _MIN_SAMPLES:
        return None
    red, green_red, green_blue, blue = (_clipped_mean(plane) for plane in samples)
    return red, green_red, green_blue, blue


def _outer_half(shape: tuple[int, ...], visible: Rectangle) -> list[tuple[slice, slice]]:
    """Return the outer half of the border on each side that has a border."""
    rows, columns = visible.slices
    sides = [
        (slice(0, visible.top // 2), columns),
        (rows, slice(0, visible.left // 2)),
        (slice((rows.stop + shape[0] + 1) // 2, shape[0]), columns),
        (rows, slice((columns.stop + shape[1] + 1) // 2, shape[1])),
    ]
    return [side for side in sides if all(part.start < part.stop for part in side)]


def _tells(sides: list[Array], white: float) -> bool:
    """Whether there is a border that is equally dark on all sides and has the noise of a sensor."""
    if not sides or all(side.min() == side.max() for side in sides):
        return False
    middles, spreads = zip(*(_robust(side) for side in sides), strict=True)
    alike = max(middles) - min(middles) <= 3 * min(spreads) + 1
    return alike and max(spreads) <= _NOISE * white and max(middles) <= white / 4


def _robust(samples: Array) -> tuple[float, float]:
    """Return the median and a robust standard deviation, at least half a step of the AD converter."""
    middle = float(np.median(samples))
    return middle, max(1.4826 * float(np.median(np.abs(samples - middle))), 0.5)


def _clipped_mean(samples: Array) -> float:
    values = samples.astype(np.float64)
    middle, spread = _robust(values)
    return float(values[np.abs(values - middle) <= 3 * spread].mean())
