"""JPEG XL: its boxes, and the header of its codestream (ISO/IEC 18181-1 and 18181-2)."""

from __future__ import annotations

from typing import NamedTuple

import imagecodecs

from revisp.io.containers.damage import DamagedError
from revisp.io.containers.isobmff import boxes

__all__ = ["JxlFile", "JxlHeader", "is_jxl", "parse_jxl", "parse_jxl_header"]

_MOST_UNPACKED = 64 << 20
"""Most bytes of a compressed box: EXIF, XMP or a gain map."""

_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_RGB, _GREY = 0, 1
_CUSTOM = 2
_WHITES = {1: (0.3127, 0.3290), 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
"""Whites by their numbers: D65, E and DCI."""


class JxlFile(NamedTuple):
    """What the boxes hold; None where there is no such box.

    Attributes:
        codestream: the picture.
        exif: content of the box of the EXIF.
        gain_map: content of the box ``jhgm``.
        from_jpeg: whether the file holds what makes the JPEG again that it was made of.
    """

    codestream: bytes
    exif: bytes | None
    gain_map: bytes | None
    from_jpeg: bool


class JxlHeader(NamedTuple):
    """The header of a codestream.

    Attributes:
        size: height and width as stored.
        orientation: EXIF orientation.
        bits: bits of a sample; 0 for floating point.
        grey: whether there is one colour channel.
        has_icc: whether the colours are those of a profile.
        primaries: number in ITU-T H.273; None for custom ones.
        chromaticities: x and y of white, red, green and blue, where they are custom.
        transfer: number in ITU-T H.273.
        gamma: exponent from linear to encoded values, instead of ``transfer``.
    """

    size: tuple[int, int]
    orientation: int = 1
    bits: int = 8
    grey: bool = False
    has_icc: bool = False
    primaries: int | None = 1
    chromaticities: tuple[float, ...] = ()
    transfer: int = 13
    gamma: float | None = None


def is_jxl(head: bytes) -> bool:
    """Whether a file that begins so is a JPEG XL."""
    return head.startswith((_CONTAINER, _CODESTREAM))


def parse_jxl(data: bytes) -> JxlFile:
    """Read the boxes of a JPEG XL.

    Raises:
        DamagedError: the boxes contradict, or hold no picture.
    """
    if data.startswith(_CODESTREAM):
        return JxlFile(data, None, None, from_jpeg=False)
    found: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    for kind, start, end in boxes(data):
        content = data[start:end]
        if kind == b"brob":
            kind, content = content[:4], _brotli(content[4:])
        if kind == b"jxlp":
            parts.append(content[4:])
        else:
            found.setdefault(kind, content)
    codestream = found.get(b"jxlc") or b"".join(parts)
    if not codestream:
        raise DamagedError("no picture")
    return JxlFile(codestream, found.get(b"Exif"), found.get(b"jhgm"), from_jpeg=b"jbrd" in found)


def parse_jxl_header(codestream: bytes) -> JxlHeader:
    """Read the header of a codestream.

    Raises:
        DamagedError: it is cut off or of another kind.
    """
    if not codestream.startswith(_CODESTREAM):
        raise DamagedError("no codestream")
    bits = _Bits(codestream[2:512])
    header = JxlHeader(_size(bits))
    if bits.flag():  # all default
        return header
    if bits.flag():  # extra fields
        header = header._replace(orientation=1 + bits.take(3))
        if bits.flag():
            _size(bits)  # intrinsic size
        if bits.flag():
            raise DamagedError("has a preview")
        if bits.flag():
            raise DamagedError("is an animation")
    header = header._replace(bits=_depth(bits))
    bits.take(1)  # modular with 16 bits
    for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12))):
        _extra_channel(bits)
    bits.take(1)  # XYB
    return _colours(bits, header)


class _Bits:
    """Bits from the lowest of each byte on."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise DamagedError("its header is cut off")
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        return found

    def flag(self) -> bool:
        return bool(self.take(1))

    def choice(self, *options: tuple[int, int]) -> int:
        """Read one of four offsets, each with a number of bits that is added."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)

    def enum(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))

    def signed(self) -> int:
        value = self.choice((0, 19), (524288, 19), (1048576, 20), (2097152, 21))
        return -(value + 1) // 2 if value & 1 else value // 2

    def half(self) -> None:
        self.take(16)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else 1 + bits.choice((0, 9), (0, 13), (0, 18), (0, 30))

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    above, below = _RATIOS[ratio - 1]
    return height, height * above // below


def _depth(bits: _Bits) -> int:
    if bits.flag():  # floating point
        bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
        return 0
    return bits.choice((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> None:
    if bits.flag():  # all default: alpha of 8 bits
        return
    kind = bits.enum()
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.choice((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == 0:
        bits.take(1)  # alpha is associated
    elif kind == 2:
        bits.take(4 * 16)
    elif kind == 5:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))


def _colours(bits: _Bits, header: JxlHeader) -> JxlHeader:
    if bits.flag():  # all default: sRGB
        return header
    has_icc = bits.flag()
    space = bits.enum()
    header = header._replace(has_icc=has_icc, grey=space == _GREY)
    if has_icc:
        return header
    if space not in (_RGB, _GREY):
        raise DamagedError("has neither colours nor grey")
    white = bits.enum()
    place = _point(bits) if white == _CUSTOM else _WHITES.get(white, _WHITES[1])
    if space == _RGB:
        primaries = bits.enum()
        if primaries == _CUSTOM:
            corners = [value for _ in range(3) for value in _point(bits)]
            header = header._replace(primaries=None, chromaticities=(*place, *corners))
        else:
            header = header._replace(primaries=12 if (primaries, white) == (11, 1) else primaries)
    if bits.flag():
        return header._replace(gamma=bits.take(24) / 1e7)
    return header._replace(transfer=bits.enum())


def _point(bits: _Bits) -> tuple[float, float]:
    x = bits.signed() / 1e6
    return x, bits.signed() / 1e6


def _brotli(data: bytes) -> bytes:
    try:
        return bytes(imagecodecs.brotli_decode(data, out=_MOST_UNPACKED))
    except Exception as error:
        raise DamagedError("a box cannot be unpacked") from error
