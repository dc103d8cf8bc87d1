"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from revisp.errors import OutputError

__all__ = ["atomic_write"]


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file, readable and seekable, that takes its place at ``path`` only once it is complete.

    The bytes go to a hidden file in the same folder, are flushed to the disk, and replace ``path`` in one step. If
    anything fails, the hidden file is removed and what was at ``path`` before is untouched. A symbolic link is
    followed.

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, or ``path`` is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".revisp-{uuid.uuid4().hex[:12]}.part"
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        try:
            with temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
