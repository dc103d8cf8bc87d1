"""How the samples of a DNG are stored: cut into tiles, and compressed without loss.

Measured with mosaics of 16 bits: lossless JPEG of predictor 1 and two components is read exactly by LibRaw 0.22,
dcraw 9.28, darktable 4.2.1, RawTherapee 5.9, tifffile and Adobe's SDK 1.7.1. Of predictor 6, darktable reads none.
JPEG XL is read by the SDK and by tifffile, not by the free converters. It predicts from neighbours, which have
other colours in a mosaic. So the even rows and columns come first, then the odd ones: the size falls by 30 %.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

from revisp.errors import ConfigError, near_miss

__all__ = [
    "COMPRESSIONS",
    "LEAST_SIDE",
    "Compression",
    "Encoded",
    "encode_samples",
    "find_compression",
    "join_fields",
    "part_fields",
]

Array = np.ndarray[Any, Any]

LEAST_SIDE = 16
"""Least side of a tile, and of what it can hold, in pixels; sides are multiples of it (TIFF 6.0, section 15)."""

_TILE_SIDE = 256
"""Greatest side of a tile in pixels; converters write the same."""

_TILES_AT_ONCE = 4
"""Tiles that are compressed at once; the coders hold no lock."""


class Encoded(NamedTuple):
    """Encoded samples.

    Attributes:
        pieces: one strip, or the tiles by rows.
        tile: height and width of the tiles in pixels; None for a strip.
    """

    pieces: list[bytes]
    tile: tuple[int, int] | None


class Compression(NamedTuple):
    """A way to store samples.

    Attributes:
        code: value of the tag Compression.
        encode: encodes a tile ``[h, w, C]``, uint16; None stores one strip as it is.
        version: the DNG version that a reader must know.
        interleaved: whether a mosaic is stored as `part_fields` returns it.
    """

    code: int
    encode: Callable[[Array], bytes] | None
    version: tuple[int, int, int, int] = (1, 1, 0, 0)
    interleaved: bool = False


def _lossless_jpeg(tile: Array) -> bytes:
    """Encode ``[h, w, C]`` by ITU-T T.81, process 14, predictor 1: the left neighbour.

    A mosaic's left neighbour has another colour. So two neighbours of a row become two components of one place:
    the size falls by 40 %.
    """
    if tile.shape[-1] == 1:
        tile = tile.reshape(tile.shape[0], -1, 2)
    coded = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile),
        lossless=True,
        predictor=1,
        bitspersample=16,
        colorspace="UNKNOWN",
        outcolorspace="UNKNOWN",
    )
    return bytes(coded)


def _jpeg_xl(tile: Array) -> bytes:
    squeezed = tile[..., 0] if tile.shape[-1] == 1 else tile
    coded = imagecodecs.jpegxl_encode(np.ascontiguousarray(squeezed), lossless=True, effort=2, usecontainer=False)
    return bytes(coded)


COMPRESSIONS: Mapping[str, Compression] = MappingProxyType(
    {
        "jpeg": Compression(7, _lossless_jpeg),
        "none": Compression(1, None),
        "jpegxl": Compression(52546, _jpeg_xl, (1, 7, 1, 0), interleaved=True),
    }
)
"""The compressions of `write_dng` by name; all are lossless."""


def find_compression(name: str) -> Compression:
    """Return a compression by name.

    Raises:
        ConfigError: no such compression; the message names those that exist.
    """
    if name not in COMPRESSIONS:
        raise ConfigError(near_miss("compression", name, list(COMPRESSIONS)))
    return COMPRESSIONS[name]


def encode_samples(samples: Array, compression: Compression) -> Encoded:
    """Encode a mosaic ``[H, W]`` or planes ``[H, W, C]``, uint16, as one strip or as tiles.

    Tiles that reach beyond the picture repeat its last row and column.
    """
    if samples.ndim == 2:
        samples = (part_fields(samples) if compression.interleaved else samples)[..., None]
    if compression.encode is None:
        return Encoded([np.ascontiguousarray(samples, "<u2").tobytes()], None)
    height, width = samples.shape[:2]
    tile = _side(height), _side(width)
    with ThreadPoolExecutor(min(_TILES_AT_ONCE, os.cpu_count() or 1)) as pool:
        return Encoded(list(pool.map(compression.encode, _tiles(samples, *tile))), tile)


def _side(length: int) -> int:
    """Return the side of the tiles of a picture.

    LibRaw 0.22 misreads lossless JPEG of two components in tiles wider than the picture, or half as wide.
    """
    side = min(_TILE_SIDE, length // LEAST_SIDE * LEAST_SIDE)
    return side - LEAST_SIDE if 2 * side == length else side


def part_fields(mosaic: Array) -> Array:
    """Sort rows and columns ``[H, W]`` into the even ones and then the odd ones (RowInterleaveFactor 2).

    Example:
        >>> part_fields(np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])).tolist()
        [[0, 2, 1], [6, 8, 7], [3, 5, 4]]
    """
    rows, columns = (_in_fields(n) for n in mosaic.shape)
    return mosaic[rows][:, columns]


def join_fields(parted: Array, fields: tuple[int, int] = (2, 2)) -> Array:
    """Undo `part_fields`, or what another writer parted into more fields.

    Args:
        parted: a mosaic ``[H, W]``.
        fields: RowInterleaveFactor and ColumnInterleaveFactor.

    Example:
        >>> join_fields(part_fields(np.arange(6).reshape(2, 3))).tolist()
        [[0, 1, 2], [3, 4, 5]]
    """
    rows, columns = (np.argsort(_in_fields(n, number)) for n, number in zip(parted.shape, fields, strict=True))
    return parted[rows][:, columns]


def _in_fields(count: int, fields: int = 2) -> Array:
    """Return the places 0 to ``count``, every one of the first field first."""
    return np.argsort(np.arange(count) % fields, kind="stable")


def _tiles(samples: Array, height: int, width: int) -> Iterator[Array]:
    """Yield tiles ``[height, width, C]`` by rows."""
    for top in range(0, samples.shape[0], height):
        for left in range(0, samples.shape[1], width):
            part = samples[top : top + height, left : left + width]
            missing = [(0, height - part.shape[0]), (0, width - part.shape[1]), (0, 0)]
            yield np.pad(part, missing, mode="edge") if any(after for _, after in missing) else part
