"""How many training crops a core simulates a second, side by side with another checkout, as an earlier commit.

git worktree add --detach /tmp/before COMMIT
python benchmarks/crops.py /tmp/before                                  # the embedded photographs
python benchmarks/crops.py /tmp/before --photos PHOTOS --scenes SCENES  # photos of your own, and HDR scenes

Each figure is of a process of its own, and the two checkouts take turns. A process loads its data set without
workers, draws some crops to warm up, and counts the processor's time, user and system, of the next ones. Memory
that is freed is kept, as a training does. Figures are medians over rounds; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _report import commit_of, keep, medians, to_table

ROOT = Path(__file__).resolve().parents[1]
DATA = ("simulated", "scenes")
WARM_UP = 16

CHILD = """
import itertools, json, sys, time
import torch
from revisp.data import create_data
from revisp.hardware import keep_freed_memory

keep_freed_memory()
torch.set_num_threads(1)
name, options, warm_up, crops = json.loads(sys.argv[1])
data = create_data(name, **options, crop=128, batch_size=1, crops_per_epoch=warm_up + crops, num_workers=0)
data.setup("fit")
batches = iter(data.train_dataloader())
for _ in itertools.islice(batches, warm_up):
    pass
started = time.process_time()
count = sum(1 for _ in batches)
print(json.dumps({"s": (time.process_time() - started) / count}))
"""


def run(checkout: Path, name: str, options: dict[str, str], crops: int) -> dict[str, float]:
    """Return the processor's seconds of a crop in a process of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-P", "-c", CHILD, json.dumps([name, options, WARM_UP, crops])]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(rounds: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Return the figures as Markdown; the last column is over the crops of ``simulated`` before."""
    heads = ["data", "crops/s before", "spread", "now", "spread", "now / before", "now / simulated before"]
    lines = []
    for name, sides in rounds.items():
        cells = [name]
        for rows in sides.values():
            rates = [1 / row["s"] for row in rows]
            cells += [f"{1 / medians(rows)['s']:.0f}", f"{min(rates):.0f} to {max(rates):.0f}"]
        for reference in (sides["before"], rounds["simulated"]["before"]):
            ratios = [old["s"] / new["s"] for old, new in zip(reference, sides["now"], strict=True)]
            cells.append(f"{statistics.median(ratios):.1f}")
        lines.append(cells)
    return to_table(heads, lines)


def embedded(folder: Path) -> Path:
    """Write the embedded photographs as files into a folder."""
    from PIL import Image

    from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS

    folder.mkdir()
    for photograph in (*TRAIN_PHOTOS, *VAL_PHOTOS):
        with Image.open(photograph.path) as photo:
            photo.convert("RGB").save(folder / f"{photograph.name}.jpg", quality=95)
    return folder


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--photos", type=Path, help="folder of photos; without it, the embedded photographs")
    parser.add_argument(
        "--scenes", type=Path, help="folder of HDR scenes; without it, photos serve as scenes alone"
    )
    parser.add_argument("--crops", type=int, default=256, help="of each process")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "now": ROOT}
    rounds: dict[str, dict[str, list[dict[str, float]]]] = {
        name: {side: [] for side in checkouts} for name in DATA
    }
    with tempfile.TemporaryDirectory() as scratch:
        photos = (arguments.photos or embedded(Path(scratch, "photos"))).resolve()
        options = {name: {"photos": str(photos), "cache": str(Path(scratch, name))} for name in DATA}
        if arguments.scenes:
            options["scenes"]["scenes"] = str(arguments.scenes.resolve())
        for number, name, side in itertools.product(range(-1, arguments.rounds), DATA, checkouts):
            figures = run(checkouts[side], name, options[name], arguments.crops if number >= 0 else WARM_UP)
            if number >= 0:  # the first round decodes the files
                rounds[name][side].append(figures)
                print(f"round {number + 1}: {name}, {side}: {figures}", file=sys.stderr, flush=True)
    commit = commit_of(checkouts["before"])
    title = f"Before: commit {commit}; {arguments.rounds} rounds of {arguments.crops} crops of 128 x 128"
    keep(arguments.json, f"{title}\n\n{table(rounds)}", {"before": commit, "rounds": rounds})


if __name__ == "__main__":
    main()
