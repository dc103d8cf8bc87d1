"""The GainMap opcodes of a DNG or GPR: the gain by which a camera evens out its lens shading.

DNG specification 1.7.1, chapter 7: OpcodeList2 is applied to the mosaic, after black has been taken off. Each map
covers an area of the active area at a pitch of rows and columns, such as the places of one colour.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from revisp.errors import ImageError
from revisp.io.raw.dng_tags import DngTags, is_dng
from revisp.io.raw.rawimage import RawImage

__all__ = ["apply_gain_maps", "read_gain"]

Array = np.ndarray[Any, Any]

_OPCODE_LIST_2, _GAIN_MAP = 51009, 9
_OPCODE, _AREA, _GRID = struct.Struct(">IIII"), struct.Struct(">8I"), struct.Struct(">II4dI")
_MOST_GAIN = 64.0


class _GainMap(NamedTuple):
    """A map; top, left, bottom and right bound it, and every ``row_pitch``-th row and column counts."""

    top: int
    left: int
    bottom: int
    right: int
    row_pitch: int
    column_pitch: int
    spacing: tuple[float, float]
    origin: tuple[float, float]
    gains: Array

    def multiply(self, gain: Array) -> None:
        """Multiply a gain ``[H, W]`` by this map's, bilinear between its points and constant beyond them."""
        height, width = gain.shape
        rows = np.arange(self.top, min(self.bottom, height), self.row_pitch)
        columns = np.arange(self.left, min(self.right, width), self.column_pitch)
        if not rows.size or not columns.size:
            return
        down = _weights(rows, height, self.origin[0], self.spacing[0], self.gains.shape[0])
        across = _weights(columns, width, self.origin[1], self.spacing[1], self.gains.shape[1])
        gain[np.ix_(rows, columns)] *= down @ self.gains @ across.T


def _weights(at: Array, length: int, origin: float, spacing: float, points: int) -> Array:
    """Return the share of each point of a map in each row or column, float32 ``[n, points]``.

    Places are shares of the whole length, and pixels are read at their centres.
    """
    place = ((at + 0.5) / length - origin) / spacing if points > 1 else np.zeros(at.size)
    place = place.clip(0, points - 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(points)), 0).astype(np.float32)


def read_gain(path: Path, shape: tuple[int, int]) -> Array | None:
    """Return the gain at each place of the active area, float32 ``[H, W]``; None if the file has no GainMap.

    Args:
        path: a DNG or GPR file.
        shape: rows and columns of the active area.

    Raises:
        ImageError: a map is damaged.
    """
    if not is_dng(path):
        return None
    with tifffile.TiffFile(path) as tiff:
        data = DngTags(tiff).numbers(_OPCODE_LIST_2).astype(np.uint8).tobytes()
    try:
        maps = _gain_maps(data)
    except (struct.error, ValueError) as error:
        raise ImageError(f"{path}: its GainMap is damaged ({error})") from error
    if not maps:
        return None
    gain = np.ones(shape, np.float32)
    for one in maps:
        one.multiply(gain)
    return gain


def apply_gain_maps(raw: RawImage, gain: Array) -> RawImage:
    """Return a RAW whose samples, counted from black, are multiplied by a gain ``[H, W]``, and end at white."""
    return replace(raw, mosaic=raw.profile.quantise(raw.normalised() * gain))


def _gain_maps(data: bytes) -> list[_GainMap]:
    """Return the maps of an opcode list; other opcodes are passed over."""
    if not data:
        return []
    maps, at = [], 4
    for _ in range(struct.unpack_from(">I", data)[0]):
        kind, _, _, size = _OPCODE.unpack_from(data, at)
        at += _OPCODE.size
        if kind == _GAIN_MAP:
            maps.append(_gain_map(data[at : at + size]))
        at += size
    return maps


def _gain_map(data: bytes) -> _GainMap:
    top, left, bottom, right, _, _, row_pitch, column_pitch = _AREA.unpack_from(data)
    points_v, points_h, spacing_v, spacing_h, origin_v, origin_h, planes = _GRID.unpack_from(data, _AREA.size)
    start = _AREA.size + _GRID.size
    gains = np.frombuffer(data, ">f4", points_v * points_h * planes, start).reshape(points_v, points_h, planes)
    placed = row_pitch > 0 and column_pitch > 0 and min(spacing_v, spacing_h) > 0
    if not placed or not gains.size or not ((gains > 0) & (gains < _MOST_GAIN)).all():
        raise ValueError("gains, spacing or pitch are not valid")
    first = gains[..., 0].astype(np.float32)  # a mosaic has one plane
    return _GainMap(
        top, left, bottom, right, row_pitch, column_pitch, (spacing_v, spacing_h), (origin_v, origin_h), first
    )
