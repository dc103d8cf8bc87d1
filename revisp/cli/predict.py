"""``revisp-predict``: photos to RAW files."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisp.cli._main import one_line, report_errors
from revisp.errors import ConfigError, ImageError, OutputError, RevispError
from revisp.io.endings import OUTPUT_ENDINGS, PHOTO_ENDINGS

if TYPE_CHECKING:
    from revisp.pipeline import ReverseISP

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """What a RAW is written as."""

    dng = "dng"
    npy = "npy"
    tiff = "tiff"
    png = "png"


@dataclass(frozen=True)
class Job:
    """One photo and where its RAW goes."""

    photo: Path
    output: Path


@app.command()
def command(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos, or folders of photos.")],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Output file (one photo; its ending chooses the format), or folder."),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Model folder; the small model in the package otherwise.")
    ] = None,
    format: Annotated[  # the option's name
        Format | None, typer.Option(help="Format of the files in an output folder.", show_default="dng")
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of .npy: 10 (AIM 2022) or 12 (NTIRE 2025).")] = 10,
    preview: Annotated[bool, typer.Option("--preview", help="Write the developed RAW beside it as PNG.")] = False,
    tile: Annotated[int, typer.Option(help="Tile size in pixels: smaller needs less memory.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Turn photos (JPEG, PNG, TIFF, WebP) into camera RAW files.

    Writes .dng for RAW converters, .npy in the challenges' format, or the 16-bit mosaic as .tiff or .png.
    Existing files are replaced.
    """
    with report_errors():
        jobs = plan_jobs(photos, out, format, preview=preview)
        if bits not in (10, 12):
            raise ConfigError(f"--bits must be 10 (AIM 2022) or 12 (NTIRE 2025), got {bits}")
        from revisp.inference.load import load_model

        network = load_model(model, device)
        failures = []
        for job in jobs:
            try:
                _convert(network, job, bits=bits, preview=preview, tile=tile)
            except RevispError as error:
                failures.append(one_line(error))
        if failures:
            for failure in failures[:-1]:
                print(f"error: {failure}", file=sys.stderr)
            raise RevispError(failures[-1])


def main() -> None:
    """Run the command."""
    app()


def plan_jobs(photos: list[Path], out: Path, format: Format | None, *, preview: bool = False) -> list[Job]:
    """Decide which file each photo becomes, before any work is done.

    Raises:
        ImageError: a folder without photos.
        OutputError: the output's ending is no format, contradicts ``--format``, is one file for several photos, or
            two files would have the same name.
    """
    found = list(dict.fromkeys(file for photo in photos for file in _expand(photo)))
    jobs: list[Job]
    if out.suffix.lower() in OUTPUT_ENDINGS and not out.is_dir():
        if len(found) > 1:
            raise OutputError(f"{len(found)} photos cannot become the one file {out}: give a folder")
        if format is not None and {".tif": "tiff"}.get(out.suffix.lower(), out.suffix.lower()[1:]) != format:
            raise OutputError(f"{out}: its ending contradicts --format {format}")
        jobs = [Job(found[0], out)]
    elif out.suffix and not out.is_dir():
        endings = ", ".join(OUTPUT_ENDINGS)
        raise OutputError(f"cannot write {out}: neither a folder nor a file that ends in one of {endings}")
    else:
        ending = f".{format or Format.dng}"
        jobs = [Job(photo, out / f"{photo.stem}{ending}") for photo in found]
    _check_names(jobs, preview=preview)
    return jobs


def _expand(photo: Path) -> list[Path]:
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
        names = [job.output, job.output.with_suffix(".preview.png")] if preview else [job.output]
        for name in names:
            other = owners.setdefault(name.resolve(), job.photo)
            if other is not job.photo or name.resolve() == job.photo.resolve():
                raise OutputError(f"{name} of {job.photo} would replace that of {other}: rename one of them")


def _convert(model: ReverseISP, job: Job, *, bits: int, preview: bool, tile: int) -> None:
    """Convert one photo, with a progress bar on a terminal, and say so in one line."""
    from rich.console import Console
    from rich.progress import Progress

    from revisp.inference.convert import convert_photo

    started = time.monotonic()
    _make_folder(job.output.parent)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(job.photo.name)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        files = convert_photo(model, job.photo, job.output, bits=bits, preview=preview, tile=tile, progress=show)
    print(f"{job.photo} -> {', '.join(map(str, files))} ({time.monotonic() - started:.1f} s)", flush=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
