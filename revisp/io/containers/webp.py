"""WebP: the chunks around the pixels (RFC 9649)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["WebpFile", "is_webp", "parse_webp"]


class WebpFile(NamedTuple):
    """What the chunks hold; None where there is no such chunk.

    Attributes:
        exif: the EXIF, from its TIFF header on.
        icc: the colour profile.
        xmp: the XMP packet.
    """

    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None


def is_webp(head: bytes) -> bool:
    """Whether a file that begins so is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def parse_webp(data: bytes) -> WebpFile:
    """Read the chunks of a WebP."""
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"EXIF", b"ICCP", b"XMP "):
            found.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    exif = found.get(b"EXIF")
    return WebpFile(exif and exif.removeprefix(b"Exif\0\0"), found.get(b"ICCP"), found.get(b"XMP "))
