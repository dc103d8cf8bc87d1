"""TIFF directories: the container of EXIF and of many RAW files (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any, BinaryIO

from revisp.io.containers.damage import DamagedError

__all__ = ["Directory", "DirectoryReader"]

Directory = dict[int, Any]
"""Values by tag number: ``bytes`` of texts and undefined bytes, or a tuple of numbers, rationals as `Fraction`."""

_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1
}  # fmt: skip
"""Bytes of a value of each type; 129 is UTF-8, since EXIF 3.0."""

_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_ENTRIES = 4096
_MOST_BYTES = 1 << 20
"""Most bytes of one value. What is longer is pixels, a preview or a maker note, and counts as absent."""


class DirectoryReader:
    """Directories of a TIFF, at places that are counted from its header.

    Args:
        source: the bytes, or an open file.
        start: where the header is in it.
        order: byte order and first directory of a block without a header, such as a maker note; None reads the
            header.

    Raises:
        DamagedError: the bytes are no TIFF.
    """

    def __init__(self, source: bytes | BinaryIO, start: int = 0, order: tuple[str, int] | None = None) -> None:
        self.file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
        self.start, self.big = start, False
        self.size = self.file.seek(0, 2)
        if order is not None:
            self.order, self.first = order
            return
        head = self._bytes(0, 8)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order:
            raise DamagedError("no TIFF header")
        magic, self.first = struct.unpack(f"{self.order}HI", head[2:])
        if magic == 43:
            self.big = True
            (self.first,) = struct.unpack(f"{self.order}Q", self._bytes(8, 8))

    def chain(self, most: int = 64) -> list[Directory]:
        """Return the first directory and those that it links to; a damaged one ends the list."""
        found: list[Directory] = []
        seen: set[int] = set()
        at = self.first
        while at and at not in seen and len(found) < most:
            seen.add(at)
            try:
                directory, at = self.read_with_next(at)
            except DamagedError:
                break
            found.append(directory)
        return found

    def read(self, at: int) -> Directory:
        """Return a directory.

        Raises:
            DamagedError: it is cut off.
        """
        return self.read_with_next(at)[0]

    def read_with_next(self, at: int) -> tuple[Directory, int]:
        """Return a directory and the place of the next one, 0 for none; a damaged value counts as absent."""
        letter, entry, inline, width = ("Q", 20, 8, 8) if self.big else ("I", 12, 4, 2)
        count = int.from_bytes(self._bytes(at, width), "little" if self.order == "<" else "big")
        if count > _MOST_ENTRIES:
            raise DamagedError("too many entries")
        body = self._bytes(at + width, entry * count)
        directory: Directory = {}
        for place in range(0, len(body), entry):
            tag, kind = struct.unpack_from(f"{self.order}HH", body, place)
            (number,) = struct.unpack_from(f"{self.order}{letter}", body, place + 4)
            value = self._value(kind, number, body[place + entry - inline : place + entry])
            if value is not None:
                directory.setdefault(tag, value)
        try:
            (following,) = struct.unpack(f"{self.order}{letter}", self._bytes(at + width + len(body), inline))
        except DamagedError:  # maker notes often end without a link
            following = 0
        return directory, following

    def _value(self, kind: int, count: int, inline: bytes) -> Any:
        size = _SIZES.get(kind, 0) * count
        if not 0 < size <= _MOST_BYTES:
            return None
        if size > len(inline):
            letter = "Q" if self.big else "I"
            try:
                data = self._bytes(struct.unpack(f"{self.order}{letter}", inline)[0], size)
            except DamagedError:
                return None
        else:
            data = inline[:size]
        if kind in (2, 7, 129):
            return data
        if kind in (5, 10):
            pairs = struct.unpack(f"{self.order}{2 * count}{'I' if kind == 5 else 'i'}", data)
            return tuple(Fraction(n, d) if d else None for n, d in zip(pairs[::2], pairs[1::2], strict=True))
        return struct.unpack(f"{self.order}{count}{_LETTERS[kind]}", data)

    def _bytes(self, at: int, count: int) -> bytes:
        if at < 0 or self.start + at + count > self.size:
            raise DamagedError("a directory lies outside the file")
        self.file.seek(self.start + at)
        data: bytes = self.file.read(count)
        if len(data) != count:
            raise DamagedError("a directory is cut off")
        return data
