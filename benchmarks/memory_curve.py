"""Memory and time of prediction over the size of the photo, which should be flat, from 0.25 to 100 megapixels.

python benchmarks/memory_curve.py                          # all sizes, about ten minutes on two cores
python benchmarks/memory_curve.py 0.25 1 4 --memory 512MiB --rounds 1
python benchmarks/memory_curve.py 12.2 --model paper --precision bf16 --memory 2GiB --ways fast
python benchmarks/memory_curve.py --json memory.json       # all figures as JSON; the table goes to standard output

Each measurement is a process of its own, sizes and the two ways take turns: `revisp.predict` on the model as it
is loaded, and on the one that `revisp.inference.optimise` makes of it. Memory is the peak of what the process
holds beyond what it held before the call, when the libraries, the model and the photo were there; "result" is the
part of it that is returned. Times are those of a second call on the same photo, as in a folder of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from _report import child, keep, medians, spread, to_table
from predict import build

SIZES = (0.25, 1.0, 4.0, 12.2, 25.0, 50.0, 100.0)
WAYS = ("plain", "fast")
CLIPPED = 0.01


def measure(megapixels: float, way: str, model_name: str, precision: str, memory: str | None) -> dict[str, float]:
    """Predict one photo of this size in this process."""
    import torch

    import revisp
    from revisp.hardware import keep_freed_memory
    from revisp.inference.fast import optimise
    from revisp.tile_memory import parse_size

    model = build(model_name)
    if way == "fast":
        keep_freed_memory()
        model = optimise(model, precision)
    srgb = _photo(megapixels)
    revisp.predict(model, srgb[:, :64, :64])
    tiles: list[int] = []

    def predict() -> revisp.Reconstruction:
        bound = None if memory is None else parse_size(memory)
        return revisp.predict(model, srgb, memory=bound, progress=lambda done, total: tiles.append(total))

    _forget_peak()
    before = _status("VmRSS")
    out = predict()
    peak = _status("VmHWM") - before
    result = {part.data_ptr(): part.nbytes for part in out if isinstance(part, torch.Tensor)}
    del out
    started = time.perf_counter()
    predict()
    seconds = time.perf_counter() - started
    pixels = srgb.shape[-2] * srgb.shape[-1]
    return {
        "s": seconds / pixels * 1e6,
        "peak_mib": peak / 1024,
        "result_mib": sum(result.values()) / 2**20,
        "tiles": tiles[-1],
    }


def _photo(megapixels: float) -> Any:
    """Return noise ``[3, H, W]`` of 4:3, of which a stripe is overexposed."""
    import torch

    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(height * 4 / 3)
    srgb = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)).mul_(0.9)
    srgb[:, : max(1, round(CLIPPED * height))] = 1
    return srgb


def _status(key: str) -> int:
    """Return a figure of this process in KiB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as Markdown."""
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    heads = ["megapixels", *(f"{way}: {what}" for way in ways for what in ("s a MP", "spread", "MiB", "tiles"))]
    lines = []
    for megapixels in dict.fromkeys(row["megapixels"] for row in rows):
        cells, result = [f"{megapixels:g}"], ""
        for way in ways:
            own = [row["figures"] for row in rows if row["megapixels"] == megapixels and row["way"] == way]
            middle = medians(own)
            cells += [f"{middle['s']:.3f}", spread(own), f"{middle['peak_mib']:.0f}", f"{middle['tiles']:.0f}"]
            result = f"{middle['result_mib']:.0f}"
        lines.append([*cells, result])
    return to_table([*heads, "result, MiB"], lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megapixels", nargs="*", type=float, default=list(SIZES))
    parser.add_argument("--model", default="default", help="default, paper, a model folder or a backbone")
    parser.add_argument("--precision", default="auto", help="of the fast way: auto, fp32 or bf16")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument(
        "--memory", help="bound of memory, such as 1GiB, which large photos may exceed by their size"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, megapixels, name, precision, memory = arguments.one
        print(json.dumps(measure(float(megapixels), way, name, precision, memory or None)))
        return
    rows = []
    for number, megapixels, way in itertools.product(
        range(arguments.rounds), arguments.megapixels, arguments.ways
    ):
        figures = child(way, megapixels, arguments.model, arguments.precision, arguments.memory or "")
        rows.append({"megapixels": megapixels, "way": way, "round": number, "figures": figures})
        print(rows[-1], file=sys.stderr, flush=True)
    keep(arguments.json, table(rows), rows)


if __name__ == "__main__":
    main()
