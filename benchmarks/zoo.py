"""What each network of the catalogue costs, as published: size, arithmetic, time and memory, side by side.

python benchmarks/zoo.py                      # every network, about 15 minutes on two cores; prints Markdown
python benchmarks/zoo.py mialgo hit_* --rounds 5

Each network runs in a process of its own, as it was published (plain, its native output), in the precision that
training uses here (bf16 autocast and channels-last where the processor is fast at it). Rounds over all networks
are repeated; times are medians. Memory is what the process holds at its peak, beyond what it held before the
network was built.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from _report import provenance

TILE = 504
CROP, BATCH = 128, 4
REFERENCE = "unet"


def measure(name: str) -> dict[str, float]:
    """Time one prediction of a tile and one training step, in this process."""
    import torch

    from revisp.backbones import BACKBONES
    from revisp.pipeline import ReverseISP
    from revisp.training.build import fast_precision

    torch.manual_seed(0)
    fast = fast_precision("cpu") == "bf16-mixed"
    before = _peak()
    mask_channel = BACKBONES.spec(name).in_channels == 4
    model = ReverseISP(name, branches="plain", mask_channel=mask_channel).to(memory_format=torch.channels_last)
    photo = torch.rand(1, 3, TILE, TILE).contiguous(memory_format=torch.channels_last)

    def predict() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
            model(photo)

    model.eval()
    predict_s = _median(predict, 2)
    predicting = _peak() - before
    crops = torch.rand(BATCH, 3, CROP, CROP).contiguous(memory_format=torch.channels_last)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            loss = (model.reconstruct(crops).mosaiced.float() - 0.5).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    model.train()
    step_s = _median(step, 2)
    return {"predict_s": predict_s, "step_s": step_s, "predict_mib": predicting, "peak_mib": _peak() - before}


def _median(action: Callable[[], None], times: int) -> float:
    action()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(rows: list[dict[str, Any]], rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures as Markdown."""
    heads = ("network", "parameters", "GMAC", "predict, s", f"x {REFERENCE}", "MiB", "training step, s", "MiB")
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    middle = {
        name: {key: statistics.median(r[key] for r in all_) for key in all_[0]} for name, all_ in rounds.items()
    }
    for row in rows:
        if (m := middle.get(row["name"])) is None:
            continue
        ratio = f"{m['predict_s'] / middle[REFERENCE]['predict_s']:.2f}" if REFERENCE in middle else ""
        cells = [f"{row['parameters']:,}", f"{row['gmac']:.1f}", f"{m['predict_s']:.2f}", ratio]
        cells += [f"{m['predict_mib']:.0f}", f"{m['step_s']:.2f}", f"{m['peak_mib']:.0f}"]
        lines.append(f"| `{row['name']}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", default=["*"], help="shell patterns of names")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    from revisp.backbones import describe_backbones

    rows = {row["name"]: row for pattern in arguments.patterns for row in describe_backbones(pattern)}
    rounds: dict[str, list[dict[str, float]]] = {}
    for number, name in itertools.product(range(arguments.rounds), rows):
        command = [sys.executable, __file__, "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rounds.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
        print(f"round {number + 1}: {name} {rounds[name][-1]}", file=sys.stderr, flush=True)
    print(table(list(rows.values()), rounds))
    print(
        f"\nPrediction of a {TILE} x {TILE} tile; training step on {BATCH} crops of {CROP} x {CROP} with Adam. "
        f"Medians of {arguments.rounds} rounds; {provenance('timm', 'segmentation-models-pytorch')}."
    )


if __name__ == "__main__":
    main()
