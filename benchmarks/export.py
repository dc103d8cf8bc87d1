"""What the exporter makes of each network: does it export, how far is it from torch, how fast in onnxruntime.

python benchmarks/export.py                        # every network in its small version, plain and shared
python benchmarks/export.py unet mialgo --size 1024
python benchmarks/export.py unet --published       # as published, in the paper's fused pipeline
python benchmarks/export.py --default --int8       # the model in the package, fp32 and int8

Times are medians of interleaved rounds over one photo of noise, on as many threads as torch uses; "x" is how many
times faster than torch (eager, fp32, contiguous).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _report import provenance

from revisp.backbones import BACKBONES, list_backbones
from revisp.camera.simulate import SIMULATED
from revisp.errors import RevispError
from revisp.export.int8 import export_int8
from revisp.export.model_folder import from_pretrained
from revisp.export.onnx import export_onnx
from revisp.export.program import export_program
from revisp.export.runtime import open_session, run_session
from revisp.pipeline import ReverseISP


def pipelines(names: list[str], *, published: bool) -> dict[str, ReverseISP]:
    """Return what is exported: each network with its small (or published) arguments, with random weights."""
    made = {}
    for name in names:
        spec = BACKBONES.spec(name)
        native = ["plain"] if spec.native == "packed" else []
        for kind in ["separate"] if published else ["shared", *native]:
            torch.manual_seed(0)
            kwargs = {} if published else spec.small
            model = ReverseISP(name, backbone_kwargs=kwargs, branches=kind, profile=SIMULATED.profile)
            made[f"{name}, {kind}"] = model.eval()
    return made


def measure(model: ReverseISP, size: int, rounds: int, *, int8: bool) -> dict[str, Any]:
    """Export a pipeline in all ways and time them."""
    srgb = torch.rand(1, 3, size, size)
    row: dict[str, Any] = {}

    def eager() -> None:
        with torch.inference_mode():
            model(srgb)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        started = time.perf_counter()
        row["difference"] = export_onnx(model, path).difference
        row["export_s"] = time.perf_counter() - started
        row["megabytes"] = path.stat().st_size / 1e6
        row["pt2_difference"] = export_program(model, Path(folder) / "model.pt2").difference
        session = open_session(path)
        runs: dict[str, Callable[[], object]] = {"torch_s": eager, "onnx_s": lambda: run_session(session, srgb)}
        if int8:
            row["int8"] = str(export_int8(model, path)[1])
            integers = open_session(path)
            runs["int8_s"] = lambda: run_session(integers, srgb)
        row.update(time_all(runs, rounds))
    return row


def time_all(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, in turns, after one turn of warming up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    heads = ("pipeline", "export, s", "MB", "ONNX − torch", "pt2 − torch", "torch, s", "ONNX", "int8")
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, row in rows.items():
        if "error" in row:
            lines.append(f"| {name} | {row['error']} |" + " |" * (len(heads) - 2))
            continue
        eager = row["torch_s"]
        cells = [f"{row['export_s']:.1f}", f"{row['megabytes']:.1f}", f"{row['difference']:.1e}"]
        cells += [f"{row['pt2_difference']:.1e}", f"{eager:.3f}", f"x {eager / row['onnx_s']:.2f}"]
        cells.append(f"x {eager / row['int8_s']:.2f}" if "int8_s" in row else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [f"\n{name}: {row['int8']}" for name, row in rows.items() if "int8" in row]
    return "\n".join(lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks; all of them otherwise")
    parser.add_argument("--published", action="store_true", help="as published, instead of small")
    parser.add_argument("--default", action="store_true", help="the model in the package")
    parser.add_argument("--int8", action="store_true", help="in 8-bit integers too")
    parser.add_argument("--size", type=int, default=256, help="height and width of the photo that is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    names = options.names or ([] if options.default else list_backbones())
    models = {"default": from_pretrained()} if options.default else {}
    models |= pipelines(names, published=options.published)
    rows: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        try:
            rows[name] = measure(model, options.size, options.rounds, int8=options.int8)
        except RevispError as error:
            rows[name] = {"error": str(error)}
        print(name, json.dumps(rows[name]), flush=True)
    machine = f"{provenance('onnx', 'onnxscript', 'onnxruntime')}, {torch.get_num_threads()} threads"
    print(f"\n{machine}; photo {options.size}x{options.size}\n\n{table(rows)}")
    if options.json is not None:
        figures = {"machine": machine, "size": options.size, "rows": rows}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
