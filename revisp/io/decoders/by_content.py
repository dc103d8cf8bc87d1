"""Choose the decoder of a photo by its content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.damaged import Damaged
from revisp.io.decoders.decoded import DecodedPhoto
from revisp.io.decoders.heif import decode_heif
from revisp.io.decoders.jxl import decode_jxl
from revisp.io.decoders.ordinary import decode_jpeg, decode_png, decode_webp
from revisp.io.decoders.tiff import decode_tiff
from revisp.io.not_a_photo import not_a_photo
from revisp.io.photo_parts import HEAD, photo_kind

__all__ = ["decode_photo"]


def decode_photo(file: BinaryIO, path: Path, *, gain: bool, damaged: Damaged = "refuse") -> DecodedPhoto:
    """Decode an open photo by its content; a pipe is read whole.

    Args:
        file: the photo.
        path: its name in errors.
        gain: whether its gain map is wanted.
        damaged: what to do with a photo of which a part is missing.

    Raises:
        ImageError: no photo, damaged, or of a kind that is not supported.
    """
    head = file.read(HEAD)
    if not head:
        raise ImageError(f"{path}: the file is empty")
    kind = photo_kind(head)
    if kind is None:
        raise not_a_photo(path, head)
    with decoding(path, "damaged or not a photo"):
        if kind == "TIFF":
            return decode_tiff(file if file.seekable() else io.BytesIO(head + file.read()), path, damaged)
        data = head + file.read()
        if kind == "JPEG":
            return decode_jpeg(data, path, gain=gain, damaged=damaged)
        if kind == "PNG":
            return decode_png(data, path)
        if kind == "WebP":
            return decode_webp(data, path)
        if kind == "JPEG XL":
            return decode_jxl(data, path, gain=gain)
        return decode_heif(data, path, avif=kind == "AVIF", gain=gain)
