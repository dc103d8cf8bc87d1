"""The index of a large manifest: its columns in a file beside it, mapped into memory.

Layout::

    ROOT/manifest.index    safetensors: the array ``rows``, uint8 [n, 86], rows of `revisp.data.columns.ROW`

Its metadata have the SHA-256 of the manifest and of the rows. An index of another manifest, or a damaged one, is
not used. It may be deleted at any time: the next reader checks the manifest anew and writes it again.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter
from safetensors.numpy import save
from typing_extensions import TypedDict

from revisp.data.columns import ROW, scan
from revisp.data.entry import KINDS, MIN_SIDE, SPLITS
from revisp.data.picture import PHASES
from revisp.errors import OutputError
from revisp.io.atomic import atomic_write

__all__ = ["INDEX", "is_large", "map_rows", "read_rows"]

INDEX = "manifest.index"
"""File name of the index in the data set's folder."""

INDEXED_BYTES = 16 << 20
"""Least bytes of a manifest that gets an index; smaller ones are read at once."""

MOST_HEADER = 1 << 16
"""Most bytes of the header of an index."""

FORMAT = "1"
"""Format of the rows; another number means other columns."""

Array = np.ndarray[Any, Any]

_typed_dict: Any = TypedDict  # made at run time, which type checkers do not follow
_METADATA = _typed_dict("Metadata", {"format": Literal[FORMAT], "sha256": str, "rows_sha256": str})
_COUNT = Annotated[int, Field(ge=0)]
_ROWS = _typed_dict(
    "Rows",
    {
        "dtype": Literal["U8"],
        "shape": tuple[_COUNT, int],
        "data_offsets": tuple[Literal[0], int],
    },
)
_HEADER: TypeAdapter[Any] = TypeAdapter(_typed_dict("Header", {"__metadata__": _METADATA, "rows": _ROWS}))


def is_large(path: Path) -> bool:
    """Whether a manifest is so large that it gets an index."""
    return path.stat().st_size >= INDEXED_BYTES


def read_rows(path: Path) -> Array:
    """Return the rows of a manifest, from its index if it has one.

    Args:
        path: the manifest.

    Raises:
        DataError: a line is not valid; the message gives file and line.
        OSError: the manifest cannot be read.
    """
    if not is_large(path):
        return scan(path)[0]
    index = path.with_name(INDEX)
    with contextlib.suppress(OSError, ValueError):
        told = _header(index)[0]["__metadata__"]
        with path.open("rb") as manifest:
            same = told["sha256"] == hashlib.file_digest(manifest, "sha256").hexdigest()
        rows = map_rows(index)
        if same and told["rows_sha256"] == _digest(rows) and _fit(rows, path.stat().st_size):
            return rows
    rows, digest = scan(path)
    with contextlib.suppress(OutputError), atomic_write(index) as file:  # the folder may be read-only
        values = {"rows": rows.view(np.uint8).reshape(len(rows), ROW.itemsize)}
        metadata = {"format": FORMAT, "sha256": digest, "rows_sha256": _digest(rows)}
        file.write(save(values, metadata=metadata))
    return rows


def map_rows(index: Path) -> Array:
    """Map the rows of an index into memory, read-only. Processes share them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an index.
    """
    header, begin = _header(index)
    count, columns = header["rows"]["shape"]
    if columns != ROW.itemsize or index.stat().st_size != begin + count * columns:
        raise ValueError("its rows are not those that its header tells")
    return np.memmap(index, ROW, "r", begin, (count,))


def _header(index: Path) -> tuple[dict[str, Any], int]:
    """Read the header of an index; return it and where the rows begin.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is none, or it has other entries.
    """
    with index.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MOST_HEADER:
            raise ValueError("its header is too long")
        return _HEADER.validate_json(file.read(size), strict=True), 8 + size


def _digest(rows: Array) -> str:
    return hashlib.sha256(rows.view(np.uint8).data).hexdigest()


def _fit(rows: Array, size: int) -> bool:
    """Whether rows can be those of a manifest of this size."""
    rejected = rows["rejected"]
    return bool(
        (rows["start"] + rows["length"] <= size).all()
        and (rows["start"] < size).all()
        and all((rejected | (rows[side] >= MIN_SIDE)).all() for side in ("height", "width"))
        and (rows["split"] < len(SPLITS)).all()
        and (rows["kind"] < len(KINDS)).all()
        and (rows["cfa"] < len(PHASES)).all()
    )
