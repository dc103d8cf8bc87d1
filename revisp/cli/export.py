"""``revisp-export``: write a model as one file that runs without revisp."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisp.cli._empty import refuse_empty_words
from revisp.cli._limits import LIMIT_SENTENCE, take_limits
from revisp.cli._main import report_errors, say
from revisp.convert.jobs import left_out, named_photos
from revisp.errors import ConfigError, OutputError
from revisp.io.locking import begin_folder

if TYPE_CHECKING:
    from revisp.export.int8 import CalibrationPiece
    from revisp.pipeline import ReverseISP

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXPORT_ENDINGS = (".onnx", ".pt2")


@app.command(epilog=LIMIT_SENTENCE)
def command(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File to write: .onnx, or .pt2 for a program of torch.export.")
    ],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model folder, or default: the small model in the package.")
    ] = "default",
    uint8: Annotated[
        bool, typer.Option("--uint8", help="Input bytes [B, H, W, 3], output uint16 in the units of the camera.")
    ] = False,
    gain_map: Annotated[
        bool, typer.Option("--gain-map", help="A further input, gain: what the photo's gain map says.")
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Networks in 8-bit integers (.onnx only).")] = False,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PHOTOS",
            help="Photos, folders or .txt lists that calibrate --int8; may be repeated.",
            show_default="photographs of scikit-image and scikit-learn",
        ),
    ] = None,
) -> None:
    """Write a model as one file: ONNX, or a PyTorch program.

    The file holds all steps from the pixels of the photo to the Bayer mosaic, for photos of any size from 16
    pixels a side. It is compared with the model at several sizes, and written only if they agree.
    """
    with report_errors():
        photos = check_request(out, int8=int8, calibrate=calibrate)
        with _made_way(out):
            from revisp.model_folder import from_pretrained

            kind = {"uint8": uint8, "gain": gain_map, "int8": int8}
            lines = _export(from_pretrained(model), out, model, **kind, photos=photos)
        say("\n".join([*lines, f"{out}: {out.stat().st_size / 1e6:.1f} MB", *left_out(calibrate or [])]))


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    app()


def check_request(out: Path, *, int8: bool, calibrate: list[Path] | None) -> list[Path] | None:
    """Refuse a request that cannot be fulfilled, before any work; return the calibration photos.

    Raises:
        OutputError: the ending of the output is not in `EXPORT_ENDINGS`.
        ConfigError: options contradict each other.
        ImageError: a folder has no photos or cannot be read.
    """
    if out.suffix.lower() not in EXPORT_ENDINGS:
        raise OutputError(f"cannot write {out}: it must end in .onnx (ONNX) or .pt2 (torch.export)")
    if int8 and out.suffix.lower() == ".pt2":
        raise ConfigError("--int8 is for .onnx: a program of torch.export stays in floating point")
    if calibrate and not int8:
        raise ConfigError("--calibrate belongs to --int8")
    return [photo for path in calibrate for photo in named_photos(path)] if calibrate else None


@contextlib.contextmanager
def _made_way(out: Path) -> Iterator[None]:
    """Make the folder of a file; remove the new folders again if the file is not written.

    Raises:
        OutputError: the file cannot be written there.
    """
    try:
        if out.is_dir():
            raise OutputError(f"cannot write {out}: it is a folder")
        missing = [folder for folder in out.parents if not folder.exists()]
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    begin_folder(out.parent)
    try:
        if not os.access(out.parent, os.W_OK):
            raise OutputError(f"cannot write {out}: its folder is read-only")
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # another process may have put files there
                folder.rmdir()
        raise


def _export(
    pipeline: ReverseISP,
    out: Path,
    folder: str,
    *,
    uint8: bool,
    gain: bool,
    int8: bool,
    photos: list[Path] | None,
) -> list[str]:
    """Write the file; return lines on it for the user."""
    name = Path(folder).resolve().name
    if out.suffix.lower() == ".pt2":
        from revisp.export.program import export_program

        return [str(export_program(pipeline, out, name=name, uint8=uint8, gain=gain))]
    if int8:
        from revisp.export.int8 import export_int8, photo_samples

        samples = partial(embedded_samples, pipeline) if photos is None else partial(photo_samples, photos)
        return [str(part) for part in export_int8(pipeline, out, samples, name=name, uint8=uint8, gain=gain)]
    from revisp.export.onnx import export_onnx

    return [str(export_onnx(pipeline, out, name=name, uint8=uint8, gain=gain))]


def embedded_samples(model: ReverseISP) -> tuple[list[CalibrationPiece], list[CalibrationPiece]]:
    """Cut pieces from the embedded photographs; their RAW is true only for a model of the simulated camera."""
    from revisp.data.embedded import EmbeddedPhotos
    from revisp.export.int8 import CalibrationPiece, cut_samples

    source = EmbeddedPhotos()
    known = model.profile == source.profile
    pairs = (source.train_pairs(), source.val_pairs())
    calibrate, measure = ([CalibrationPiece(p.srgb, p.bayer if known else None) for p in side] for side in pairs)
    return cut_samples(calibrate, measure)
