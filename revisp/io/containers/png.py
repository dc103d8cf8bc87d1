"""PNG: the chunks that say what the pixels mean (Portable Network Graphics, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["SIGNATURE", "PngFile", "parse_png", "with_software"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 33
"""Where the chunk of the header ends, the first one."""

_MOST_INFLATED = 1 << 24
"""Most bytes of a compressed chunk."""


class PngFile(NamedTuple):
    """What the chunks around the pixels hold; None where there is no such chunk.

    Attributes:
        bits: bits of a sample.
        cicp: colour primaries, transfer function, matrix and full-range flag (ITU-T H.273).
        icc: the colour profile.
        srgb: whether the file says that it is sRGB.
        gamma: what the light was raised to, to make the samples: 1/2.2 for instance.
        chromaticities: x and y of white, red, green and blue.
        exif: the EXIF, from its TIFF header on.
        xmp: the XMP packet.
        software: the program that wrote the file.
    """

    bits: int
    cicp: tuple[int, int, int, int] | None = None
    icc: bytes | None = None
    srgb: bool = False
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    software: str | None = None


def parse_png(data: bytes) -> PngFile | None:
    """Read the chunks of a PNG; return None for other bytes. A damaged chunk counts as absent."""
    if not data.startswith(SIGNATURE) or len(data) < _HEADER_END:
        return None
    found: dict[str, object] = {}
    for kind, payload in _chunks(data):
        value = _VALUES[kind](payload) if kind in _VALUES else None
        if value is not None:
            found.setdefault(*value)
    return PngFile(data[24], **found)  # type: ignore[arg-type]


def with_software(data: bytes, software: str) -> bytes:
    """Return a PNG with a text chunk that names the program that wrote it."""
    content = b"tEXtSoftware\0" + software.encode("latin-1")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return data[:_HEADER_END] + chunk + data[_HEADER_END:]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each chunk but those of pixels."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, b"" if kind == b"IDAT" else data[at + 8 : at + 8 + length]
        at += 12 + length


Value = tuple[str, object] | None


def _cicp(payload: bytes) -> Value:
    return ("cicp", tuple(payload)) if len(payload) == 4 else None


def _icc(payload: bytes) -> Value:
    profile = _inflated(payload.partition(b"\0")[2][1:])
    return ("icc", profile) if profile else None


def _srgb(payload: bytes) -> Value:
    return "srgb", True


def _gamma(payload: bytes) -> Value:
    value = int.from_bytes(payload, "big") / 100_000 if len(payload) == 4 else 0
    return ("gamma", value) if 0 < value < 100 else None


def _chromaticities(payload: bytes) -> Value:
    if len(payload) != 32:
        return None
    return "chromaticities", tuple(value / 100_000 for value in struct.unpack(">8I", payload))


def _exif(payload: bytes) -> Value:
    return "exif", payload.removeprefix(b"Exif\0\0")


def _text(payload: bytes) -> Value:
    """Read XMP of an iTXt chunk."""
    key, _, rest = payload.partition(b"\0")
    if key != b"XML:com.adobe.xmp" or len(rest) < 2:
        return None
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    packet = _inflated(text) if rest[0] else text
    return ("xmp", packet) if packet else None


def _software(payload: bytes) -> Value:
    key, _, text = payload.partition(b"\0")
    return ("software", text.decode("latin-1")) if key == b"Software" else None


def _profile_text(payload: bytes) -> Value:
    """Read EXIF that ImageMagick stored as hexadecimal text before PNG had a chunk for it."""
    key, _, rest = payload.partition(b"\0")
    if key not in (b"Raw profile type exif", b"Raw profile type APP1"):
        return None
    lines = (_inflated(rest[1:]) or b"").split(b"\n")  # empty, name, length, digits
    try:
        block = bytes.fromhex(b"".join(lines[3:]).decode("ascii"))
    except ValueError:
        return None
    return _exif(block) if block.startswith((b"Exif\0\0", b"II*\0", b"MM\0*")) else None


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, _MOST_INFLATED)
    except zlib.error:
        return None


_VALUES = {
    b"cICP": _cicp,
    b"iCCP": _icc,
    b"sRGB": _srgb,
    b"gAMA": _gamma,
    b"cHRM": _chromaticities,
    b"eXIf": _exif,
    b"iTXt": _text,
    b"tEXt": _software,
    b"zTXt": _profile_text,
}
