"""HEIF and AVIF: the items of a box file (ISO/IEC 14496-12 and 23008-12), as far as a photo and its gain map need.

Decoders show the primary item only. To decode another one, such as a gain map, make it primary: `with_primary`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from revisp.io.containers.damage import DamagedError

__all__ = ["HeifFile", "ItemProperty", "boxes", "parse_heif", "without_sequence"]

_MOST_ITEMS = 1 << 16
_MOST_BYTES = 1 << 28
"""Most bytes of one item that is read as metadata."""


@dataclass(frozen=True)
class ItemProperty:
    """A property of an item: its four letters and its bytes."""

    kind: bytes
    data: bytes


@dataclass
class HeifFile:
    """The items of a file by number.

    Attributes:
        data: the whole file.
        brands: four-letter brands of the file, the major one first.
        primary: the item that is the photo.
        kinds: four-letter type of each item, such as ``hvc1``, ``grid``, ``Exif``.
        content_types: media type of each item of type ``mime``.
        properties: of each item, in their order.
        references: kind and target items of each item.
        alternatives: groups of items of which one is shown, the preferred one first.
        sequence: whether the file also holds an image sequence.
    """

    data: bytes
    brands: tuple[bytes, ...]
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    content_types: dict[int, bytes] = field(default_factory=dict)
    properties: dict[int, list[ItemProperty]] = field(default_factory=dict)
    references: dict[int, list[tuple[bytes, list[int]]]] = field(default_factory=dict)
    alternatives: list[list[int]] = field(default_factory=list)
    sequence: bool = False
    places: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    idat: bytes = b""
    primary_at: int = 0
    primary_size: int = 2
    flags_at: dict[int, int] = field(default_factory=dict)
    auxiliary_at: dict[int, list[int]] = field(default_factory=dict)

    def property(self, item: int, kind: bytes) -> bytes | None:
        """Return the first property of a kind, or None."""
        return next((each.data for each in self.properties.get(item, []) if each.kind == kind), None)

    def targets(self, item: int, kind: bytes) -> list[int]:
        """Return the items that an item refers to by one kind of reference."""
        return [to for found, items in self.references.get(item, []) if found == kind for to in items]

    def sources(self, item: int, kind: bytes) -> list[int]:
        """Return the items that refer to an item by one kind of reference."""
        return [each for each in self.references if item in self.targets(each, kind)]

    def payload(self, item: int) -> bytes:
        """Return the bytes of an item.

        Raises:
            DamagedError: they lie outside the file.
        """
        method, extents = self.places.get(item, (0, []))
        whole = self.idat if method == 1 else self.data
        parts = []
        for offset, length in extents:
            end = offset + length if length else len(whole)
            if method > 1 or end > len(whole) or end - offset > _MOST_BYTES:
                raise DamagedError("an item lies outside the file")
            parts.append(whole[offset:end])
        return b"".join(parts)

    def size(self, item: int) -> tuple[int, int] | None:
        """Return height and width of an item before its rotation, or None."""
        spatial = self.property(item, b"ispe")
        if spatial is None or len(spatial) < 12:
            return None
        width, height = struct.unpack(">II", spatial[4:12])
        return height, width

    def crop(self, item: int) -> tuple[int, int, int, int] | None:
        """Return top, left, height and width of the clean aperture, before rotation; None for the whole item."""
        aperture, size = self.property(item, b"clap"), self.size(item)
        if aperture is None or size is None or len(aperture) < 32:
            return None
        numbers = struct.unpack(">iIiIiIiI", aperture[:32])
        if 0 in numbers[1::2]:
            return None
        width, height, right, down = (n / d for n, d in zip(numbers[::2], numbers[1::2], strict=True))
        top, left = round((size[0] - height) / 2 + down), round((size[1] - width) / 2 + right)
        rows, columns = round(height), round(width)
        inside = 0 <= top <= top + rows <= size[0] and 0 <= left <= left + columns <= size[1]
        return (top, left, rows, columns) if inside and rows and columns else None

    def turns(self, item: int) -> list[tuple[str, int]]:
        """Return the rotations and mirrors of an item in their order.

        Returns:
            ``("turn", n)``: n quarter turns counterclockwise; ``("mirror", 0)``: top to bottom; ``("mirror", 1)``:
            left to right.
        """
        found: list[tuple[str, int]] = []
        for each in self.properties.get(item, []):
            if each.kind == b"irot" and each.data:
                found.append(("turn", each.data[0] & 3))
            elif each.kind == b"imir" and each.data:
                found.append(("mirror", each.data[0] & 1))
        return found

    def without_brand(self, brand: bytes) -> bytes:
        """Return a copy of the file that does not name a brand."""
        end = int.from_bytes(self.data[:4], "big")
        return self.data[:end].replace(brand, self.brands[0]) + self.data[end:]

    def with_primary(self, item: int) -> bytes:
        """Return a copy of the file in which another item is the primary one.

        It becomes neither hidden nor auxiliary to another there: decoders refuse such a primary item.
        """
        copy = bytearray(self.data)
        copy[self.primary_at : self.primary_at + self.primary_size] = item.to_bytes(self.primary_size, "big")
        for at in self.auxiliary_at.get(item, []):
            copy[at : at + 4] = b"skip"
        copy[self.flags_at[item]] &= 0xFE
        return bytes(copy)


class _Reader:
    """Big-endian numbers from bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int) -> int:
        if self.at + size > len(self.data):
            raise DamagedError("a box is cut off")
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")

    def text(self) -> bytes:
        """Read a text that ends with a zero byte."""
        end = self.data.find(b"\0", self.at)
        end = len(self.data) if end < 0 else end
        found, self.at = self.data[self.at : end], end + 1
        return found


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first byte and end of the content of each box.

    Raises:
        DamagedError: a box has an impossible size.
    """
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            if start + 16 > end:
                raise DamagedError("a box is cut off")
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        elif size == 0:
            size = end - start
        if size < head:
            raise DamagedError("a box is smaller than its header")
        yield kind, start + head, min(start + size, end)
        start += size


def without_sequence(data: bytes) -> bytes:
    """Return a file without its image sequence, of which decoders would take the frames in place of the items.

    Raises:
        DamagedError: a box has an impossible size.
    """
    copy = bytearray(data)
    for kind, start, end in boxes(data):
        if kind == b"moov":
            at = start - 4 if data[start - 4 : start] == kind else start - 12  # before a size of 64 bits
            copy[at : at + 4] = b"free"
        elif kind == b"ftyp":
            copy[start:end] = data[start:end].replace(b"avis", b"avif")
    return bytes(copy)


def parse_heif(data: bytes) -> HeifFile:
    """Read the items of a HEIF or AVIF file.

    Raises:
        DamagedError: it has none, or they contradict.
    """
    top = {kind: (start, end) for kind, start, end in reversed(list(boxes(data)))}
    if b"ftyp" not in top or b"meta" not in top:
        raise DamagedError("no items")
    start, end = top[b"ftyp"]
    brands = data[start : start + 4], *(data[at : at + 4] for at in range(start + 8, end - 3, 4))
    file = HeifFile(data, brands, sequence=b"moov" in top)
    start, end = top[b"meta"]
    for kind, first, last in boxes(data, start + 4, end):
        if kind == b"pitm":
            version = data[first]
            file.primary_at, file.primary_size = first + 4, 4 if version else 2
            file.primary = _Reader(data[first + 4 : last]).number(file.primary_size)
        elif kind == b"iinf":
            _read_kinds(file, data, first, last)
        elif kind == b"iloc":
            _read_places(file, _Reader(data[first:last]))
        elif kind == b"iprp":
            _read_properties(file, data, first, last)
        elif kind == b"iref":
            _read_references(file, data, first, last)
        elif kind == b"grpl":
            _read_groups(file, data, first, last)
        elif kind == b"idat":
            file.idat = data[first:last]
    if file.primary not in file.kinds:
        raise DamagedError("no primary item")
    return file


def _read_kinds(file: HeifFile, data: bytes, first: int, last: int) -> None:
    version = data[first]
    for kind, start, end in boxes(data, first + (8 if version else 6), last):
        if kind != b"infe":
            continue
        reader = _Reader(data[start:end])
        version = reader.number(1)
        reader.number(3)
        if version < 2:
            continue
        item = reader.number(2 if version == 2 else 4)
        reader.number(2)  # protection
        file.kinds[item] = reader.number(4).to_bytes(4, "big")
        file.flags_at[item] = start + 3
        reader.text()  # its name
        if file.kinds[item] == b"mime":
            file.content_types[item] = reader.text()
        if not (file.kinds[item] + file.content_types.get(item, b"")).isascii():
            raise DamagedError("the type of an item is not ASCII")
        if len(file.kinds) > _MOST_ITEMS:
            raise DamagedError("too many items")


def _read_places(file: HeifFile, reader: _Reader) -> None:
    version = reader.number(1)
    reader.number(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    for _ in range(reader.number(4 if version == 2 else 2)):
        item = reader.number(4 if version == 2 else 2)
        method = reader.number(2) & 15 if version in (1, 2) else 0
        reader.number(2)  # data reference
        base = reader.number(base_size)
        extents = []
        for _ in range(reader.number(2)):
            reader.number(index_size)
            offset = base + reader.number(offset_size)
            extents.append((offset, reader.number(length_size)))
        file.places[item] = method, extents


def _read_properties(file: HeifFile, data: bytes, first: int, last: int) -> None:
    inside = list(boxes(data, first, last))
    known = [
        ItemProperty(kind, data[start:end])
        for name, at, until in inside
        if name == b"ipco"
        for kind, start, end in boxes(data, at, until)
    ]
    for name, at, until in inside:
        if name != b"ipma":
            continue
        reader = _Reader(data[at:until])
        version = reader.number(1)
        wide = reader.number(3) & 1
        for _ in range(reader.number(4)):
            item = reader.number(4 if version else 2)
            for _ in range(reader.number(1)):
                index = reader.number(2) & 0x7FFF if wide else reader.number(1) & 0x7F
                if 0 < index <= len(known):
                    file.properties.setdefault(item, []).append(known[index - 1])


def _read_references(file: HeifFile, data: bytes, first: int, last: int) -> None:
    size = 4 if data[first] else 2
    for kind, start, end in boxes(data, first + 4, last):
        reader = _Reader(data[start:end])
        item = reader.number(size)
        targets = [reader.number(size) for _ in range(reader.number(2))]
        file.references.setdefault(item, []).append((kind, targets))
        if kind == b"auxl":
            file.auxiliary_at.setdefault(item, []).append(start - 4)


def _read_groups(file: HeifFile, data: bytes, first: int, last: int) -> None:
    for kind, start, end in boxes(data, first, last):
        if kind == b"altr":
            reader = _Reader(data[start:end])
            reader.number(8)  # version, flags, number of the group
            file.alternatives.append([reader.number(4) for _ in range(min(reader.number(4), _MOST_ITEMS))])
