"""The parts of a TIFF file: directories that point to each other, and their pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from revisp.errors import OutputError
from revisp.io.ifd import Tag, directory_size, encode_directory

__all__ = ["Directory", "write_directories"]

_HEADER_SIZE = 8  # bytes: byte order, magic number, offset of the first directory
_STRIP_TAGS, _TILE_TAGS = (273, 279), (324, 325)
"""Tags of offsets and byte counts."""

_TILE_WIDTH = 322
_MOST_BYTES = 2**32 - 1


@dataclass
class Directory:
    """A directory, the pixels that it describes, and the directories that it points to.

    Attributes:
        tags: value by tag number, without those of offsets and byte counts.
        pixels: the encoded strips, or tiles if ``tags`` have a tile width.
        children: directories by the tag that points to them, as EXIF (34665) or SubIFDs (330).
    """

    tags: dict[int, Tag]
    pixels: Sequence[bytes] = ()
    children: dict[int, list[Directory]] = field(default_factory=dict)

    def walk(self) -> Iterator[Directory]:
        """Yield this directory and all below."""
        yield self
        for group in self.children.values():
            for child in group:
                yield from child.walk()


def write_directories(file: BinaryIO, root: Directory) -> None:
    """Write a TIFF file: first all directories, then all pixels.

    Small pictures come first. So programs find previews early, and a file that is cut off lacks the largest.

    Args:
        file: the file, at its beginning.
        root: the first directory.

    Raises:
        OutputError: the file would be larger than 4 GiB, the limit of TIFF.
    """
    parts = list(root.walk())
    for part in parts:  # so that the sizes are known
        _point(part, {}, [0] * len(part.pixels))
    at, places = _HEADER_SIZE, {}
    for part in parts:
        places[id(part)] = at
        at += directory_size(part.tags)
    by_size = sorted(parts, key=lambda part: sum(len(piece) for piece in part.pixels))
    for part in by_size:
        offsets = []
        for piece in part.pixels:
            offsets.append(at)
            at += len(piece) + len(piece) % 2
        _point(part, places, offsets)
    if at > _MOST_BYTES:
        raise OutputError("a DNG cannot be larger than 4 GiB")
    file.write(struct.pack("<2sHI", b"II", 42, _HEADER_SIZE))
    for part in parts:
        file.write(encode_directory(part.tags, places[id(part)]))
    for part in by_size:
        for piece in part.pixels:
            file.write(piece)
            file.write(b"\0" * (len(piece) % 2))


def _point(part: Directory, places: dict[int, int], offsets: list[int]) -> None:
    """Set the tags that hold positions in the file."""
    for tag, group in part.children.items():
        part.tags[tag] = Tag("long", [places.get(id(child), 0) for child in group])
    if part.pixels:
        at, counts = _TILE_TAGS if _TILE_WIDTH in part.tags else _STRIP_TAGS
        part.tags[at] = Tag("long", offsets)
        part.tags[counts] = Tag("long", [len(piece) for piece in part.pixels])
