"""The levels of a DNG's samples (DNG specification 1.7.1, chapter 5), and samples in the units of a profile.

*Convention*: a profile has one black level for each of R, Gr, Gb, B. A DNG may have one for each place. What a
place deviates from the mean of its plane is taken off the sample. Where the deviations are fractions, or the
samples are floating point, the units become finer: as fine as 16 bits allow.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from revisp.cfa import CFA, pack
from revisp.errors import ConfigError, ImageError
from revisp.io.raw.dng_tags import DngTags
from revisp.io.raw.rawimage import Planes, Rectangle

__all__ = ["FLOATING", "LINEARIZATION", "DngLevels", "Stored", "active_area", "masked_areas", "store"]

Array = np.ndarray[Any, Any]

LINEARIZATION = 50712
"""Number of the tag LinearizationTable."""

FLOATING = 3
"""Value of SampleFormat."""

_ACTIVE_AREA, _MASKED_AREAS = 50829, 50830
_BLACK_REPEAT, _BLACK, _BLACK_DELTA_H, _BLACK_DELTA_V, _WHITE = 50713, 50714, 50715, 50716, 50717
_MOST = 65535
_SAME = 1e-6  # of a unit: levels that differ by less are equal
_DEEPEST = 0.25  # of white: as far below 0 floating-point samples are kept


@dataclass(frozen=True)
class DngLevels:
    """The levels of the active area.

    Attributes:
        pattern: black level that repeats by rows and columns, ``[R, C]``, from the area's corner.
        rows: what each row adds to it, ``[H]``.
        columns: what each column adds to it, ``[W]``.
        white: level at which a sample saturates.
    """

    pattern: Array
    rows: Array
    columns: Array
    white: float

    @classmethod
    def of(cls, tags: DngTags, area: Rectangle, path: Path) -> DngLevels:
        """Read BlackLevel, BlackLevelRepeatDim, BlackLevelDeltaH and V, and WhiteLevel.

        Raises:
            ConfigError: a tag has too few numbers, or some that are not valid.
        """
        repeat = tuple(int(number) for number in tags.numbers(_BLACK_REPEAT, (1, 1)))
        count = repeat[0] * repeat[1] if len(repeat) == 2 and min(repeat) > 0 else 0
        black = tags.numbers(_BLACK, np.zeros(count))
        if not 0 < count <= black.size or not np.isfinite(black).all():
            raise ConfigError(f"its BlackLevel has {black.size} numbers for a repeat of {repeat}")
        white = float(tags.numbers(_WHITE, _default_white(tags))[0])
        pattern = black[:count].reshape(repeat)
        rows = _deltas(tags, _BLACK_DELTA_V, area.height, f"{path}: BlackLevelDeltaV")
        columns = _deltas(tags, _BLACK_DELTA_H, area.width, f"{path}: BlackLevelDeltaH")
        return cls(pattern, rows, columns, white)

    @property
    def tells_black(self) -> bool:
        """Whether a black level is stated that is not zero everywhere."""
        return bool(self.pattern.any() or self.rows.any() or self.columns.any())

    def with_black(self, planes: Planes, cfa: CFA) -> DngLevels:
        """Return these levels with another black level for each of R, Gr, Gb, B."""
        nothing = np.zeros_like
        return replace(self, pattern=_tile(planes, cfa), rows=nothing(self.rows), columns=nothing(self.columns))

    def black(self) -> Array:
        """Return the black level at each place, float32 ``[H, W]``."""
        height, width = self.rows.size, self.columns.size
        across, along = np.arange(height) % self.pattern.shape[0], np.arange(width) % self.pattern.shape[1]
        repeated = self.pattern.astype(np.float32)[across][:, along]
        black: Array = repeated + self.rows.astype(np.float32)[:, None] + self.columns.astype(np.float32)
        return black

    def planes(self, cfa: CFA) -> tuple[Planes, Array | None]:
        """Return the mean black level of R, Gr, Gb, B, and how far each place is above it, ``[H, W]``.

        The second is None if no place differs. If all levels are whole, the means are rounded, so that whole
        samples stay whole.
        """
        if max(self.pattern.shape) <= 2 and not self.rows.any() and not self.columns.any():
            height, width = self.pattern.shape
            red, green_red, green_blue, blue = (self.pattern[r % height, c % width] for r, c in cfa.offsets)
            return (float(red), float(green_red), float(green_blue), float(blue)), None
        black = self.black()
        rows, columns = black.shape
        packed = pack(black[None, : rows // 2 * 2, : columns // 2 * 2], cfa).reshape(4, -1)
        means = packed.mean(axis=1, dtype=np.float64)
        whole = np.array_equal(black, np.rint(black))
        red, green_red, green_blue, blue = (float(value) for value in (np.rint(means) if whole else means))
        planes = red, green_red, green_blue, blue
        tile = _tile(planes, cfa).astype(np.float32)
        above = black - np.tile(tile, (rows // 2 + 1, columns // 2 + 1))[:rows, :columns]
        return planes, above if np.abs(above).max() > _SAME else None


class Stored(NamedTuple):
    """Samples in the units of a profile.

    Attributes:
        mosaic: uint16 ``[H, W]``.
        black: black level of R, Gr, Gb, B.
        white: white level.
        scale: units for each unit of the file.
        lift: units of the file that were added before.
    """

    mosaic: Array
    black: Planes
    white: float
    scale: float = 1.0
    lift: float = 0.0


def store(samples: Array, levels: DngLevels, cfa: CFA) -> Stored:
    """Return samples ``[H, W]`` of the active area, whole numbers or floating point, as a profile counts them.

    Whole samples of 16 bits stay as they are if each plane has one black level. Else each place's deviation from
    its plane is taken off. Samples at or above white stay so. Where levels or samples are below 0, all are lifted.
    Floating-point samples, and those of more than 16 bits, are scaled so that white is 65535; what is brighter is
    cut.

    Raises:
        ImageError: a sample is not a number.
    """
    planes, above = levels.planes(cfa)
    wide = samples.dtype.kind == "f" or samples.dtype.itemsize > 2 or levels.white > _MOST + 1
    if not wide and above is None and min(planes) >= 0:
        return Stored(np.ascontiguousarray(samples, np.uint16), planes, levels.white)
    lowest = float(samples.min()) if wide else 0.0
    if not np.isfinite(lowest) or not np.isfinite(float(samples.max())):
        raise ImageError("holds samples that are not numbers")
    lift = max(0.0, -min(planes), min(-lowest, _DEEPEST * levels.white))
    white = levels.white + lift
    scale = _MOST / white if wide else _finer(above, lift, max(white, float(samples.max()) + lift))
    values: Array = samples.astype("f4" if samples.dtype.itemsize <= 2 else "f8") + lift
    if above is not None:
        values = np.where(samples >= levels.white, np.maximum(values - above, white), values - above)
    mosaic = np.rint(values * scale).clip(0, _MOST).astype(np.uint16)
    red, green_red, green_blue, blue = ((level + lift) * scale for level in planes)
    return Stored(mosaic, (red, green_red, green_blue, blue), white * scale, scale, lift)


def _finer(above: Array | None, lift: float, highest: float) -> float:
    """Return by how much units must be finer: a power of two, 1 if all that is taken off is whole."""
    steps = np.append(np.zeros(0) if above is None else above, lift)
    if np.abs(steps - np.rint(steps)).max() < 1e-3:
        return 1.0
    return float(2 ** max(0, int(np.log2(_MOST / highest))))


def _default_white(tags: DngTags) -> float:
    """Return the white level of a file without WhiteLevel: 2 ** BitsPerSample - 1, or 1 for floating point.

    A table may map few bits to greater numbers; then its greatest counts, as for other readers.
    """
    page = tags.page
    if page.sampleformat == FLOATING:
        return 1.0
    return max(2.0**page.bitspersample - 1, float(tags.numbers(LINEARIZATION, 0).max()))


def active_area(tags: DngTags, shape: tuple[int, ...]) -> Rectangle:
    """Return the part of samples ``[H, W]`` that light reached.

    Raises:
        ConfigError: it is not within the samples.
    """
    corners = tags.numbers(_ACTIVE_AREA, (0, 0, *shape[:2]))
    areas = _rectangles(corners)
    if len(areas) != 1 or not areas[0].fits(*shape[:2]):
        raise ConfigError(f"its active area {corners.tolist()} is not within {shape[1]}x{shape[0]}")
    return areas[0]


def masked_areas(tags: DngTags, shape: tuple[int, ...]) -> list[Rectangle]:
    """Return the parts of samples ``[H, W]`` that the file calls masked; those not within them are left out."""
    return [area for area in _rectangles(tags.numbers(_MASKED_AREAS)) if area.fits(*shape[:2])]


def _rectangles(corners: Array) -> list[Rectangle]:
    """Return rectangles of numbers: top, left, bottom and right, again and again."""
    if corners.size % 4 or not np.isfinite(corners).all():
        return []
    whole = corners.astype(int).reshape(-1, 4).tolist()
    return [Rectangle(top, left, bottom - top, right - left) for top, left, bottom, right in whole]


def _deltas(tags: DngTags, code: int, count: int, name: str) -> Array:
    values = tags.numbers(code)
    if values.size in (0, count) and np.isfinite(values).all():
        return values if values.size else np.zeros(count)
    warnings.warn(f"{name} has {values.size} numbers for {count} lines: it is not applied", stacklevel=6)
    return np.zeros(count)


def _tile(planes: Planes, cfa: CFA) -> Array:
    """Return one number for each of R, Gr, Gb, B at their places in the tile, float64 ``[2, 2]``."""
    tile = np.empty((2, 2))
    for value, at in zip(planes, cfa.offsets, strict=True):
        tile[at] = value
    return tile
