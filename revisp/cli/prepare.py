"""``revisp-prepare``: camera files, challenge folders or photos to a data set."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisp.cli._main import report_errors
from revisp.cli._progress import TerminalBar
from revisp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from revisp.prepare import Preparation

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Converter(StrEnum):
    """Programs that render a RAW."""

    libraw = "libraw"
    darktable = "darktable"
    rawtherapee = "rawtherapee"


class Method(StrEnum):
    """How the training target is demosaiced."""

    demosaicnet = "demosaicnet"
    malvar = "malvar"
    bilinear = "bilinear"


@app.command()
def command(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="RAW files, photos, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DATASET", help="Folder of the data set.")],
    converter: Annotated[
        list[Converter] | None,
        typer.Option(help="Renders RAW files that have no camera JPEG; may be repeated.", show_default="libraw"),
    ] = None,
    style: Annotated[
        list[str] | None, typer.Option(help="Renderings by each converter; may be repeated.", show_default="all")
    ] = None,
    min_preview: Annotated[
        float, typer.Option(help="Least side of a camera's JPEG or preview, as a share of the RAW's.")
    ] = 0.5,
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN=FILE", help="Camera profile (JSON) of 16-bit mosaics; may be repeated."),
    ] = None,
    demosaic: Annotated[Method, typer.Option(help="How the training target is demosaiced.")] = Method.demosaicnet,
    val: Annotated[
        list[str] | None, typer.Option(metavar="SCENE", help="Validate with it; may be repeated.")
    ] = None,
    val_share: Annotated[
        float, typer.Option(help="Share of the scenes that validate, where none is named.")
    ] = 0.2,
    cameras: Annotated[int, typer.Option(help="Simulated cameras for each plain photo.")] = 1,
    camera: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Simulate this one: cameras/*.json of a data set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated cameras.")] = 0,
    preview: Annotated[bool, typer.Option("--preview", help="Leave contact sheets (sheet.png).")] = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="Pack LitData shards for data=stream too (shards/); needs litdata.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes.", show_default="one a core, if the memory allows")] = 0,
) -> None:
    """Turn camera RAW files, challenge folders, pairs or plain photos into a data set for revisp-train.

    What is given is recognised by itself. Interrupted, the same command goes on where it was; over unchanged
    files it changes nothing.
    """
    with report_errors():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends in order, as an interrupt does
        from revisp.prepare import PrepareOptions, prepare, write_sheets

        options = PrepareOptions(
            converters=tuple(converter or ["libraw"]),
            styles=tuple(style or ()),
            min_preview=min_preview,
            profiles=tuple(_rule(text) for text in profile or ()),
            demosaic=demosaic.value,
            val=None if val is None else tuple(val),
            val_share=val_share,
            cameras=cameras,
            camera=camera,
            seed=seed,
            workers=workers,
        )
        if shards:
            _require_packing()
        with TerminalBar("preparing", counts=True) as bar:

            def show(done: int, total: int, line: str) -> None:
                bar.update(done, total, line[:60])
                if not bar.visible:
                    _say(f"[{done}/{total}] {line}")

            result = prepare(inputs, out, options, tell=_say, progress=show)
        if shards and _shards_are_stale(out):
            print(f"Shards: {_pack(out)}", flush=True)
        if preview and (sheets := write_sheets(result.manifest)):
            print(f"Contact sheet: {', '.join(map(str, sheets))}", flush=True)
        print(describe_preparation(result))
        _require_use(result)


def main() -> None:
    """Run the command."""
    app()


def _require_packing() -> None:
    from revisp.data.shards import require_litdata

    require_litdata()


def _shards_are_stale(root: Path) -> bool:
    from revisp.data.manifest import MANIFEST

    packed = root / "shards"
    return not packed.exists() or packed.stat().st_mtime_ns < (root / MANIFEST).stat().st_mtime_ns


def _pack(root: Path) -> Path:
    from revisp.data.packing import write_shards

    return write_shards(root)


def _rule(text: str) -> tuple[str, Path]:
    pattern, found, file = text.rpartition("=")
    if not (pattern and found and file):
        raise ConfigError(f"--profile takes PATTERN=FILE, such as '*_raw.png=camera.json', got {text!r}")
    return pattern, Path(file)


def describe_preparation(result: Preparation) -> str:
    """Return the closing lines: what there is, by kind, split and camera, and why the rest is not."""
    entries = result.manifest.entries
    lines = [
        f"{len(result.made)} made, {len(result.kept)} kept, {len(result.refused)} rejected; "
        f"{len(entries)} pictures in {result.root}"
    ]
    for kind in sorted({entry.kind for entry in entries}):
        of_kind = [entry for entry in entries if entry.kind == kind]
        train = sum(entry.split == "train" for entry in of_kind)
        share = sum(entry.oe_share * entry.height * entry.width for entry in of_kind)
        share /= sum(entry.height * entry.width for entry in of_kind)
        cameras = sorted({entry.camera for entry in of_kind})
        shown = ", ".join(cameras[:4]) + (f" and {len(cameras) - 4} more" if len(cameras) > 4 else "")
        counts = f"{train:>6} train {len(of_kind) - train:>5} val"
        lines.append(f"  {kind:<14}{counts}   overexposed {100 * share:.2f} %   {shown}")
    lines += [f"  rejected: {reject.reason}" for reject in result.refused[:20]]
    if len(result.refused) > 20:
        lines.append(f"  and {len(result.refused) - 20} more rejected: see {result.root / 'manifest.jsonl'}")
    return "\n".join(lines)


def _require_use(result: Preparation) -> None:
    """Raise an error where nothing came of what was given, or of a file given outright."""
    named = [reject for reject in result.refused if reject.name in result.explicit]
    if named:
        raise DataError(f"{named[0].reason} ({len(named)} of the files given could not be used)")
    if not result.made and not result.kept:
        raise DataError(f"nothing could be used: {result.refused[0].reason}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
