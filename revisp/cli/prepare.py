"""``revisp-prepare``: make a data set of camera files, challenge folders or photos."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisp.cli._damaged import DamagedUse
from revisp.cli._empty import refuse_empty_words
from revisp.cli._limits import LIMIT_SENTENCE, take_limits
from revisp.cli._main import report_errors, say
from revisp.cli._progress import TerminalBar
from revisp.cli._supervise import supervise
from revisp.errors import ConfigError
from revisp.io.storage import require_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Converter(StrEnum):
    """Programs that render a RAW."""

    libraw = "libraw"
    darktable = "darktable"
    rawtherapee = "rawtherapee"


class Method(StrEnum):
    """Demosaicing methods of the training target."""

    demosaicnet = "demosaicnet"
    malvar = "malvar"
    bilinear = "bilinear"


@app.command(epilog=LIMIT_SENTENCE)
def command(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="RAW files, photos, scenes, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DATASET", help="Folder of the data set.")],
    converter: Annotated[
        list[Converter] | None,
        typer.Option(help="Renders RAW files without a camera JPEG; may be repeated.", show_default="libraw"),
    ] = None,
    style: Annotated[
        list[str] | None, typer.Option(help="Renderings by each converter; may be repeated.", show_default="all")
    ] = None,
    min_preview: Annotated[
        float, typer.Option(help="Least side of a camera's JPEG or preview, as a share of the RAW's.")
    ] = 0.5,
    gain_maps: Annotated[
        bool, typer.Option("--gain-maps", help="Apply the gain maps of DNG and GPR files, against lens shading.")
    ] = False,
    damaged: Annotated[
        DamagedUse, typer.Option(help="warn: read files that are cut off or lack parts, with a warning.")
    ] = DamagedUse.refuse,
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN=FILE", help="Camera profile (JSON) of 16-bit mosaics; may be repeated."),
    ] = None,
    demosaic: Annotated[Method, typer.Option(help="Demosaicing of the training target.")] = Method.demosaicnet,
    val: Annotated[
        list[str] | None, typer.Option(metavar="SCENE", help="Validate with this scene; may be repeated.")
    ] = None,
    val_share: Annotated[
        float, typer.Option(help="Share of the scenes that validate, if --val names none.")
    ] = 0.2,
    cameras: Annotated[int, typer.Option(help="Simulated cameras for each plain photo.")] = 1,
    camera: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Simulate this camera: cameras/*.json of a data set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated cameras.")] = 0,
    preview: Annotated[bool, typer.Option("--preview", help="Write contact sheets (sheet.png).")] = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="Also pack LitData shards for data=stream (shards/); needs litdata.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes.", show_default="one a core, if the memory allows")] = 0,
) -> None:
    """Turn camera RAW files, challenge folders, pairs or plain photos into a data set for revisp-train.

    Scenes of linear light (.hdr, .exr, pictures with a gain map) are decoded for data=scenes, and described.

    The kind of each input is recognised automatically. The same command continues an interrupted run; with
    unchanged files it changes nothing.
    """
    with report_errors():
        for path in (*inputs, out):
            require_on_disk(path, "revisp-prepare")
        from revisp.prepare import PrepareOptions, prepare, prepare_scenes, scene_inputs, write_sheets
        from revisp.prepare.conclusion import describe_preparation, require_use

        if scene_inputs(inputs):
            with TerminalBar("preparing", counts=True) as bar:
                scenes = prepare_scenes(inputs, out, tell=_say, progress=_shower(bar))
            say(scenes.described)
            return
        options = PrepareOptions(
            converters=tuple(converter or ["libraw"]),
            styles=tuple(style or ()),
            min_preview=min_preview,
            gain_maps=gain_maps,
            damaged=damaged.value,
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
            result = prepare(inputs, out, options, tell=_say, progress=_shower(bar))
        if shards:
            _pack(out)
        if preview and (sheets := write_sheets(result.manifest)):
            say(f"Contact sheet: {', '.join(map(str, sheets))}")
        say(describe_preparation(result))
        require_use(result)


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    supervise()
    app()


def _shower(bar: TerminalBar) -> Callable[[int, int, str], None]:
    """Return a function that shows progress: in the bar, or as lines without a bar."""

    def show(done: int, total: int, line: str) -> None:
        bar.update(done, total, line[:60])
        if not bar.visible:
            _say(f"[{done}/{total}] {line}")

    return show


def _require_packing() -> None:
    from revisp.data.shards import require_litdata

    require_litdata()


def _pack(root: Path) -> None:
    from revisp.data.packing import shards_are_stale, write_shards

    if shards_are_stale(root):
        say(f"Shards: {write_shards(root)}")


def _rule(text: str) -> tuple[str, Path]:
    pattern, found, file = text.rpartition("=")
    if not (pattern and found and file):
        raise ConfigError(f"--profile takes PATTERN=FILE, such as '*_raw.png=camera.json', got {text!r}")
    return pattern, Path(file)


def _say(line: str) -> None:
    say(line, sys.stderr)
