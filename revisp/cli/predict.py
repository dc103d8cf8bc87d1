"""``revisp-predict``: convert photos to RAW files."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revisp.cli._damaged import DamagedUse
from revisp.cli._empty import refuse_empty_words
from revisp.cli._limits import LIMIT_SENTENCE, take_limits
from revisp.cli._main import one_line, report_errors, say, shown
from revisp.cli._progress import TerminalBar
from revisp.cli._supervise import end_at_once, loading, supervise
from revisp.convert.jobs import left_out, parse_part, plan_conversions, share
from revisp.errors import ConfigError, RevispError
from revisp.hardware import keep_freed_memory, share_processors
from revisp.io.crash_record import crashes
from revisp.io.storage import is_address
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.convert.batch import Batch, Converted
    from revisp.convert.engine import Engine

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """File formats of a RAW."""

    dng = "dng"
    npy = "npy"
    tiff = "tiff"
    png = "png"


class DngKind(StrEnum):
    """Kinds of RAW in a DNG."""

    mosaic = "mosaic"
    linear = "linear"


class CompressionName(StrEnum):
    """Compressions of a DNG, all without loss."""

    jpeg = "jpeg"
    none = "none"
    jpegxl = "jpegxl"


class EngineName(StrEnum):
    """Programs that run a model."""

    torch = "torch"
    onnx = "onnx"


class PrecisionName(StrEnum):
    """Precisions of the networks."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class GainMapUse(StrEnum):
    """What to do with the gain map of a photo."""

    auto = "auto"
    off = "off"


@dataclass(frozen=True)
class Processes:
    """The processes that the photos are divided among."""

    devices: int
    nodes: int
    device: str


@app.command(epilog=LIMIT_SENTENCE)
def command(
    context: typer.Context,
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO",
            help="Photos, folders of photos, .txt files that name photos; - is a pipe. Or addresses (s3://...).",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("-o", "--out", help="Output file (one photo; its ending chooses the format), or folder."),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Model folder, exported .onnx, or default: the small model in the package."
        ),
    ] = "default",
    format: Annotated[  # the option's name
        Format | None, typer.Option(help="Format of the files in an output folder.", show_default="dng")
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of .npy: 10 (AIM 2022) or 12 (NTIRE 2025).")] = 10,
    compression: Annotated[
        CompressionName,
        typer.Option(help="Of .dng, without loss; few programs read jpegxl, which is smaller."),
    ] = CompressionName.jpeg,
    dng: Annotated[
        DngKind, typer.Option(help="linear: three planes, which converters need not demosaic.")
    ] = DngKind.mosaic,
    plain_dng: Annotated[
        bool,
        typer.Option("--plain-dng", help="Write .dng uncompressed, without preview, values as predicted."),
    ] = False,
    strip_location: Annotated[
        bool, typer.Option("--strip-location", help="Leave coordinates and names of places out of .dng.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make it the RAW of this camera: make and model, or a .json profile."),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="ISO",
            help="Add noise: of --camera FILE at this ISO, or variances SHOT,READ such as 2e-4,1e-6.",
        ),
    ] = None,
    headroom: Annotated[
        float | None,
        typer.Option(metavar="EV", help="EV by which clipped pixels exceed white, instead of an estimate."),
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tone curve instead of an estimate: a camera file, or a JSON list."),
    ] = None,
    gain_map: Annotated[
        GainMapUse,
        typer.Option(help="auto: overexposed pixels take their level from the photo's gain map, if it has one."),
    ] = GainMapUse.auto,
    damaged: Annotated[
        DamagedUse, typer.Option(help="warn: read photos that end early or lack parts, with a warning.")
    ] = DamagedUse.refuse,
    preview: Annotated[bool, typer.Option("--preview", help="Also write the developed RAW as PNG.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Skip photos whose RAW exists, is complete and newer than the photo."),
    ] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that a prediction may take, such as 1GiB.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Tile size in pixels, instead of one that fits the memory.")
    ] = None,
    precision: Annotated[
        PrecisionName,
        typer.Option(help="auto: bf16 if the hardware has it and the result hardly changes; else fp32."),
    ] = PrecisionName.auto,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the networks first; takes minutes once, for many photos.")
    ] = False,
    engine: Annotated[
        EngineName | None, typer.Option(help="Program that runs the model.", show_default="by the model")
    ] = None,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="Convert the I-th of N parts of the photos, such as 2/8.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads that read and write photos.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes, or GPUs, to divide the photos among.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines (torchrun or SLURM starts the processes).")] = 1,
) -> None:
    """Turn photos (JPEG, PNG, TIFF, WebP, HEIF, AVIF, JPEG XL) into camera RAW files.

    Writes .dng for RAW converters, .npy in the format of the challenges, or the 16-bit mosaic as .tiff or .png.
    Earlier predictions are replaced, unless --resume is given; other files are kept. If some of several photos
    fail, they are named at the end, and the exit code is 1.
    """
    with report_errors():
        from revisp.challenges import challenge_scale

        challenge_scale(bits)
        if tile is not None and tile < 16:
            raise ConfigError(f"--tile must be at least 16 pixels, got {tile}")
        if tile is not None and memory is not None:
            raise ConfigError("give --tile or --memory, not both")
        if is_address(out) or any(map(is_address, photos)):
            from revisp.convert.remote import plan_addresses

            jobs = plan_addresses(photos, out, Path(context.obj), format, preview=preview)
        else:
            jobs = plan_conversions(map(Path, photos), Path(out), format, preview=preview)
        if part is not None:
            number, count = parse_part(part)
            planned = len(jobs)
            jobs = share(jobs, number - 1, count)
            if not jobs:
                say(f"part {part} holds no photo ({counted(planned, 'photo')} in all)")
                return
        notes = left_out(Path(photo) for photo in photos if not is_address(photo))
        alone = devices * nodes == 1
        known = {"camera": camera, "headroom": headroom, "curve": curve}
        keep_freed_memory()
        with loading():
            from revisp.convert.early import read_early

            first = read_early(jobs, damaged.value) if alone and workers and not resume else None
            from revisp.convert.batch import Batch
            from revisp.convert.formats import Choice
            from revisp.convert.sensor_noise import parse_noise

            loaded = _load(model, engine, device, precision, compile=compile, memory=memory, known=known)
        choice = Choice(
            bits,
            preview,
            tile,
            compression=compression.value,
            plain_dng=plain_dng,
            strip_location=strip_location,
            linear_dng=dng is DngKind.linear,
            gain_map=gain_map is GainMapUse.auto,
            damaged=damaged.value,
            noise=None if noise is None else parse_noise(noise, camera),
        )
        readers = 0 if crashes().alone else workers
        batch = Batch(loaded, jobs, choice, workers=readers, resume=resume, first=first)
        del first  # the photo's pixels are freed before its RAW is written
        _conclude(_convert(batch) if alone else _divide(batch, Processes(devices, nodes, device)), notes)


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    share_processors()
    with ExitStack() as stack:
        with report_errors():
            folder = stack.enter_context(_scratch())
        supervise(stack.close)
        with end_at_once():
            app(obj=folder)


def _scratch() -> AbstractContextManager[str | None]:
    """Return a temporary folder for photos and results at addresses, if any word may hold one.

    A process that decodes a file again after a crash finds it under the same name.
    """
    if any("://" in word for word in sys.argv[1:]):
        return tempfile.TemporaryDirectory(prefix="revisp-predict-")
    return nullcontext()


def _load(
    model: str,
    engine: EngineName | None,
    device: str,
    precision: PrecisionName,
    *,
    compile: bool,
    memory: str | None,
    known: dict[str, Any],
) -> Engine:
    from revisp.convert.load import load_engine
    from revisp.tile_memory import parse_size

    return load_engine(
        model,
        engine=None if engine is None else engine.value,
        device=device,
        precision=precision.value,
        compile=compile,
        memory=None if memory is None else parse_size(memory),
        **known,
    )


def _convert(batch: Batch) -> list[Converted]:
    """Convert photos in this process, with a line for each, and a progress bar on a terminal."""
    outcomes: list[Converted] = []
    with TerminalBar() as bar:

        def show(done: int, total: int) -> None:
            bar.update(done, total, f"{len(outcomes)} of {len(batch.jobs)}")

        for outcome in batch.run(show):
            outcomes.append(outcome)
            _say(outcome)
    return outcomes


def _divide(batch: Batch, processes: Processes) -> list[Converted]:
    """Convert photos in several processes; the first process returns all outcomes."""
    import torch

    from revisp.convert.processes import PredictionTask, build_predictor, predict_photos

    kind = "cpu" if processes.device == "cpu" or not torch.cuda.is_available() else "cuda"
    trainer = build_predictor(devices=processes.devices, nodes=processes.nodes, accelerator=kind)
    outcomes = predict_photos(PredictionTask(batch, _say), trainer)
    return outcomes if trainer.is_global_zero else []


def _say(outcome: Converted) -> None:
    """Print a line on a converted photo; failures are reported at the end."""
    if outcome.files:
        names = ", ".join(map(shown, outcome.files))
        note = outcome.note and f"; {outcome.note}"
        say(f"{shown(outcome.job.origin)} -> {names} ({outcome.seconds:.1f} s){note}")
    elif outcome.skipped and outcome.job.destination not in crashes().finished:
        say(f"{shown(outcome.job.destination)} is finished")


def _conclude(outcomes: Sequence[Converted], notes: Sequence[str]) -> None:
    """Report files that were left out and photos that failed.

    The exit code is 2 if the only photo failed, and 1 if some of several did.
    """
    for note in notes:
        say(note, sys.stderr)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if len(outcomes) == 1 and failed:
        raise failed[0].error  # type: ignore[misc]
    for outcome in failed:
        if not isinstance(outcome.error, RevispError):  # a fault of revisp
            traceback.print_exception(outcome.error)
        say(f"error: {_reason(outcome)}", sys.stderr)
    if failed:
        say(f"{len(failed)} of {len(outcomes)} photos failed", sys.stderr)
        sys.exit(1)


def _reason(outcome: Converted) -> str:
    """Return why a photo failed, in one line that names the photo or its output."""
    text = one_line(outcome.error)
    named = any(one_line(path) in text for path in (outcome.job.origin, outcome.job.destination))
    return text if named else f"{shown(outcome.job.origin)}: {text}"
