"""Output folders, and lock files that keep two processes from writing the same output."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from revisp.errors import OutputError
from revisp.io.atomic import remove_unfinished

__all__ = ["begin_folder", "lock", "lock_beside", "make_folder"]

_LONGEST_NAME = 255
"""Bytes of a file name on the common file systems."""


def make_folder(folder: str | Path) -> None:
    """Make a folder and its parents if they are missing.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"cannot make the folder {folder}: a file has that name") from error
    except FileNotFoundError as error:  # all parents were made: it is no ordinary file system, such as /proc
        raise OutputError(f"cannot make the folder {folder}: the system takes no folder there") from error
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def begin_folder(folder: str | Path) -> None:
    """Make a folder for the output of a run, and remove the hidden files that killed runs have left in it.

    Raises:
        OutputError: the folder cannot be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, ".revisp-0123456789ab.part").touch()
        ...     begin_folder(folder)
        ...     [*Path(folder).iterdir()]
        []
    """
    make_folder(folder)
    remove_unfinished(folder)


def lock_beside(output: Path) -> Path:
    """Return the lock file of an output: hidden, in its folder, named after it.

    Example:
        >>> lock_beside(Path("raws/photo.dng")).name
        '.photo.dng.lock'
    """
    name = f".{output.name}.lock"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(output.name)).hexdigest()[:32]}.lock"
    return output.with_name(name)


def lock(file: str | Path, target: str | Path, busy: str) -> FileLock:
    """Take a lock without waiting; any thread may release it.

    The lock ends with the process, however the process ends. The file stays.

    Args:
        file: the lock file. It is made if it is missing; its folder must exist.
        target: the output that the lock guards, for error messages.
        busy: the message if another process holds the lock.

    Returns:
        The lock, already held.

    Raises:
        OutputError: another process holds the lock, or the file cannot be written.
    """
    held = FileLock(file, timeout=0, thread_local=False)
    try:
        held.acquire()
    except Timeout:
        if not Path(file).exists():  # /proc, where making the file fails as if another process removed it
            raise OutputError(f"cannot write {target}: the system takes no file in {Path(file).parent}") from None
        raise OutputError(busy) from None
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return held
