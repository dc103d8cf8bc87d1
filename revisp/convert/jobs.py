"""Plan which photo becomes which file, before any work is done and without loading torch."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisp.errors import ConfigError, ImageError, OutputError
from revisp.io.file_names import OUTPUT_ENDINGS, PREVIEW_ENDING
from revisp.io.photo_folder import read_photo_folder
from revisp.io.storage import is_address

__all__ = [
    "Conversion",
    "left_out",
    "named_photos",
    "parse_part",
    "plan_conversions",
    "preview_path",
    "read_photo_list",
    "share",
]

LIST_ENDING = ".txt"
_STANDARD_INPUT = Path("/dev/stdin")


@dataclass(frozen=True)
class Conversion:
    """One photo and its output file.

    Attributes:
        photo: file to read.
        output: RAW file to write.
        source: address that the photo is fetched from (`revisp.io.storage`); None if it is on the disk.
        target: address that the RAW goes to; None if it stays on the disk.

    Example:
        >>> job = Conversion(Path("photo.jpg"), Path("raw/photo.dng"))
        >>> preview_path(job.output).name
        'photo.preview.png'
    """

    photo: Path
    output: Path
    source: str | None = None
    target: str | None = None

    @property
    def origin(self) -> str:
        """Where the photo comes from: its address or path."""
        return self.source or str(self.photo)

    @property
    def destination(self) -> str:
        """Where the RAW goes: its address or path."""
        return self.target or str(self.output)


def preview_path(output: Path) -> Path:
    """Return the path of the preview of ``photo.dng``: ``photo.preview.png``."""
    return output.with_suffix(PREVIEW_ENDING)


def plan_conversions(
    photos: Iterable[Path], out: Path, format: str | None = None, *, preview: bool = False
) -> list[Conversion]:
    """Decide which file each photo becomes.

    A photo that is given twice is converted once. Hidden files and previews in a folder are left out.

    Args:
        photos: photos, folders of photos, and lists (`read_photo_list`).
        out: a file or a folder.
        format: ending of the files in a folder, without the dot; None: ``dng``.
        preview: whether previews are written next to the RAW files.

    Raises:
        ImageError: a folder has no photos, or a list cannot be read or is empty.
        OutputError: the ending of ``out`` is not a format or contradicts ``format``; ``out`` is one file for
            several photos; or two files would have the same name.

    Example:
        >>> jobs = plan_conversions([Path("a.jpg"), Path("b.png")], Path("raw"), "tiff")
        >>> [job.output.as_posix() for job in jobs]
        ['raw/a.tiff', 'raw/b.tiff']
    """
    places: dict[tuple[str, str], Path] = {}
    for file in (file for photo in photos for file in named_photos(photo)):
        places.setdefault(_place(file), file)
    found = list(places.values())
    ending = out.suffix.lower()
    is_folder = stat.S_ISDIR(_mode(out))
    if ending in OUTPUT_ENDINGS and not is_folder:
        if len(found) > 1:
            raise OutputError(f"{len(found)} photos cannot become the one file {out}: give a folder")
        if format is not None and {".tif": "tiff"}.get(ending, ending[1:]) != format:
            raise OutputError(f"{out}: its ending contradicts --format {format}")
        jobs = [Conversion(found[0], out)]
    elif not is_folder and (out.suffix or _mode(out)):
        endings = ", ".join(OUTPUT_ENDINGS)
        raise OutputError(f"cannot write {out}: neither a folder nor a file that ends in one of {endings}")
    else:
        jobs = [Conversion(photo, out / f"{photo.stem}.{format or 'dng'}") for photo in found]
    _check_names(jobs, preview=preview)
    return jobs


def read_photo_list(path: Path) -> list[Path]:
    """Return the photos that a text file names, one a line, relative to the folder of that file.

    Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        ImageError: the file cannot be read, is not text, names no photo, or names an address.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # bytes, or UTF-16
        raise ImageError(f"{path}: not a text file (UTF-8) that names photos, one a line")
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise ImageError(f"{path}: names no photo; write one path a line")
    if address := next(filter(is_address, names), None):
        raise ImageError(f"{path}: names the address {address}: give addresses as words of the command")
    return [path.parent / name for name in names]


def parse_part(text: str) -> tuple[int, int]:
    """Return number and count of a part such as ``2/8``, the second of eight.

    Raises:
        ConfigError: not of this form, or there is no such part.

    Example:
        >>> parse_part("2/8")
        (2, 8)
    """
    number, _, count = text.partition("/")
    whole = number.isascii() and number.isdigit() and count.isascii() and count.isdigit() and len(text) < 20
    if not (whole and 1 <= int(number) <= int(count)):
        raise ConfigError(f"--part takes a number and a count, from 1/8 to 8/8 for eight jobs, got {text!r}")
    return int(number), int(count)


def share(jobs: Sequence[Conversion], rank: int, world_size: int) -> list[Conversion]:
    """Return the part of one process: every ``world_size``-th job, starting at the ``rank``-th."""
    return list(jobs[rank::world_size])


def named_photos(path: Path) -> list[Path]:
    """Return the photos of a folder (`read_photo_folder`) or of a list; return a single photo as a list of one.

    ``-`` is the photo that comes through standard input.

    Raises:
        ImageError: a folder has no photos, or a folder or list cannot be read.
    """
    if path == Path("-"):
        return [_STANDARD_INPUT]
    if stat.S_ISDIR(_mode(path)):
        return list(read_photo_folder(path).photos)
    return read_photo_list(path) if path.suffix.lower() == LIST_ENDING else [path]


def left_out(paths: Iterable[Path]) -> list[str]:
    """Return one line for each folder in which `named_photos` leaves files out.

    Raises:
        ImageError: a folder has no photos or cannot be read.
    """
    folders = [read_photo_folder(path) for path in paths if stat.S_ISDIR(_mode(path))]
    return [folder.left_out for folder in folders if folder.left_out]


def _mode(path: Path) -> int:
    """Return the kind and permissions of a file; 0 if it does not exist or cannot be accessed."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _place(photo: Path) -> tuple[str, str]:
    """Return the resolved folder and the name of a photo; two links to one file are two photos."""
    return os.path.realpath(photo.parent), photo.name


def _check_names(jobs: list[Conversion], *, preview: bool) -> None:
    """Require that all files that are read or written are different."""
    owners = {os.path.realpath(job.photo): f"the photo {job.photo}" for job in jobs}
    for job in jobs:
        own = f"that of {job.photo}"
        for name in [job.output, preview_path(job.output)] if preview else [job.output]:
            owner = owners.setdefault(os.path.realpath(name), own)
            if owner != own:
                raise OutputError(
                    f"{name} of {job.photo} would replace {owner}: rename one of them, or write elsewhere"
                )
