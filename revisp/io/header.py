"""File headers: sizes and dates, to plan work before files are decoded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.containers.isobmff import parse_heif
from revisp.io.containers.jxl import parse_jxl, parse_jxl_header
from revisp.io.decoders.tiff import tiff_size
from revisp.io.exif import PhotoMetadata, read_metadata
from revisp.io.file_names import RAW_ENDINGS
from revisp.io.photo_parts import HEAD, photo_kind
from revisp.io.pixel_limit import pixel_limit
from revisp.io.raw.gpr import open_gpr
from revisp.io.raw.libraw import libraw_metadata, open_libraw

__all__ = ["RawHeader", "metadata_of", "photo_size", "raw_header"]


class RawHeader(NamedTuple):
    """The header of a RAW file.

    Attributes:
        height: rows of the visible area.
        width: columns of the visible area.
        metadata: how the photo was taken.
    """

    height: int
    width: int
    metadata: PhotoMetadata


def photo_size(path: str | Path) -> tuple[int, int] | None:
    """Return height and width of a photo as stored, or None if it cannot be read."""
    try:
        with decoding(path), Path(path).open("rb") as file:
            return _size(file)
    except ImageError:  # reading the whole file reports the fault
        return None


def _size(file: BinaryIO) -> tuple[int, int] | None:
    kind = photo_kind(file.read(HEAD))
    file.seek(0)
    if kind == "TIFF":
        return tiff_size(file)
    if kind == "JPEG XL":
        return parse_jxl_header(parse_jxl(file.read()).codestream).size
    if kind in ("HEIF", "AVIF"):
        parsed = parse_heif(file.read())
        crop = parsed.crop(parsed.primary)
        return parsed.size(parsed.primary) if crop is None else crop[2:]
    with pixel_limit(), Image.open(file) as image:
        return image.height, image.width


def raw_header(path: str | Path) -> RawHeader | None:
    """Return the header of a RAW file, or None if it cannot be read."""
    path = Path(path)
    try:
        with decoding(path):
            return _raw_header(path)
    except ImageError:  # reading the whole file reports the fault
        return None


def _raw_header(path: Path) -> RawHeader:
    if path.suffix.lower() == ".gpr":
        active = open_gpr(path, lambda raw: raw.frame_info.active_area)
        return RawHeader(active.height, active.width, read_metadata(path))
    with open_libraw(path) as raw:
        return RawHeader(raw.sizes.height, raw.sizes.width, libraw_metadata(raw, path))


def metadata_of(file: Path) -> PhotoMetadata:
    """Return how a RAW or a photo was taken; all fields are None if it cannot be read."""
    try:
        state = file.stat()
    except OSError:
        return PhotoMetadata()
    return _metadata(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16384)
def _metadata(file: Path, size: int, time: int) -> PhotoMetadata:
    """Read the header of a file in one state, which size and time tell."""
    if file.suffix.lower() not in RAW_ENDINGS:
        return read_metadata(file)
    header = raw_header(file)
    return PhotoMetadata() if header is None else header.metadata
