"""How soon a training reaches the figure that the same command reached at the end in another checkout.

python benchmarks/time_to_figure.py BEFORE                                    # three seeds, an hour on two cores
python benchmarks/time_to_figure.py BEFORE --train experiment=default data.scenes=FOLDER --seeds 1

BEFORE is a checkout of revisp. Each training runs in a process of its own, and the checkouts take turns. Time
begins with the process and includes preparation. It stops while the model is validated. This checkout validates
after every epoch. The figures are those of the fused pipeline on the validation pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import commit_of, keep, to_table

HERE = Path(__file__).resolve().parents[1]
TIMES = {"cpu": "processor", "wall": "wall"}


def train(words: list[str]) -> list[dict[str, float]]:
    """Train in this process; return the times and the figures of every validation."""
    import pytorch_lightning as pl

    from revisp.config import compose
    from revisp.training.build import build_training
    from revisp.training.run import fit

    class Curve(pl.Callback):
        rows: list[dict[str, float]] = []  # noqa: RUF012
        paused = {"cpu": 0.0, "wall": 0.0}  # noqa: RUF012

        def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.began = _now()

        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            figures = {name: float(value) for name, value in trainer.callback_metrics.items() if "val/" in name}
            times = {name: self.began[name] - self.paused[name] for name in TIMES}
            self.rows.append({"epoch": trainer.current_epoch + 1, **times, **figures})
            now = _now()
            self.paused = {name: self.paused[name] + now[name] - self.began[name] for name in TIMES}

    began = _now()
    curve = Curve()
    curve.paused = {"cpu": 0.0, "wall": began["wall"]}
    with tempfile.TemporaryDirectory() as folder:
        training = build_training(compose([*words, f"hydra.run.dir={folder}"]))
        training.trainer.callbacks.append(curve)
        fit(training)
    return curve.rows


def _now() -> dict[str, float]:
    return {"cpu": sum(os.times()[:4]), "wall": time.perf_counter()}


def run(checkout: Path, words: list[str]) -> list[dict[str, float]]:
    """Train with the package of a checkout, in a process of its own."""
    command = [sys.executable, __file__, str(checkout), "--one", "--train", *words]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    rows: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def compare(before: list[dict[str, float]], now: list[dict[str, float]], figure: str) -> dict[str, Any]:
    """Return when each reached the last figure of the first, and the ratios of these times; None: not reached."""
    old, last = before[-1], now[-1]
    reached = next((row for row in now if row[figure] >= old[figure]), None)
    found: dict[str, Any] = {"wanted": old[figure], "last": last[figure]}
    for name in TIMES:
        found[name] = old[name], reached and reached[name]
        found[f"{name} ratio"] = reached and reached[name] / old[name]
        found[f"{name} whole"] = last[name] / old[name]
    return found


def table(seeds: list[int], found: list[dict[str, Any]], figure: str) -> str:
    """Return the figures as Markdown."""
    heads = ["seed", f"{figure}, before", "now, last"]
    for name in TIMES.values():
        heads += [f"{name} s, before", "now", "ratio", "whole training"]
    lines = []
    for seed, row in zip(seeds, found, strict=True):
        digits = 3 if "ssim" in figure else 2
        cells = [str(seed), f"{row['wanted']:.{digits}f}", f"{row['last']:.{digits}f}"]
        for name in TIMES:
            old, new = row[name]
            cells += [f"{old:.0f}", *("not reached" if x is None else x for x in (new and f"{new:.0f}",))]
            ratio = row[f"{name} ratio"]
            cells += ["–" if ratio is None else f"{ratio:.2f}", f"{row[f'{name} whole']:.2f}"]
        lines.append(cells)
    whole = statistics.median(row["cpu whole"] for row in found)
    return f"{to_table(heads, lines)}\n\nwhole training, processor: median {whole:.2f}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout to compare with")
    parser.add_argument("--train", nargs="+", default=["+backbone=unet"], help="the words of revisp-train")
    parser.add_argument("--figures", nargs="+", default=["val/psnr", "val/psnr_noe", "val/ssim"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[11, 12, 13])
    parser.add_argument("--json", type=Path, help="also write all curves here")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(train(arguments.train)))
        return
    curves: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        words = [*arguments.train, f"seed={seed}"]
        before = run(arguments.before.resolve(), words)
        now = run(HERE, [*words, "trainer.check_val_every_n_epoch=1"])
        curves.append({"seed": seed, "before": before, "now": now})
        print(f"seed {seed}: {before[-1]} {now[-1]}", file=sys.stderr, flush=True)
    parts = [f"Before: commit {commit_of(arguments.before)}"]
    for figure in arguments.figures:
        parts.append(
            table(arguments.seeds, [compare(row["before"], row["now"], figure) for row in curves], figure)
        )
    keep(arguments.json, "\n\n".join(parts), curves)


if __name__ == "__main__":
    main()
