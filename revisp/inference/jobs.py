"""Which photo becomes which file: planned before any work is done, and without loading torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisp.errors import ImageError, OutputError
from revisp.io.endings import OUTPUT_ENDINGS, PHOTO_ENDINGS

__all__ = ["Job", "plan_jobs", "preview_path", "read_manifest", "share"]

MANIFEST_ENDING = ".txt"


@dataclass(frozen=True)
class Job:
    """One photo and where its RAW goes."""

    photo: Path
    output: Path


def preview_path(output: Path) -> Path:
    """Return where the preview of ``photo.dng`` goes: ``photo.preview.png``."""
    return output.with_suffix(".preview.png")


def plan_jobs(photos: Iterable[Path], out: Path, format: str | None = None, *, preview: bool = False) -> list[Job]:
    """Decide which file each photo becomes.

    Args:
        photos: photos, folders of photos, and manifests (`read_manifest`).
        out: a file, or a folder.
        format: ending of the files in a folder, without its point; None: ``dng``.
        preview: whether previews are written beside them.

    Raises:
        ImageError: a folder without photos, or a manifest that cannot be read or is empty.
        OutputError: the output's ending is no format, contradicts ``format``, is one file for several photos, or
            two files would have the same name.
    """
    found = list(dict.fromkeys(file for photo in photos for file in _expand(photo)))
    ending = out.suffix.lower()
    if ending in OUTPUT_ENDINGS and not out.is_dir():
        if len(found) > 1:
            raise OutputError(f"{len(found)} photos cannot become the one file {out}: give a folder")
        if format is not None and {".tif": "tiff"}.get(ending, ending[1:]) != format:
            raise OutputError(f"{out}: its ending contradicts --format {format}")
        jobs = [Job(found[0], out)]
    elif out.suffix and not out.is_dir():
        endings = ", ".join(OUTPUT_ENDINGS)
        raise OutputError(f"cannot write {out}: neither a folder nor a file that ends in one of {endings}")
    else:
        jobs = [Job(photo, out / f"{photo.stem}.{format or 'dng'}") for photo in found]
    _check_names(jobs, preview=preview)
    return jobs


def read_manifest(path: Path) -> list[Path]:
    """Return the photos that a text file names, one a line, relative to the file's folder.

    Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        ImageError: the file cannot be read, is no text, or names no photo.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ImageError(f"{path}: not a text file that names photos, one a line") from None
    photos = [path.parent / line for line in lines if line and not line.startswith("#")]
    if not photos:
        raise ImageError(f"{path}: names no photo; write one path a line")
    return photos


def share(jobs: Sequence[Job], rank: int, world_size: int) -> list[Job]:
    """Return every ``world_size``-th job from the ``rank``-th on: one process's part of the work."""
    return list(jobs[rank::world_size])


def _expand(photo: Path) -> list[Path]:
    if photo.suffix.lower() == MANIFEST_ENDING and not photo.is_dir():
        return read_manifest(photo)
    if not photo.is_dir():
        return [photo]
    found = sorted(file for file in photo.iterdir() if file.suffix.lower() in PHOTO_ENDINGS and file.is_file())
    if not found:
        raise ImageError(f"{photo}: no photos in this folder ({', '.join(PHOTO_ENDINGS)})")
    return found


def _check_names(jobs: list[Job], *, preview: bool) -> None:
    """Require that no two files that are read or written are the same."""
    owners = {job.photo.resolve(): job.photo for job in jobs}
    for job in jobs:
        names = [job.output, preview_path(job.output)] if preview else [job.output]
        for name in names:
            other = owners.setdefault(name.resolve(), job.photo)
            if other is not job.photo or name.resolve() == job.photo.resolve():
                raise OutputError(f"{name} of {job.photo} would replace that of {other}: rename one of them")
