"""The positions of crops of each brightness, so that crops can be drawn evenly over all brightnesses.

Berdan et al., "ReRAW: RGB-to-RAW Image Reconstruction via Stratified Sampling for Efficient Object Detection on
the Edge" (CVPR 2025, arXiv 2503.03782): RAW values are mostly dark. Uniform crops contain few bright values, and a
network fits these badly. The released code draws within each image; here one draw is over all pictures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from revisp.data.picture import BRIGHTNESS_STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from revisp.data.picture import Picture

__all__ = ["Strata", "Stratum"]

MOST_WINDOWS = 1024
"""Most windows of a picture that are examined, evenly spread. Neighbouring windows hardly differ."""

Array = np.ndarray[Any, Any]


class Stratum(NamedTuple):
    """The windows whose mean lies in one bin.

    Attributes:
        channel: 0 = R, 1 = G, 2 = B.
        level: number of the bin.
        windows: indices of the windows.
    """

    channel: int
    level: int
    windows: Array


class Strata:
    """The windows of pictures, by the mean of each channel of their RAW.

    A window belongs to one bin in each channel. Bins are equal parts of [0, 1] and hold the windows of all
    pictures together. Empty bins are left out; all others have the same probability.

    Args:
        pictures: the pictures of the data set. The constructor reads each once, at every `BRIGHTNESS_STEP`-th row
            and column.
        crop: side of a window in pixels, no larger than a picture.
        bins: brightness bins of each channel; published: 10.

    Attributes:
        strata: the bins with windows, by channel and level.
    """

    def __init__(self, pictures: Sequence[Picture], crop: int, bins: int) -> None:
        found = [_windows(index, picture, crop, bins) for index, picture in enumerate(pictures)]
        self.places: Array = np.concatenate([places for places, _ in found])
        levels = np.concatenate([levels for _, levels in found])
        self.strata = [
            Stratum(channel, level, windows.astype(np.int32))
            for channel in range(3)
            for level in range(bins)
            if len(windows := np.flatnonzero(levels[:, channel] == level))
        ]
        self._by_channel = [[stratum for stratum in self.strata if stratum.channel == c] for c in range(3)]

    def draw(self, which: float, at: float, row: float, column: float) -> tuple[int, int, int]:
        """Turn four numbers, uniform in [0, 1), into a window.

        Args:
            which: chooses the channel, uniformly, and one of its bins, uniformly.
            at: chooses the window in the bin, uniformly.
            row: moves the window a little up or down, so that positions between the examined windows occur too.
            column: moves the window left or right.

        Returns:
            Index of the picture, first row and first column; the window may lie slightly outside the picture.
        """
        which *= 3
        of_channel = self._by_channel[int(which)]
        windows = of_channel[int(which % 1 * len(of_channel))].windows
        image, top, left, slack = self.places[windows[int(at * len(windows))]].tolist()
        return image, top + round((row - 0.5) * slack), left + round((column - 0.5) * slack)


def _windows(index: int, picture: Picture, crop: int, bins: int) -> tuple[Array, Array]:
    """Return (picture, row, column, slack) of windows, ``[n, 4]``, and their bins, ``[n, 3]``."""
    brightness = np.clip(picture.brightness(), 0, 1)
    rows, columns = ((side - crop) // BRIGHTNESS_STEP + 1 for side in (picture.height, picture.width))
    stride = max(1, math.ceil(math.sqrt(rows * columns / MOST_WINDOWS)))
    side = max(1, crop // BRIGHTNESS_STEP)
    sums = np.pad(brightness, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    top, left = np.arange(0, rows, stride), np.arange(0, columns, stride)
    down, right = (top + side)[:, None], left + side
    upper, lower = (sums[:, edge, right] - sums[:, edge, left] for edge in (top[:, None], down))
    means = (lower - upper) / side**2
    levels = np.minimum(means * bins, bins - 1).astype(np.uint8 if bins < 256 else np.int32)
    places = np.empty((len(top), len(left), 4), np.int32)
    places[..., 0], places[..., 3] = index, min(stride * BRIGHTNESS_STEP, crop // 2)
    places[..., 1], places[..., 2] = BRIGHTNESS_STEP * top[:, None], BRIGHTNESS_STEP * left
    return places.reshape(-1, 4), levels.reshape(3, -1).T
