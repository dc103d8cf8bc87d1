"""Files that users upload: in one temporary folder, limited in size and number, and removed at the end."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from revisp.errors import ImageError
from revisp.tile_memory import format_size

__all__ = ["UPLOAD_LIMIT", "Upload", "Uploads"]

UPLOAD_LIMIT = 500_000_000
"""Bytes of a file: a JPEG of 200 megapixels takes 100 MB, a PNG of 16 bits from a large camera 400 MB."""

LONGEST_NAME = 60
"""Letters of a name that are kept, its ending included; file systems take 255 bytes."""


class Upload:
    """A file that arrives in pieces.

    Args:
        folder: a new folder for the file and what is made of it.
        name: the name that the user's computer gives; only its last part counts.
        limit: most bytes.

    Attributes:
        folder: the folder.
        path: the file.
    """

    def __init__(self, folder: Path, name: str, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.path = folder / _file_name(name)
        self._size = 0
        self._file: BinaryIO = self.path.open("xb")

    def write(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            ImageError: the file is larger than the limit.
        """
        self._size += len(piece)
        if self._size > self.limit:
            raise ImageError(
                f"{self.path.name}: larger than {format_size(self.limit)}; start revisp-app with --upload-limit "
                "to allow more"
            )
        self._file.write(piece)

    def close(self) -> None:
        """End the file."""
        self._file.close()


class Uploads:
    """The folder of all uploads; as a context it removes everything at its end.

    Args:
        limit: most bytes of a file.

    Example:
        >>> with Uploads(limit=10) as uploads:
        ...     upload = uploads.begin("../../photo.jpg")
        ...     upload.write(b"0123456789")
        ...     upload.close()
        ...     place = upload.path
        ...     place.name, place.read_bytes()
        ('photo.jpg', b'0123456789')
        >>> place.exists()
        False
    """

    def __init__(self, limit: int = UPLOAD_LIMIT) -> None:
        self.limit = limit
        self._folder = tempfile.TemporaryDirectory(prefix="revisp-app-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def new_folder(self) -> Path:
        """Return a new folder, whose name cannot be guessed."""
        folder = Path(self._folder.name) / secrets.token_urlsafe(12)
        folder.mkdir()
        return folder

    def begin(self, name: str) -> Upload:
        """Begin a file."""
        return Upload(self.new_folder(), name, self.limit)

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove a folder and all that is in it."""
        shutil.rmtree(folder, ignore_errors=True)


def _file_name(name: str) -> str:
    """Return the last part of a name, without what a file system may refuse."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", last).strip(" .")[-LONGEST_NAME:]
    return plain or "photo"
