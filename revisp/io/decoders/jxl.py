"""JPEG XL: pixels by libjxl, colours by the header of the codestream."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from revisp.errors import ImageError
from revisp.io.colour import Colour, colour_of_cicp, colour_of_exif
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.jxl import JxlFile, JxlHeader, parse_jxl, parse_jxl_header
from revisp.io.decoders.decoded import DecodedPhoto, StoredGain, check_size, mode_of
from revisp.io.decoders.ordinary import decode_jpeg
from revisp.io.exif import Exif, parse_exif
from revisp.io.gain_fields import GainFields
from revisp.io.photo_parts import tiff_of_exif_box
from revisp.io.primaries import Primaries

__all__ = ["decode_jxl"]

Array = np.ndarray[Any, Any]


def decode_jxl(data: bytes, path: Path, *, gain: bool) -> DecodedPhoto:
    """Decode a JPEG XL; one that was made of a JPEG without loss as that JPEG.

    Raises:
        ImageError: size or colours are not supported.
    """
    try:
        file = parse_jxl(data)
        header = parse_jxl_header(file.codestream)
    except DamagedError as error:
        raise ValueError(str(error)) from error
    check_size(path, header.size[1], header.size[0])
    exif = parse_exif(file.exif and tiff_of_exif_box(file.exif))
    found = _gain(file, path, wanted=gain)
    if header.has_icc:
        return _of_jpeg(data, file, path, found)
    if header.bits == 0:
        raise ImageError(f"{path}: floating-point values are not supported: convert it to 8 or 16 bits")
    pixels = imagecodecs.jpegxl_decode(data)  # of as many bits as the header says
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return DecodedPhoto(pixels, mode_of(pixels), 2**header.bits - 1, _colour(header, exif, path), exif, found)


def _of_jpeg(data: bytes, file: JxlFile, path: Path, found: StoredGain | None) -> DecodedPhoto:
    """Make the JPEG again whose profile the codestream has packed."""
    if not file.from_jpeg:
        raise ImageError(f"{path}: a JPEG XL with a colour profile, which is not read: convert it to sRGB or TIFF")
    picture = decode_jpeg(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)), path, gain=found is None)
    return DecodedPhoto(
        picture.pixels, picture.mode, picture.white, picture.colour, picture.exif, found or picture.gain
    )


def _colour(header: JxlHeader, exif: Exif, path: Path) -> Colour:
    if header.primaries is None:
        numbers = header.chromaticities[2:] + header.chromaticities[:2]
        primaries = Primaries.of(numbers)
        if primaries is None:
            raise ImageError(f"{path}: declares primaries that span no colours: convert it to sRGB first")
    else:
        primaries = colour_of_cicp(header.primaries, 13, full_range=True, path=path).primaries
    if header.gamma:
        return Colour(primaries=primaries, gamma=1 / header.gamma)
    declared = colour_of_cicp(1, header.transfer, full_range=True, path=path)
    colour = Colour(primaries=primaries, transfer=declared.transfer)
    return colour_of_exif(exif) if colour.is_srgb else colour


def _gain(file: JxlFile, path: Path, *, wanted: bool) -> StoredGain | None:
    """Return the gain map of the box ``jhgm``, with a warning and None if it is damaged.

    If it is not ``wanted``, it is returned only where the photo is the HDR rendition.
    """
    if file.gain_map is None:
        return None
    try:
        metadata, picture = _split(file.gain_map)
        meaning = GainFields.of_iso(metadata)
        if meaning is None:
            raise ValueError("its fields are damaged or of a later version")
        if not (wanted or meaning.base_is_hdr):
            return None
        header = parse_jxl_header(picture)
        check_size(path, max(header.size[1], 16), max(header.size[0], 16))
        values = imagecodecs.jpegxl_decode(picture)
    except (DamagedError, ImageError, ValueError, RuntimeError) as error:
        if wanted:
            warnings.warn(f"{path}: its gain map is left out ({error})", stacklevel=5)
        return None
    if values.ndim == 3:
        values = values[..., 0] if values.shape[-1] < 3 else values[..., :3]
    return StoredGain(values, 2**header.bits - 1, meaning, "ISO 21496-1")


def _split(box: bytes) -> tuple[bytes, bytes]:
    """Return metadata and picture of the box: version, metadata, colour encoding, profile, picture."""
    if len(box) < 3 or box[0]:
        raise DamagedError("of a later version")
    end = 3 + int.from_bytes(box[1:3], "big")
    metadata = box[3:end]
    end += 1 + box[end] if end < len(box) else 1
    end += 4 + int.from_bytes(box[end : end + 4], "big")
    if end >= len(box):
        raise DamagedError("cut off")
    return metadata, box[end:]
