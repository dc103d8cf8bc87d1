"""The gain map of a JPEG: a second JPEG behind it, which says itself what its values mean."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from revisp.io.apple_gain import AppleGain, apple_headroom, is_apple_map
from revisp.io.containers.jpeg import JpegFile, appended_pictures
from revisp.io.decoders.decoded import StoredGain, upright
from revisp.io.exif import Exif
from revisp.io.gain_fields import HDRGM, GainFields, xmp_values
from revisp.io.pixel_limit import pixel_limit
from revisp.limits import max_pixels

__all__ = ["find_jpeg_gain", "read_jpeg_gain"]

Array = np.ndarray[Any, Any]

_SAME_SHAPE = 0.05
"""Greatest difference between the aspect ratios of a photo and its map, which is rounded to whole pixels."""


class Found(NamedTuple):
    """Where a gain map stands in a file, and what its values mean; None: its fields are damaged."""

    at: int
    meaning: GainFields | AppleGain | None
    origin: str


def find_jpeg_gain(data: bytes, first: JpegFile, exif: Exif | None = None) -> Found | None:
    """Search the pictures behind a JPEG for its gain map.

    Args:
        data: the file.
        first: the segments of the photo.
        exif: EXIF of the photo, which holds the headroom of Apple's maps; None leaves these out.
    """
    appended: list[tuple[int, JpegFile]] = []
    damaged: Found | None = None
    for at, each in appended_pictures(data, first):
        appended.append((at, each))
        found = _by_iso(at, each) or _by_xmp(at, each) or (None if exif is None else _by_apple(at, each, exif))
        if found is not None and found.meaning is not None:
            return found
        damaged = damaged or found
    return _by_first(first, appended) or damaged


def read_jpeg_gain(
    data: bytes, first: JpegFile, exif: Exif, path: Path, *, wanted: bool = True
) -> StoredGain | None:
    """Return the gain map of a JPEG, turned as the photo is; None, with a warning, if it is damaged.

    Args:
        data: the file.
        first: the segments of the photo.
        exif: EXIF of the photo.
        path: the file, for the warning.
        wanted: whether it is wanted in any case, or only where the JPEG is the HDR rendition.
    """
    found = find_jpeg_gain(data, first, exif)
    if found is None or not (wanted or (found.meaning is not None and found.meaning.base_is_hdr)):
        return None
    try:
        if found.meaning is None:
            raise ValueError("its fields are incomplete, damaged or of a later version")
        values = _decode(data[found.at :])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        warnings.warn(f"{path}: its gain map is left out ({error})", stacklevel=2)
        return None
    return StoredGain(_turned(values, first.size, exif.orientation), 255, found.meaning, found.origin)


def _by_iso(at: int, each: JpegFile) -> Found | None:
    if each.iso_gain is None or len(each.iso_gain) <= 4:  # only a version
        return None
    meaning = GainFields.of_iso(each.iso_gain)
    other = _by_xmp(at, each) if meaning is None else None
    return other or Found(at, meaning, "ISO 21496-1")


def _by_xmp(at: int, each: JpegFile) -> Found | None:
    if each.xmp is None or HDRGM.encode() not in each.xmp:
        return None
    fields = xmp_values(each.xmp, HDRGM)
    return Found(at, GainFields.of_names(fields), "Ultra HDR") if "GainMapMax" in fields else None


def _by_apple(at: int, each: JpegFile, exif: Exif) -> Found | None:
    if not is_apple_map(each.xmp):
        return None
    ratio = apple_headroom(each.xmp, exif)
    return Found(at, None if ratio is None else AppleGain(ratio), "Apple")


def _by_first(first: JpegFile, appended: list[tuple[int, JpegFile]]) -> Found | None:
    """Take the fields from the photo itself, where some writers put them all."""
    if not appended or first.xmp is None or HDRGM.encode() not in first.xmp:
        return None
    fields = xmp_values(first.xmp, HDRGM)
    meaning = GainFields.of_names(fields) if "GainMapMax" in fields else None
    return None if meaning is None else Found(appended[0][0], meaning, "Ultra HDR")


def _decode(stored: bytes) -> Array:
    with pixel_limit(), Image.open(io.BytesIO(stored), formats=("JPEG",)) as image:
        if image.width * image.height > max_pixels():
            raise ValueError("it is too large")
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _turned(values: Array, size: tuple[int, int], orientation: int) -> Array:
    """Turn a map upright as its photo of a stored size is.

    A map is stored as its photo is, by the specification. Some writers store it upright: its shape tells.
    """
    height, width = size
    stored = values.shape[0] * width / (values.shape[1] * height)
    if orientation < 5 or abs(np.log(stored)) <= _SAME_SHAPE:
        return upright(values, orientation)
    already = values.shape[0] * height / (values.shape[1] * width)
    return values if abs(np.log(already)) <= _SAME_SHAPE else upright(values, orientation)
