"""Files in object storage and on servers, by their addresses (``s3://bucket/photo.jpg``), through fsspec."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from revisp.errors import ConfigError, ImageError, OutputError, RevispError
from revisp.io.boundary import first_line
from revisp.io.file_names import PHOTO_ENDINGS, name_kind, natural_key

__all__ = ["as_local", "fetch", "fetch_start", "is_address", "is_newer", "photos_at", "require_on_disk", "send"]

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def is_address(text: str) -> bool:
    r"""Whether a text is an address, not a path.

    Example:
        >>> is_address("s3://bucket/photo.jpg"), is_address("photos/a.jpg"), is_address(r"C:\photo.jpg")
        (True, False, False)
    """
    return _ADDRESS.match(text) is not None


def as_local(text: str) -> str:
    """Return the path of a ``file://`` address; other texts as they are.

    Example:
        >>> as_local("file:///photos/a%20b.jpg"), as_local("s3://bucket/a.jpg")
        ('/photos/a b.jpg', 's3://bucket/a.jpg')
    """
    return unquote(urlsplit(text).path) if text.startswith("file://") else text


def require_on_disk(path: Path, reader: str) -> None:
    """Require that a path is not an address; a `Path` of one has lost a slash.

    Raises:
        ConfigError: it is an address; the message says what to do.

    Example:
        >>> require_on_disk(Path("s3://bucket"), "revisp-prepare")
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: s3:/bucket: revisp-prepare reads and writes on a disk: copy or mount it there
    """
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", path.as_posix()):
        raise ConfigError(f"{path}: {reader} reads and writes on a disk: copy or mount it there")


def photos_at(address: str) -> list[str]:
    """Return the addresses of the photos in a folder, by the rule of `revisp.io.photo_folder`; or of one file.

    A server that lists no folders, such as most of HTTP, gives single files only.

    Raises:
        ImageError: the address is unknown, cannot be reached, or is a folder without photos.
    """
    with _reaching(address, ImageError):
        files, path = _open(address)
        if not files.isdir(path):
            return [address]
        inside = (file for file in files.ls(path, detail=True) if file["type"] != "directory")
        names = {PurePosixPath(str(file["name"])).name for file in inside}
        found = [name for name in sorted(names, key=natural_key) if name_kind(name) == "photo"]
        if not found:
            raise ImageError(f"{address}: no photos in this folder ({', '.join(PHOTO_ENDINGS)})")
        return [f"{address.rstrip('/')}/{name}" for name in found]


def fetch(address: str, path: Path) -> None:
    """Copy a file from an address to a path, whose folder is made.

    Raises:
        ImageError: it cannot be read.
        OutputError: the folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
    with _reaching(address, ImageError):
        files, there = _open(address)
        files.get_file(there, str(path))


def fetch_start(address: str, path: Path, count: int) -> bool | None:
    """Copy the first bytes of a file at an address to a path, in a folder that exists.

    Args:
        address: the file.
        path: where its start goes.
        count: most bytes to copy.

    Returns:
        Whether they are the whole file; None if there is no such file, and nothing was copied.

    Raises:
        OutputError: the address cannot be reached.
    """
    with _reaching(address, OutputError):
        files, there = _open(address)
        try:
            found = files.info(there)
        except FileNotFoundError:
            return None
        if found["type"] == "directory":
            return None
        size = found.get("size")
        end = count if size is None else min(size, count)
        path.write_bytes(files.cat_file(there, start=0, end=end) if end else b"")
        return size is not None and size <= count


def send(path: Path, address: str) -> None:
    """Copy a file to an address. Object storage shows it only when it is complete.

    Raises:
        OutputError: it cannot be written there.
    """
    with _reaching(address, OutputError):
        files, there = _open(address)
        with contextlib.suppress(NotImplementedError):
            files.makedirs(os.path.dirname(there), exist_ok=True)  # noqa: PTH120  # a path of a server
        files.put_file(str(path), there)


def is_newer(address: str, than: str) -> bool:
    """Whether a file exists at an address, is not empty, and is no older than that of another address or path.

    If a server tells no times, any file that is not empty counts.

    Raises:
        OutputError: the address cannot be reached.
        ImageError: the other address cannot be reached.
    """
    with _reaching(address, OutputError):
        files, there = _open(address)
        if not files.exists(there) or not files.size(there):
            return False
        try:
            written = files.modified(there).timestamp()
        except NotImplementedError:
            return True
    with _reaching(than, ImageError), contextlib.suppress(NotImplementedError):
        if not is_address(than):
            return bool(Path(than).stat().st_mtime <= written)
        others, source = _open(than)
        return bool(others.modified(source).timestamp() <= written)
    return True


def _open(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    from fsspec.core import url_to_fs

    files, path = url_to_fs(address)
    return files, str(path)


@contextlib.contextmanager
def _reaching(address: str, raises: type[RevispError]) -> Iterator[None]:
    """Turn whatever fsspec and its drivers raise into one of our errors, which names the address."""
    try:
        yield
    except RevispError:
        raise
    except FileNotFoundError as error:
        raise raises(f"{address}: no such file, folder or bucket") from error
    except ImportError as error:
        raise raises(f"{address}: a driver is missing: {first_line(error)}") from error
    except Exception as error:
        if str(error).startswith("Protocol not known"):
            protocol = address.partition("://")[0]
            raise raises(
                f"{address}: unknown protocol {protocol!r}; fsspec knows s3, gs, az, https, sftp and others"
            ) from error
        raise raises(f"{address}: cannot be reached ({first_line(error)})") from error
