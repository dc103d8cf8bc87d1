"""TIFF directories as bytes: the container of DNG and of EXIF (TIFF 6.0, section 2), little-endian.

tifffile writes pictures well, but it refuses to write an EXIF directory, which a DNG needs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

__all__ = ["Tag", "directory_size", "encode_directory"]

Kind = Literal["byte", "ascii", "short", "long", "rational", "undefined", "srational"]

_CODE: dict[Kind, int] = {
    "byte": 1, "ascii": 2, "short": 3, "long": 4, "rational": 5, "undefined": 7, "srational": 10
}  # fmt: skip
_PACK: dict[Kind, str] = {
    "byte": "B", "ascii": "B", "short": "H", "long": "I", "rational": "II", "undefined": "B", "srational": "ii"
}  # fmt: skip


class Tag(NamedTuple):
    """The value of one tag: a kind, and a text or numbers."""

    kind: Kind
    values: str | bytes | Sequence[float | Fraction]


def encode_directory(entries: Mapping[int, Tag], offset: int) -> bytes:
    """Encode tags as a directory to be placed at ``offset``, which must be even.

    Layout: entry count, 12-byte entries in ascending order, an empty link to the next directory, then the values
    that are longer than four bytes.

    Args:
        entries: value by tag number. Rationals keep six decimals.
        offset: position in the file, in bytes.
    """
    free = offset + 2 + 12 * len(entries) + 4
    directory, overflow = struct.pack("<H", len(entries)), b""
    for tag, entry in sorted(entries.items()):
        count, data = _encode(entry)
        if len(data) > 4:
            place = struct.pack("<I", free + len(overflow))
            overflow += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        directory += struct.pack("<HHI", tag, _CODE[entry.kind], count) + place
    return directory + struct.pack("<I", 0) + overflow


def directory_size(entries: Mapping[int, Tag]) -> int:
    """Return the bytes that `encode_directory` makes of ``entries``; the size of the numbers does not matter."""
    return len(encode_directory(entries, 0))


def _encode(entry: Tag) -> tuple[int, bytes]:
    """Return the count and the bytes of a value."""
    if isinstance(entry.values, str):
        data = entry.values.encode("ascii", "replace") + b"\0"
        return len(data), data
    numbers: list[Any] = []
    for value in entry.values:
        if entry.kind in ("rational", "srational"):
            ratio = Fraction(value).limit_denominator(10**6)
            numbers += [ratio.numerator, ratio.denominator]
        else:
            numbers.append(value)
    return len(entry.values), struct.pack(f"<{_PACK[entry.kind] * len(entry.values)}", *numbers)
