"""HEIF and AVIF: pixels by libheif and libavif, all else by the items of the file."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from revisp.errors import ImageError
from revisp.io.apple_gain import APPLE_AUXILIARY, AppleGain, apple_headroom
from revisp.io.colour import Colour, colour_of_cicp, colour_of_exif
from revisp.io.containers.av1 import av1_colours
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.hevc import hevc_colours
from revisp.io.containers.isobmff import HeifFile, parse_heif, without_sequence
from revisp.io.decoders.decoded import DecodedPhoto, StoredGain, check_size, mode_of
from revisp.io.exif import Exif, parse_exif
from revisp.io.gain_fields import HDRGM, GainFields, xmp_values
from revisp.io.photo_parts import heif_exif

__all__ = ["decode_heif"]

Array = np.ndarray[Any, Any]

_LIBRARIES = ("pi_heif", "pillow_heif")
"""Bindings of libheif; the first only reads, and its wheels have no encoder under the GPL."""

_AUXILIARY_MAP = b":aux:hdrgainmap"

_DERIVED = (b"grid", b"iden", b"iovl")
_MOST_DERIVATIONS = 4
_UNSPECIFIED = 2
"""The number of ITU-T H.273 for colour primaries or a transfer function that are not known."""

_USUAL_PRIMARIES, _USUAL_TRANSFERS = (1, 5, 6), (1, 6, 13)
"""BT.709 or sRGB, and BT.601, in a bitstream: phones write them beside a profile for Display P3, too."""


def decode_heif(data: bytes, path: Path, *, avif: bool, gain: bool) -> DecodedPhoto:
    """Decode the primary picture of a HEIF or AVIF file.

    Rotation and mirror are those of the file's properties; the EXIF orientation only repeats them.

    Raises:
        ImageError: size or colours are not supported; HEIF without the library that reads it.
    """
    try:
        file = parse_heif(data)
        if avif and file.sequence:
            warnings.warn(f"{path}: an image sequence, only its still picture is read", stacklevel=4)
            file = parse_heif(without_sequence(data))
        exif = parse_exif(heif_exif(file))
    except DamagedError as error:
        raise ValueError(str(error)) from error
    size = file.size(file.primary)
    if size is not None:
        check_size(path, size[1], size[0])
    pixels, white = _decode(file, file.primary, path, avif=avif)
    check_size(path, pixels.shape[1], pixels.shape[0])
    colour = _colour(file, file.primary, path) or colour_of_exif(exif)
    found = None
    try:
        found = _gain(file, exif, path, avif=avif, wanted=gain or colour.hdr is not None)
    except (DamagedError, ImageError, ValueError, RuntimeError, OSError) as error:
        if gain:
            warnings.warn(f"{path}: its gain map is left out ({error})", stacklevel=5)
    return DecodedPhoto(pixels, mode_of(pixels), white, colour, exif, found)


def _decode(file: HeifFile, item: int, path: Path, *, avif: bool) -> tuple[Array, int]:
    """Return the upright pixels of an item, and their value of white."""
    if avif and item == file.primary:
        data = file.without_brand(b"tmap")  # libavif refuses the photo if it does not like the gain map
    else:
        data = file.data if item == file.primary else file.with_primary(item)
    return _avif(data, file, item) if avif else _heif(data, path)


def _avif(data: bytes, file: HeifFile, item: int) -> tuple[Array, int]:
    pixels = imagecodecs.avif_decode(data, index=0)
    bits = _bits(file, item) if pixels.dtype == np.uint16 else 8
    crop = file.crop(item)
    if crop is not None:
        top, left, height, width = crop
        pixels = pixels[top : top + height, left : left + width]
    return _turned(pixels, file.turns(item)), 2**bits - 1


def _bits(file: HeifFile, item: int) -> int:
    """Return the bits of a sample of AV1, by its configuration, or that of the first tile of a grid."""
    for each in (item, *file.targets(item, b"dimg")):
        configuration = file.property(each, b"av1C")
        if configuration is not None and len(configuration) > 2:
            return (12 if configuration[2] & 0x20 else 10) if configuration[2] & 0x40 else 8
    return 10


def _heif(data: bytes, path: Path) -> tuple[Array, int]:
    library = _library(path)
    opened = library.open_heif(data, convert_hdr_to_8bit=False)
    pixels = np.array(opened[opened.primary_index])  # a copy: the buffer is freed with the file
    return pixels, int(np.iinfo(pixels.dtype).max)  # more than 8 bits are scaled to 16


def _library(path: Path) -> Any:
    for name in _LIBRARIES:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ImageError(f"{path}: a HEIF photo: install revisp[heif] to read it (pip install 'revisp[heif]')")


def _colour(file: HeifFile, item: int, path: Path) -> Colour | None:
    """Return the colours of an item by its profile, or by its numbers of H.273; None where there are neither.

    Where a derived picture, such as a grid, states none, they are those of the first picture that it is made of.
    Numbers that the box colr leaves unspecified are those of the bitstream. Of both, `_meant` is taken.
    """
    coded = _coded_item(file, item)
    own, inner = (
        [each.data for each in file.properties.get(place, []) if each.kind == b"colr"] for place in (item, coded)
    )
    stated = own or inner
    for kind in (b"prof", b"rICC"):
        for each in stated:
            if each[:4] == kind and len(each) > 132:
                return Colour(icc=each[4:])
    numbers = _UNSPECIFIED, _UNSPECIFIED
    for each in stated:
        if each[:4] == b"nclx" and len(each) >= 8:
            numbers = int.from_bytes(each[4:6], "big"), int.from_bytes(each[6:8], "big")
            numbers = numbers if own else _meant(numbers)
            break
    if _UNSPECIFIED in numbers:
        primaries, transfer = _meant(_coded_numbers(file, coded, path))
        numbers = (
            primaries if numbers[0] == _UNSPECIFIED else numbers[0],
            transfer if numbers[1] == _UNSPECIFIED else numbers[1],
        )
    if numbers == (_UNSPECIFIED, _UNSPECIFIED):
        return None
    return colour_of_cicp(*numbers, full_range=True, path=path)  # the decoder has applied matrix and range


def _meant(numbers: tuple[int, int]) -> tuple[int, int]:
    """Return numbers of a bitstream, or of a tile, without those that say nothing.

    Encoders put the numbers of sRGB and of SDR video there by themselves, beside any profile.
    """
    primaries, transfer = numbers
    return (
        _UNSPECIFIED if primaries in _USUAL_PRIMARIES else primaries,
        _UNSPECIFIED if transfer in _USUAL_TRANSFERS else transfer,
    )


def _coded_item(file: HeifFile, item: int) -> int:
    """Return the first coded picture that an item is made of: mostly itself."""
    for _ in range(_MOST_DERIVATIONS):
        if file.kinds.get(item) not in _DERIVED:
            break
        item = next(iter(file.targets(item, b"dimg")), 0)
    return item


def _coded_numbers(file: HeifFile, item: int, path: Path) -> tuple[int, int]:
    """Return what the bitstream of an item says of its colours."""
    found = None
    try:
        if file.kinds.get(item) == b"av01":
            inside = (file.property(item, b"av1C") or b"")[4:]
            found = av1_colours(inside) or av1_colours(file.payload(item))
        elif (configuration := file.property(item, b"hvcC")) is not None:
            found = hevc_colours(configuration)
    except DamagedError as error:
        warnings.warn(f"{path}: the colours in its bitstream are left out ({error})", stacklevel=6)
    return found or (_UNSPECIFIED, _UNSPECIFIED)


def _gain(file: HeifFile, exif: Exif, path: Path, *, avif: bool, wanted: bool) -> StoredGain | None:
    """Return the gain map of the primary item: by ISO 21496-1, or as an auxiliary picture.

    If it is not ``wanted``, it is returned only where the primary item is the HDR rendition.
    """
    for item, kind in file.kinds.items():
        if kind == b"tmap" and _counts(file, item):
            base, values = file.targets(item, b"dimg")[:2]
            payload = file.payload(item)
            meaning = GainFields.of_iso(payload[1:]) if payload[:1] == b"\0" else None
            if base == file.primary and meaning is not None:
                if not (wanted or meaning.base_is_hdr):
                    return None
                other = None if meaning.base_colours else _colour(file, item, path)
                return _stored(file, values, meaning, "ISO 21496-1", path, avif=avif, colour=other)
            raise ValueError("its fields are damaged or of a later version")
    for item in file.sources(file.primary, b"auxl"):
        name = file.property(item, b"auxC") or b""
        if _AUXILIARY_MAP not in name or not wanted:
            continue
        xmp = _xmp_of(file, item)
        if APPLE_AUXILIARY.encode() in name:
            ratio = apple_headroom(xmp, exif)
            if ratio is None:
                raise ValueError("neither its XMP nor the maker note states its headroom")
            return _stored(file, item, AppleGain(ratio), "Apple", path, avif=avif)
        fields = GainFields.of_names(xmp_values(xmp, HDRGM))
        if fields is None:
            raise ValueError("its fields are incomplete or damaged")
        return _stored(file, item, fields, "Ultra HDR", path, avif=avif)
    return None


def _counts(file: HeifFile, item: int) -> bool:
    """Whether a tone-mapped item is an alternative to the primary one (ISO/IEC 23008-12, 6.6.2.4)."""
    inputs = file.targets(item, b"dimg")
    if len(inputs) < 2 or b"tmap" not in file.brands:
        return False
    groups = [group for group in file.alternatives if item in group and file.primary in group]
    return all(group.index(item) < group.index(file.primary) for group in groups)


def _stored(
    file: HeifFile,
    item: int,
    meaning: GainFields | AppleGain,
    origin: str,
    path: Path,
    *,
    avif: bool,
    colour: Colour | None = None,
) -> StoredGain:
    size = file.size(item)
    if size is not None:
        check_size(path, max(size[1], 16), max(size[0], 16))
    values, white = _decode(file, item, path, avif=avif)
    if values.ndim == 3 and values.shape[-1] in (2, 4):
        values = values[..., :-1]
    values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    if not file.turns(item) and file.turns(file.primary):
        values = _as_photo(values, file)
    return StoredGain(values, white, meaning, origin, colour)


def _as_photo(values: Array, file: HeifFile) -> Array:
    """Turn a map whose item has no rotation as the photo is, unless its shape says that it stands upright."""
    height, width = file.size(file.primary) or values.shape[:2]
    upright = abs(np.log(values.shape[0] * height / (values.shape[1] * width)))
    stored = abs(np.log(values.shape[0] * width / (values.shape[1] * height)))
    if upright < stored - 0.05:
        return values
    return _turned(values, file.turns(file.primary))


def _turned(pixels: Array, turns: list[tuple[str, int]]) -> Array:
    for kind, value in turns:
        pixels = np.rot90(pixels, value) if kind == "turn" else np.flip(pixels, axis=value)
    return pixels


def _xmp_of(file: HeifFile, item: int) -> bytes | None:
    for each in file.sources(item, b"cdsc"):
        if b"rdf+xml" in file.content_types.get(each, b""):
            return file.payload(each)
    return None
