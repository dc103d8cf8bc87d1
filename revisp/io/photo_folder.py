"""Find the photos of a folder, by the same rule in every command."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from revisp.errors import ImageError
from revisp.io.file_names import PHOTO_ENDINGS, name_kind, natural_key
from revisp.wording import counted

__all__ = ["PhotoFolder", "read_photo_folder"]


@dataclass(frozen=True)
class PhotoFolder:
    """The photos of a folder, and the files that were left out.

    Attributes:
        folder: the folder.
        photos: its photos in natural order.
        hidden: number of hidden files and folders: their names begin with a dot.
        previews: number of ``*.preview.png``, which `revisp-predict` writes next to its RAW files.
        others: endings that photos do not have, each with its number of files.
        not_files: number of names of photos that lead to no file: broken links, pipes, devices.
        below: number of folders below it that were not searched.
    """

    folder: Path
    photos: tuple[Path, ...]
    hidden: int = 0
    previews: int = 0
    others: tuple[tuple[str, int], ...] = ()
    not_files: int = 0
    below: int = 0

    @property
    def left_out(self) -> str:
        """One line on the files that were left out; empty if all were taken."""
        parts = [counted(self.previews, "preview")] if self.previews else []
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        if self.others:
            endings = ", ".join(ending or "no ending" for ending, _ in self.others)
            parts.append(f"{sum(count for _, count in self.others)} with other endings ({endings})")
        if self.not_files:
            parts.append(counted(self.not_files, "broken link or pipe", "broken links or pipes"))
        if self.below:
            parts.append(counted(self.below, "folder below", "folders below"))
        return f"{self.folder}: left out {', '.join(parts)}" if parts else ""


def read_photo_folder(folder: str | Path, *, below: bool = False) -> PhotoFolder:
    """Find the photos of a folder by their endings.

    Hidden files, hidden folders and previews are left out.

    Args:
        folder: the folder.
        below: also search the folders below it.

    Raises:
        ImageError: the folder does not exist, cannot be read, or holds no photos.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("img10.jpg", "img2.jpg", "img2.preview.png", ".img3.jpg", "notes.txt"):
        ...         _ = Path(folder, name).write_bytes(b"")
        ...     found = read_photo_folder(folder)
        >>> [photo.name for photo in found.photos]
        ['img2.jpg', 'img10.jpg']
        >>> found.left_out.partition(": ")[2]
        'left out 1 preview, 1 hidden, 1 with other endings (.txt)'
    """
    folder = Path(folder)
    photos: list[Path] = []
    hidden = previews = not_files = unsearched = 0
    others: Counter[str] = Counter()
    try:
        for place, folders, names in os.walk(folder, onerror=_raise):
            kinds = [(name, name_kind(name)) for name in names]
            below_shown = [name for name in folders if not name.startswith(".")]
            hidden += sum(kind == "hidden" for _, kind in kinds) + len(folders) - len(below_shown)
            folders[:] = below_shown if below else []
            unsearched += len(below_shown) - len(folders)
            for name, kind in kinds:
                if kind == "preview":
                    previews += 1
                elif kind == "photo":
                    if (photo := Path(place, name)).is_file():
                        photos.append(photo)
                    else:
                        not_files += 1
                elif kind == "other":
                    others[Path(name).suffix.lower()] += 1
    except OSError as error:
        reason = "no such folder" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise ImageError(f"{folder}: {reason}") from error
    if not photos:
        advice = (
            f"; left out {counted(unsearched, 'folder below', 'folders below')}: give them by name"
            if unsearched
            else ""
        )
        raise ImageError(f"{folder}: no photos in this folder ({', '.join(PHOTO_ENDINGS)}){advice}")
    photos.sort(key=lambda photo: natural_key(photo.relative_to(folder).as_posix()))
    endings = tuple(sorted(others.items()))
    return PhotoFolder(folder, tuple(photos), hidden, previews, endings, not_files, unsearched)


def _raise(error: OSError) -> None:
    """Raise the error of a folder that cannot be read; `os.walk` would skip the folder."""
    raise error
