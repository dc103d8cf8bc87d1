"""Folders to write into, and files by which processes keep each other away from what one of them writes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from revisp.errors import OutputError

__all__ = ["lock", "make_folder"]


def make_folder(folder: str | Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def lock(file: str | Path, target: str | Path, busy: str) -> FileLock:
    """Take a lock, at once or not at all, which any thread may release.

    It ends with the process, however that ends; the file stays.

    Args:
        file: what is locked, made where it is missing; its folder is there.
        target: what it guards, by the name that errors give it.
        busy: what to say where another process holds the lock.

    Returns:
        The lock, held.

    Raises:
        OutputError: another process holds it, or the file cannot be written.
    """
    held = FileLock(file, timeout=0, thread_local=False)
    try:
        held.acquire()
    except Timeout:
        raise OutputError(busy) from None
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return held
