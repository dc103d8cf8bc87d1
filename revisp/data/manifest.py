"""The manifest of a prepared data set: a line for each image, with its sources, and for each refused input.

Layout::

    ROOT/manifest.jsonl            one JSON object a line, in natural order of names
    ROOT/manifest.index            of a large manifest: its columns (`revisp.data.manifest_index`)
    ROOT/arrays/NAME.raw.npy       uint16 [H, W], the mosaic in the stored units of the entry's profile; H, W even
    ROOT/arrays/NAME.srgb.npy      uint8 or uint16 [H, W, 3], the photo on the RAW's grid
    ROOT/arrays/NAME.target.npy    float16 [3, H, W], the demosaiced RAW, normalised
    ROOT/arrays/NAME.valid.npy     uint8 [ceil(H / 32), ceil(W / 32)], 1 = the block counts; absent if all count
    ROOT/arrays/NAME.oe.npy        int32 [n, 2], (row, column) of at most 4096 overexposed pixels

All arrays open by ``numpy.load(path, mmap_mode="r", allow_pickle=False)``.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numpy as np

from revisp.data.columns import item_of, key_of
from revisp.data.entry import Entry, Reject
from revisp.data.manifest_index import INDEX, is_large, map_rows, read_rows
from revisp.errors import DataError
from revisp.io.atomic import atomic_write
from revisp.io.file_names import natural_key

__all__ = ["MANIFEST", "Items", "Manifest", "read_entries", "read_manifest", "write_manifest"]

MANIFEST = "manifest.jsonl"
"""File name of the manifest in its data set's folder."""

MOST_KEPT = 1024
"""Items that are kept once they were read."""

T = TypeVar("T", Entry, Reject)

Array = np.ndarray[Any, Any]


class Items(Sequence[T]):
    """Images or refused inputs of a manifest, in natural order of their names.

    They are kept as columns. An item is read from its line when it is indexed, so that a million of them take
    90 MB, which worker processes share.

    Args:
        root: the data set's folder.
        rows: all rows of the manifest (`revisp.data.columns.ROW`).
        at: positions of the items in ``rows``.
    """

    def __init__(self, root: Path, rows: Array, at: Array) -> None:
        self.root = root
        self._rows = rows
        self._at = at
        self._read: Callable[[int], T] = functools.lru_cache(MOST_KEPT)(self._read_line)

    def column(self, name: str) -> Array:
        """Return a column of the items, a copy ``[len(self)]``: one of `revisp.data.columns.ROW`."""
        values: Array = self._rows[name][self._at]
        return values

    def select(self, which: Array) -> Items[T]:
        """Return the items of a mask ``[len(self)]``."""
        return self.at(np.flatnonzero(which))

    def at(self, positions: Array) -> Items[T]:
        """Return the items at these positions, in their order."""
        return Items(self.root, self._rows, self._at[positions])

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...

    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            return tuple(self._read(row) for row in self._at[at].tolist())
        return self._read(int(self._at[at]))

    def __iter__(self) -> Iterator[T]:
        return map(self._read, self._at.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as long as a manifest

    def __repr__(self) -> str:
        return f"Items({self.root}, {len(self)})"

    def __reduce__(self) -> Any:
        # Another process maps the index itself: the rows need not be sent.
        index = self.root / INDEX if isinstance(self._rows, np.memmap) else None
        return _items, (self.root, self._rows if index is None else index, self._at)

    def _read_line(self, row: int) -> T:
        start, length, line = (int(self._rows[name][row]) for name in ("start", "length", "line"))
        path = self.root / MANIFEST
        try:
            with path.open("rb") as file:
                file.seek(start)
                item = item_of(file.read(length))
        except (OSError, DataError) as error:
            raise DataError(f"{path}:{line}: has changed since it was opened: {error}") from error
        if item is None or key_of(item.name) != self._rows["name"][row]:
            raise DataError(f"{path}:{line}: has changed since it was opened: begin again")
        return cast("T", item)


def _items(root: Path, rows: Array | Path, at: Array) -> Items[Any]:
    return Items(root, map_rows(rows) if isinstance(rows, Path) else rows, at)


@dataclass(frozen=True)
class Manifest:
    """The content of a prepared data set.

    Attributes:
        root: its folder.
        entries: its images, in natural order of their names.
        rejects: the refused inputs, in the same order.
    """

    root: Path
    entries: Sequence[Entry]
    rejects: Sequence[Reject]


def read_manifest(root: str | Path) -> Manifest:
    """Read the manifest of a prepared data set.

    Every line is checked. A large manifest gets an index beside it, by which it opens at once the next time.

    Raises:
        DataError: there is no manifest, or a line is not valid; the message gives file and line.
    """
    rows = _read(root)
    rejected = rows["rejected"]
    entries, rejects = (Items[Any](Path(root), rows, np.flatnonzero(which)) for which in (~rejected, rejected))
    return Manifest(Path(root), entries, rejects)


def read_entries(root: str | Path) -> Items[Entry]:
    """Read the images of a manifest, as `read_manifest` does, with their columns."""
    rows = _read(root)
    return Items(Path(root), rows, np.flatnonzero(~rows["rejected"]))


def _read(root: str | Path) -> Array:
    path = Path(root) / MANIFEST
    try:
        return read_rows(path)
    except FileNotFoundError:
        raise DataError(f"{root}: no prepared data set here ({MANIFEST} is missing)") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def write_manifest(root: str | Path, entries: Iterable[Entry], rejects: Iterable[Reject] = ()) -> Path:
    """Write the manifest of a prepared data set, completely or not at all, and return its path.

    Raises:
        DataError: a name occurs twice, or metadata contain a value that is not JSON.
        OutputError: the file cannot be written.
    """
    items: list[Entry | Reject] = sorted((*entries, *rejects), key=lambda item: natural_key(item.name))
    for one, two in itertools.pairwise(items):
        if one.name == two.name:
            raise DataError(f"{root}: the name {one.name!r} occurs twice")
    path = Path(root) / MANIFEST
    with atomic_write(path) as file:
        for item in items:
            try:
                file.write(json.dumps(item.to_dict(), allow_nan=False).encode() + b"\n")
            except (TypeError, ValueError) as error:
                raise DataError(f"{root}: {item.name}: cannot be written as JSON: {error}") from error
    if is_large(path):
        read_rows(path)  # leaves the index
    return path
