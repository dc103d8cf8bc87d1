"""What the exporter makes of each network: does it export, how far is it from torch, how fast in onnxruntime.

python benchmarks/export.py                        # every network in its small version; half an hour on two cores
python benchmarks/export.py unet mialgo --size 1024
python benchmarks/export.py unet --published       # as published, in the paper's fused pipeline
python benchmarks/export.py --default --int8       # the model in the package, fp32 and int8
python benchmarks/export.py --default --json export.json
python benchmarks/export.py --default --int8 --megapixels 12    # a whole photo in tiles, as revisp-predict
python benchmarks/export.py --default --int8 --megapixels 12 --before CHECKOUT    # and torch in an earlier commit

Each way runs in a process of its own, on one photo of noise after one that warms up, on as many threads as torch
uses; the ways take turns, and rounds over them are repeated. With ``--megapixels``, a photo of that size with a
hundredth of overexposed pixels in a corner is predicted in tiles by each engine, torch by its fast path. "x torch"
is how many times faster than torch (fp32; eager without ``--megapixels``) in the same round. A network that cannot
be exported stays in the table, with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _report import child, commit_of, keep, medians, ratio, spread, timed, to_table

if TYPE_CHECKING:
    import torch

    from revisp.pipeline import ReverseISP

WAYS = {"torch": "model", "onnx": "model.onnx", "int8": "int8.onnx"}
"""What is timed, and which file it runs."""

BEFORE = "before"
"""The way ``torch``, in another checkout."""


def pipelines(names: list[str], *, published: bool) -> Iterator[tuple[str, ReverseISP]]:
    """Yield what is exported: each network with its small (or published) arguments, with random weights."""
    import torch

    from revisp.backbones import BACKBONES
    from revisp.camera.simulate import SIMULATED
    from revisp.pipeline import ReverseISP

    for name in names:
        spec = BACKBONES.spec(name)
        native = ["plain"] if spec.native == "packed" else []
        for kind in ["separate"] if published else ["shared", *native]:
            torch.manual_seed(0)
            kwargs = {} if published else spec.small
            model = ReverseISP(name, backbone_kwargs=kwargs, branches=kind, profile=SIMULATED.profile)
            yield f"{name}, {kind}", model.eval()


def export(model: ReverseISP, folder: Path, *, int8: bool) -> dict[str, Any]:
    """Export a pipeline in all ways; return what it took and how exact it is."""
    from revisp.cli.export import embedded_samples
    from revisp.errors import ConfigError
    from revisp.export.int8 import export_int8
    from revisp.export.onnx import export_onnx
    from revisp.export.program import export_program
    from revisp.model_folder import save_pretrained

    save_pretrained(model, folder / WAYS["torch"])
    path = folder / WAYS["onnx"]
    started = time.perf_counter()
    facts: dict[str, Any] = {"difference": export_onnx(model, path).difference}
    facts["export_s"] = time.perf_counter() - started
    facts["megabytes"] = path.stat().st_size / 1e6
    facts["pt2_difference"] = export_program(model, folder / "model.pt2").difference
    if int8:
        try:
            facts["int8"] = str(export_int8(model, folder / WAYS["int8"], partial(embedded_samples, model))[1])
        except ConfigError as error:  # not every network has convolutions
            facts["int8"] = str(error)
    return facts


def measure(way: str, path: Path, size: int, megapixels: float) -> dict[str, float]:
    """Time one way in this process: on a square of ``size``, or on a photo of so many megapixels."""
    import torch

    by_torch = way in ("torch", BEFORE)
    if megapixels:
        from revisp.convert.load import load_engine

        engine = load_engine(path, **({"device": "cpu", "precision": "fp32"} if by_torch else {}))
        photo = clipped_photo(megapixels)
        return timed(lambda: engine.bayer(photo))
    srgb = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    if by_torch:
        from revisp.model_folder import from_pretrained

        model = from_pretrained(path)
        with torch.inference_mode():
            return timed(lambda: model(srgb))
    from revisp.export.runtime import named_inputs, open_session, read_info, run_session

    session = open_session(path, ["CPUExecutionProvider"])
    inputs = named_inputs(read_info(session, path), srgb)
    return timed(lambda: run_session(session, inputs))


def clipped_photo(megapixels: float) -> torch.Tensor:
    """Return a noisy photo ``[3, H, W]`` of this size, a hundredth of it overexposed."""
    import torch

    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    photo = 0.9 * torch.rand(3, height, height * 4 // 3, generator=torch.Generator().manual_seed(0))
    photo[:, : height // 10, : height * 4 // 30] = 1
    return photo


def examine(model: ReverseISP, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of a pipeline, or why it has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            row = export(model, Path(folder), int8=options.int8)
        except Exception as error:  # the other networks are still to come
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        files = {**({BEFORE: WAYS["torch"]} if options.before else {}), **WAYS}
        paths = {way: Path(folder) / name for way, name in files.items() if (Path(folder) / name).exists()}
        row["rounds"] = {way: [] for way in paths}
        for _, (way, path) in itertools.product(range(options.rounds), paths.items()):
            checkout = options.before.resolve() if way == BEFORE else None
            row["rounds"][way].append(child(way, path, options.size, options.megapixels, checkout=checkout))
    return row


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    heads = ["pipeline", "export, s", "MB", "ONNX − torch", "pt2 − torch"]
    heads += ["torch, s", "spread", "ONNX, s", "spread", "x torch", "int8, s", "x torch"]
    lines = []
    for name, row in rows.items():
        if "error" in row:
            lines.append([name, row["error"].replace("|", r"\|"), *[""] * (len(heads) - 2)])
            continue
        rounds = row["rounds"]
        cells = [name, f"{row['export_s']:.1f}", f"{row['megabytes']:.1f}"]
        cells += [f"{row['difference']:.0e}", f"{row['pt2_difference']:.0e}"]
        for way in WAYS:
            cells += [f"{medians(rounds[way])['s']:.3f}" if way in rounds else ""]
            cells += [spread(rounds[way])] if way != "int8" else []
            if way != "torch":
                cells += [f"{ratio(rounds['torch'], rounds[way]):.2f}" if way in rounds else ""]
        lines.append(cells)
    notes = [f"{name}: {row['int8']}" for name, row in rows.items() if "int8" in row]
    for name, row in rows.items():
        if BEFORE in (rounds := row.get("rounds", {})):
            parts = [f"{way} {1 / ratio(rounds[BEFORE], rounds[way]):.2f}" for way in WAYS if way in rounds]
            notes.append(
                f"{name}: torch took {medians(rounds[BEFORE])['s']:.3f} s before; of it {', '.join(parts)}"
            )
    return "\n\n".join([to_table(heads, lines), *notes])


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks; all of them otherwise")
    parser.add_argument("--published", action="store_true", help="as published, instead of small")
    parser.add_argument("--default", action="store_true", help="the model in the package")
    parser.add_argument("--int8", action="store_true", help="in 8-bit integers too")
    parser.add_argument("--size", type=int, default=256, help="height and width of the photo that is timed")
    parser.add_argument("--megapixels", type=float, default=0, help="time a whole photo of this size in tiles")
    parser.add_argument("--before", type=Path, help="another checkout, where torch is timed, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, path, size, megapixels = options.one
        print(json.dumps(measure(way, Path(path), int(size), float(megapixels))))
        return
    from revisp.backbones import list_backbones
    from revisp.model_folder import from_pretrained

    names = options.names or ([] if options.default else list_backbones())
    models = pipelines(names, published=options.published)
    rows: dict[str, dict[str, Any]] = {}
    for name, model in itertools.chain([("default", from_pretrained())] if options.default else [], models):
        rows[name] = examine(model, options)
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    size = f"{options.megapixels:g} megapixels" if options.megapixels else f"{options.size} x {options.size}"
    before = f"Before: commit {commit_of(options.before)}; " if options.before else ""
    title = f"{before}one photo of {size}, {options.rounds} rounds"
    keep(options.json, f"{title}\n\n{table(rows)}", rows, "onnx", "onnxscript", "onnxruntime")


if __name__ == "__main__":
    main()
