"""TIFF directories as bytes: the container of DNG and of EXIF (TIFF 6.0, section 2).

tifffile writes pictures well, but it refuses to write an EXIF directory, which a DNG needs. Directories are
written little-endian, and read in either order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from revisp.errors import ConfigError

__all__ = ["Tag", "decode_directory", "directory_size", "encode_directory"]

Kind = Literal[
    "byte", "ascii", "short", "long", "rational", "sbyte", "undefined", "sshort", "slong", "srational", "float",
    "double", "ifd",
]  # fmt: skip

_CODE: dict[Kind, int] = {
    "byte": 1, "ascii": 2, "short": 3, "long": 4, "rational": 5, "sbyte": 6, "undefined": 7, "sshort": 8,
    "slong": 9, "srational": 10, "float": 11, "double": 12, "ifd": 13,
}  # fmt: skip
_KIND = {code: kind for kind, code in _CODE.items()}
_PACK: dict[Kind, str] = {
    "byte": "B", "ascii": "B", "short": "H", "long": "I", "rational": "II", "sbyte": "b", "undefined": "B",
    "sshort": "h", "slong": "i", "srational": "ii", "float": "f", "double": "d", "ifd": "I",
}  # fmt: skip


class Tag(NamedTuple):
    """The value of one tag: a kind, and a text, numbers, or the little-endian bytes of numbers."""

    kind: Kind
    values: str | bytes | Sequence[float | Fraction]


def encode_directory(entries: Mapping[int, Tag], offset: int) -> bytes:
    """Encode tags as a directory to be placed at ``offset``, which must be even.

    Layout: entry count, 12-byte entries in ascending order, an empty link to the next directory, then the values
    that are longer than four bytes.

    Args:
        entries: value by tag number. Rationals keep six decimals. Texts become UTF-8.
        offset: position in the file, in bytes.

    Raises:
        ConfigError: a text holds a character that cannot be stored: NUL, or half of a surrogate pair; or a number
            does not fit into its kind.
    """
    free = offset + 2 + 12 * len(entries) + 4
    directory, overflow = [struct.pack("<H", len(entries))], bytearray()
    for tag, entry in sorted(entries.items()):
        count, data = _encode(tag, entry)
        if len(data) > 4:
            place = struct.pack("<I", free + len(overflow))
            overflow += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        directory.append(struct.pack("<HHI", tag, _CODE[entry.kind], count) + place)
    return b"".join((*directory, struct.pack("<I", 0), overflow))


def directory_size(entries: Mapping[int, Tag]) -> int:
    """Return the bytes that `encode_directory` makes of ``entries``; the size of the numbers does not matter."""
    sizes = [_size(tag, entry) for tag, entry in entries.items()]
    return 2 + 12 * len(sizes) + 4 + sum(size + size % 2 for size in sizes if size > 4)


def decode_directory(block: bytes, offset: int) -> dict[int, Tag]:
    r"""Read the directory at ``offset`` of a TIFF or an EXIF block, in either byte order.

    Entries of an unknown kind, or whose values lie outside the block, are left out.

    Args:
        block: the bytes, from the TIFF header on.
        offset: where the directory begins; 0: the first one, which the header points to.

    Returns:
        Kind and little-endian bytes by tag number; nothing if there is no directory.

    Example:
        >>> block = b"II*\0" + struct.pack("<I", 8) + encode_directory({270: Tag("ascii", "a cat")}, 8)
        >>> decode_directory(block, 0)
        {270: Tag(kind='ascii', values=b'a cat\x00')}
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return {}
    start = offset or struct.unpack_from(f"{order}I", block, 4)[0]
    if not 0 < start <= len(block) - 2:
        return {}
    count = struct.unpack_from(f"{order}H", block, start)[0]
    found = {}
    for at in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, code, number = struct.unpack_from(f"{order}HHI", block, at)
        kind = _KIND.get(code)
        if kind is not None and (data := _value(block, at + 8, kind, number, order)) is not None:
            found[tag] = Tag(kind, data)
    return found


def _value(block: bytes, at: int, kind: Kind, number: int, order: str) -> bytes | None:
    """Return the little-endian bytes of a value, of which an entry's last field is ``at``; None if cut off."""
    size = number * struct.calcsize(f"={_PACK[kind]}")
    start = at if size <= 4 else struct.unpack_from(f"{order}I", block, at)[0]
    if start + size > len(block):
        return None
    data = block[start : start + size]
    width = struct.calcsize(f"={_PACK[kind][0]}")
    return data if order == "<" or width == 1 else np.frombuffer(data, f">u{width}").byteswap().tobytes()


def _size(tag: int, entry: Tag) -> int:
    """Return the number of bytes of a value."""
    if isinstance(entry.values, str):
        return len(_text(tag, entry.values))
    count = 1 if isinstance(entry.values, bytes) else struct.calcsize(f"={_PACK[entry.kind]}")
    return count * len(entry.values)


def _encode(tag: int, entry: Tag) -> tuple[int, bytes]:
    """Return the count and the bytes of a value."""
    if isinstance(entry.values, str):
        data = _text(tag, entry.values)
        return len(data), data
    form = _PACK[entry.kind]
    if isinstance(entry.values, bytes):
        return len(entry.values) // struct.calcsize(f"={form}"), entry.values
    try:
        return len(entry.values), struct.pack(f"<{form * len(entry.values)}", *_numbers(entry))
    except (struct.error, ValueError, OverflowError) as error:
        values = ", ".join(map(str, entry.values))
        raise ConfigError(f"tag {tag}: {values} cannot be stored as {entry.kind}: {error}") from error


def _numbers(entry: Tag) -> Iterator[Any]:
    """Yield the numbers of a value; a rational has two."""
    for value in entry.values:
        if entry.kind in ("rational", "srational"):
            yield from _ratio(value)
        else:
            yield value


@lru_cache(maxsize=1024)  # the matrices of a camera are the same in each of its files
def _ratio(value: float | Fraction) -> tuple[int, int]:
    ratio = Fraction(value).limit_denominator(10**6)
    return ratio.numerator, ratio.denominator


def _text(tag: int, text: str) -> bytes:
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise ConfigError(f"tag {tag}: the text {text!r} holds a character that a file cannot store: remove it")
    return data + b"\0"
