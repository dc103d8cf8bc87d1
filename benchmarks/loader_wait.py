"""What share of its time a training waits for crops, by Lightning's profiler.

python benchmarks/loader_wait.py                                        # the embedded photographs
python benchmarks/loader_wait.py --photos PHOTOS --scenes SCENES        # also photos of your own, and HDR scenes

Each round is a training of its own, with the settings of ``revisp-train +backbone=unet`` for the data. It waits
while it asks its loader for a batch. Without workers, as for the embedded photographs, it then cuts crops itself.
The first epoch, in which the workers start, does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from _report import child, keep, medians, to_table

EPOCHS = 3
"""Fewer than a training validates after."""

NEXT, EPOCH = "[_TrainingEpochLoop].train_dataloader_next", "run_training_epoch"
"""What Lightning calls the wait for a batch, and an epoch."""


def measure(words: list[str]) -> dict[str, float]:
    """Train in this process; return the seconds of an epoch, those that it waited, and its batches."""
    from pytorch_lightning.profilers import SimpleProfiler

    from revisp.config import compose
    from revisp.training.build import build_training
    from revisp.training.run import fit

    with tempfile.TemporaryDirectory() as folder:
        settings = ["+backbone=unet", f"trainer.max_epochs={EPOCHS}", f"run_dir={folder}", "~callbacks.checkpoint"]
        training = build_training(compose([*settings, *words]))
        training.trainer.profiler = profiler = SimpleProfiler()
        fit(training)
    waits, epochs = (profiler.recorded_durations[name] for name in (NEXT, EPOCH))
    batches = len(waits) // EPOCHS
    counted = EPOCHS - 1
    return {
        "s": sum(epochs[1:]) / counted,
        "waited": sum(waits[-batches * counted :]) / counted,
        "batches": training.trainer.num_training_batches,
    }


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures as Markdown."""
    lines = []
    for name, rows in rounds.items():
        middle = medians(rows)
        shares = [100 * row["waited"] / row["s"] for row in rows]
        lines.append(
            [
                name,
                f"{middle['s']:.1f}",
                f"{1000 * middle['s'] / middle['batches']:.0f}",
                f"{100 * middle['waited'] / middle['s']:.1f} %",
                f"{min(shares):.1f} to {max(shares):.1f} %",
            ]
        )
    return to_table(["data", "s an epoch", "ms a step", "waited", "spread"], lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of photos")
    parser.add_argument("--scenes", type=Path, help="folder of HDR scenes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        cases = {"embedded": ["data=embedded"]}
        if arguments.photos:
            photos = f"data.photos={arguments.photos}"
            cases["simulated"] = ["data=simulated", photos, f"data.cache={cache}/photos"]
        if arguments.scenes:
            cases["scenes"] = ["data=scenes", f"data.scenes={arguments.scenes}", f"data.cache={cache}/scenes"]
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
        for number in range(arguments.rounds):
            for name, words in cases.items():
                rounds[name].append(child(*words))
                print(f"round {number + 1}: {name}: {rounds[name][-1]}", file=sys.stderr, flush=True)
    keep(arguments.json, table(rounds), {"rounds": rounds})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2:])))
    else:
        main()
