"""Which kind of file a photo is, by its first bytes, and where its EXIF stands."""

from __future__ import annotations

from typing import BinaryIO, Literal

from revisp.io.containers import jpeg, jxl, png, webp
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.isobmff import HeifFile, parse_heif

__all__ = ["HEAD", "PhotoKind", "exif_block", "heif_exif", "photo_kind"]

PhotoKind = Literal["JPEG", "PNG", "WebP", "TIFF", "HEIF", "AVIF", "JPEG XL"]

HEAD = 512
"""Bytes that tell the kind."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_LIKE = (*_TIFF, b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
"""First bytes of TIFF and of RAW files in its form: Olympus, Panasonic."""

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}


def photo_kind(head: bytes) -> PhotoKind | None:
    """Return the kind of a file that begins so; None for what is no photo."""
    if head.startswith(jpeg.SIGNATURE):
        return "JPEG"
    if head.startswith(png.SIGNATURE):
        return "PNG"
    if webp.is_webp(head):
        return "WebP"
    if head.startswith(_TIFF):
        return "TIFF"
    if jxl.is_jxl(head):
        return "JPEG XL"
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[at : at + 4] for at in (8, *range(16, size - 3, 4))}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS and head[8:12] != b"crx ":
            return "HEIF"
    return None


def exif_block(file: BinaryIO) -> bytes | BinaryIO | None:
    """Return the EXIF of an open file, from its TIFF header on; of a TIFF, the file. None where there is none."""
    head = file.read(HEAD)
    if head.startswith(_TIFF_LIKE):
        return file
    kind = photo_kind(head)
    if kind is None:
        return None
    data = head + file.read()
    try:
        return _exif_of(kind, data)
    except DamagedError:
        return None


def heif_exif(file: HeifFile) -> bytes | None:
    """Return the EXIF of the primary picture of a HEIF or AVIF file.

    Raises:
        DamagedError: it lies outside the file.
    """
    items = [item for item, kind in file.kinds.items() if kind == b"Exif"]
    items.sort(key=lambda item: file.primary not in file.targets(item, b"cdsc"))
    return tiff_of_exif_box(file.payload(items[0])) if items else None


def tiff_of_exif_box(payload: bytes) -> bytes | None:
    """Return the TIFF of an EXIF item: its first four bytes say how many come before the header."""
    block = payload[4 + int.from_bytes(payload[:4], "big") :]
    if block.startswith(_TIFF):
        return block
    place = payload.find(b"Exif\0\0")
    return payload[place + 6 :] if place >= 0 else None


def _exif_of(kind: PhotoKind, data: bytes) -> bytes | None:
    if kind == "JPEG":
        parsed = jpeg.parse_jpeg(data)
        return parsed.exif if parsed else None
    if kind == "PNG":
        chunks = png.parse_png(data)
        return chunks.exif if chunks else None
    if kind == "WebP":
        return webp.parse_webp(data).exif
    if kind == "JPEG XL":
        block = jxl.parse_jxl(data).exif
        return block and tiff_of_exif_box(block)
    return heif_exif(parse_heif(data))
