"""The index of a large manifest: its columns in a file beside it, mapped into memory.

Layout::

    ROOT/manifest.index    safetensors: the array ``rows``, uint8 [n, 86], rows of `revisp.data.columns.ROW`

Its metadata have the SHA-256 of the manifest. An index of another manifest, or a damaged one, is not used. It may
be deleted at any time: the next reader checks the manifest anew and writes it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

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
    with contextlib.suppress(OSError, ValueError), index.open("rb") as file:
        told = _header(file)["__metadata__"]
        with path.open("rb") as manifest:
            same = told["sha256"] == hashlib.file_digest(manifest, "sha256").hexdigest()
        if same and told["format"] == FORMAT and _fit(rows := map_rows(index), path.stat().st_size):
            return rows
    rows, digest = scan(path)
    with contextlib.suppress(OutputError), atomic_write(index) as file:  # the folder may be read-only
        values = {"rows": rows.view(np.uint8).reshape(len(rows), ROW.itemsize)}
        file.write(save(values, metadata={"format": FORMAT, "sha256": digest}))
    return rows


def map_rows(index: Path) -> Array:
    """Map the rows of an index into memory, read-only. Processes share them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an index.
    """
    with index.open("rb") as file:
        told = _header(file)["rows"]
        if told["dtype"] != "U8" or told["shape"][1:] != [ROW.itemsize]:
            raise ValueError("other columns")
        begin = file.tell() + told["data_offsets"][0]
    return np.memmap(index, ROW, "r", begin, (told["shape"][0],))


def _header(file: Any) -> dict[str, Any]:
    """Read the header of a safetensors file.

    Raises:
        ValueError: there is none, or it has other entries.
    """
    try:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > MOST_HEADER:
            raise ValueError("its header is too long")
        header: dict[str, Any] = json.loads(file.read(size))
        _ = header["__metadata__"]["format"], header["__metadata__"]["sha256"], header["rows"]["data_offsets"][0]
        _ = header["rows"]["dtype"], [*header["rows"]["shape"]]
    except (struct.error, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError("not an index") from error
    return header


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
