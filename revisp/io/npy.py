"""Open NumPy's ``.npy`` files, and nothing else: `numpy.load` would also open archives and pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from revisp.errors import ImageError, RevispError
from revisp.io.boundary import decoding
from revisp.io.readable import check_file

__all__ = ["NPY_MAGIC", "open_npy", "read_npy"]

NPY_MAGIC = b"\x93NUMPY"
"""The first bytes of a file."""

Array = np.ndarray[Any, Any]


def open_npy(path: str | Path, *, raises: type[RevispError] = ImageError) -> Array:
    """Map an array of a file into memory, read-only. Its header is read, and the size checked against the file's.

    Args:
        path: the file.
        raises: type of the error.

    Raises:
        RevispError: of the type ``raises``: the file is missing, or not a whole ``.npy`` file of plain values.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.zeros((2, 3)))
        ...     open_npy(f"{folder}/a.npy").shape
        (2, 3)
    """
    with decoding(path, "not a readable .npy file", raises):
        try:
            check_file(path)
        except ImageError as error:
            raise raises(str(error)) from error
        with Path(path).open("rb") as file:
            if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
                raise ValueError("its first bytes are not those of one")
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def read_npy(path: str | Path, *, raises: type[RevispError] = ImageError) -> Array:
    """Read an array of a file as `open_npy` does, into memory."""
    mapped = open_npy(path, raises=raises)
    with decoding(path, "not a readable .npy file", raises):
        return np.array(mapped)
