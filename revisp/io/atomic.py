"""Writing files and folders whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import sys
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from revisp.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["NOT_UTF8", "atomic_write", "remove_unfinished", "replace_folder", "unfinished_folder", "write_text"]

NOT_UTF8 = "backslashreplace"
"""What becomes of bytes of file names that are not UTF-8, in texts that we write."""

_TEMPORARY = re.compile(r"\.revisp-[0-9a-f]{12}\.part")

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # fcntl.h, linux/fs.h


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file, readable and seekable, that replaces ``path`` only when it is complete.

    The bytes go to a hidden file in the same folder and are flushed to the disk. Then the hidden file replaces
    ``path`` in one step. If anything fails, the hidden file is removed and the old file at ``path`` stays. A
    symbolic link is followed.

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, or ``path`` is a folder or a device.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/scores.json") as file:
        ...         _ = file.write(b"{}")
        ...         unfinished = Path(folder, "scores.json").exists()
        ...     unfinished, Path(folder, "scores.json").read_bytes()
        (False, b'{}')
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / _hidden_name()
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        try:
            with temporary.open("x+b") as file:
                with contextlib.suppress(OSError):  # a file system without locks
                    _hold(file.fileno())
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def write_text(path: str | Path, text: str) -> None:
    r"""Write a text in UTF-8 as `atomic_write` does; bytes of file names that are not UTF-8 are escaped.

    Raises:
        OutputError: as for `atomic_write`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(f"{folder}/scores.csv", "caf\udce9.jpg,31.5")
        ...     Path(folder, "scores.csv").read_bytes()
        b'caf\\udce9.jpg,31.5'
    """
    with atomic_write(path) as file:
        file.write(text.encode(errors=NOT_UTF8))


@contextlib.contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder in another one, to be filled and renamed; what has its name at the end is removed.

    It is locked. If the process is killed, `remove_unfinished` finds and removes it.

    Raises:
        OSError: it cannot be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with unfinished_folder(Path(place)) as made:
        ...         (made / "file").touch()
        ...         _ = made.rename(Path(place, "whole"))
        ...     sorted(path.name for path in Path(place).iterdir())
        ['whole']
    """
    temporary = parent / _hidden_name()
    temporary.mkdir()
    held = None
    try:
        with contextlib.suppress(OSError):  # a file system without locks, or Windows
            held = os.open(temporary, os.O_RDONLY)
            _hold(held)
        yield temporary
    finally:
        try:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)
        finally:
            if held is not None:
                os.close(held)


def remove_unfinished(folder: str | Path, holding: Collection[str] = ()) -> None:
    """Remove the hidden files that killed runs have left in a folder; those of running ones are locked and stay.

    Only files that `atomic_write` has named are touched, and folders that `unfinished_folder` has named.

    Args:
        folder: where to look.
        holding: the names of files that a hidden folder may hold; one with anything else in it stays. Without
            names, all folders stay.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in (".revisp-0123456789ab.part", ".revisp-notes.part", "photo.part"):
        ...         Path(folder, name).touch()
        ...     remove_unfinished(folder)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['.revisp-notes.part', 'photo.part']
    """
    with contextlib.suppress(OSError):
        for path in Path(folder).glob(".revisp-*.part"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                with contextlib.suppress(OSError), path.open("rb") as file:
                    _hold(file.fileno())
                    path.unlink()
            elif holding and _TEMPORARY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                _remove_folder(path, holding)


def _remove_folder(folder: Path, holding: Collection[str]) -> None:
    """Remove a hidden folder that no process holds, if it has files of these names and nothing else."""
    with contextlib.suppress(OSError):
        held = os.open(folder, os.O_RDONLY)
        try:
            _hold(held)
            files = list(folder.iterdir())
            if all(file.name in holding and file.is_file() and not file.is_symlink() for file in files):
                for file in files:
                    file.unlink()
                folder.rmdir()
        finally:
            os.close(held)


def _hidden_name() -> str:
    return f".revisp-{uuid.uuid4().hex[:12]}.part"


def _hold(file: int) -> None:
    """Lock an open file or folder until it is closed, so that no other process takes it for a leftover.

    Raises:
        BlockingIOError: another process holds it.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def replace_folder(new: Path, old: Path) -> None:
    """Put a folder in the place of another on the same file system.

    Where the system can exchange two names in one step (Linux), a kill at any moment leaves the old or the new
    folder in the place. Elsewhere the old one is renamed first, and renamed back if the new one cannot follow.

    Args:
        new: the complete folder; it takes the name ``old``.
        old: the folder that is replaced; afterwards it has the name ``new``, for the caller to delete.

    Raises:
        OSError: neither folder has moved.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     new, old = Path(place, "new"), Path(place, "old")
        ...     for folder in (new, old):
        ...         folder.mkdir()
        ...     (new / "file").touch()
        ...     replace_folder(new, old)
        ...     [file.name for file in old.iterdir()]
        ['file']
    """
    if _exchange(new, old):
        return
    aside = old.with_name(f".revisp-{uuid.uuid4().hex[:12]}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


def _exchange(one: Path, two: Path) -> bool:
    """Exchange two names in one step; return whether the system can."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _RENAME_EXCHANGE) == 0
