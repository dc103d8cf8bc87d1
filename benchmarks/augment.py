"""How fast photos become RAW inside a data loader, beside what the loader does anyway, on one core.

python benchmarks/augment.py                       # 640 x 480, about a minute; prints Markdown
python benchmarks/augment.py --size 320 240 --rounds 3 --json augment.json

git worktree add --detach /tmp/before COMMIT
python benchmarks/augment.py /tmp/before           # side by side with another checkout, as an earlier commit

The loader's own work is to decode a JPEG and to augment it as torchvision's SSD training does (photometric
distortion and flip). Every round is a process of its own, in which every case runs several times in turn, after
two times of warm-up; its figure is their median. Two checkouts take turns. Figures are medians over rounds; ratios
are taken within a round. The time is the core's own, in user and system code, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _report import child, commit_of, keep, medians, ratio, spread, to_table
from PIL import Image
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from revisp.augment import RGBToRAW
from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.embedded import TRAIN_PHOTOS

BASELINE = "decode and augment"
BATCH = 8
ROOT = Path(__file__).resolve().parents[1]


def photographs(width: int, height: int) -> list[bytes]:
    """Return the embedded photographs as JPEG files of one size."""
    files = []
    for photograph in TRAIN_PHOTOS:
        with Image.open(photograph.path) as photo:
            file = io.BytesIO()
            photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def cases(files: list[bytes]) -> dict[str, tuple[Callable[[int], object], int]]:
    """Return each case by name: what to run with the number of the round, and how many photos that handles."""
    photos = [decode(file) for file in files]
    batches = [
        torch.stack([photos[(first + at) % len(photos)] for at in range(BATCH)]) for first in range(len(photos))
    ]
    augment = v2.Compose([v2.RandomPhotometricDistort(p=1.0), v2.RandomHorizontalFlip()])
    with_raw = v2.Compose([augment, RGBToRAW()])
    runs: dict[str, tuple[Callable[[int], object], int]] = {
        "decode": (lambda at: decode(files[at % len(files)]), 1),
        BASELINE: (lambda at: augment(decode(files[at % len(files)])), 1),
        "decode, augment and RAW": (lambda at: with_raw(decode(files[at % len(files)])), 1),
    }
    for output in ("bayer", "packed", "raw_rgb"):
        to_raw = RGBToRAW(output=output)
        runs[f"RAW, {output}"] = (lambda at, to_raw=to_raw: to_raw(photos[at % len(photos)]), 1)
        runs[f"RAW, {output}, batch of {BATCH}"] = (
            lambda at, to_raw=to_raw: to_raw(batches[at % len(photos)]),
            BATCH,
        )
    to_raw = RGBToRAW()
    floats = [photo.float() / 255 for photo in photos]
    runs["RAW, bayer, of floating point"] = (lambda at: to_raw(floats[at % len(photos)]), 1)
    generator = torch.Generator().manual_seed(0)
    runs["revisp.camera.simulate, one by one"] = (
        lambda at: simulate(floats[at % len(photos)], SIMULATED, generator=generator),
        1,
    )
    return runs


def decode(file: bytes) -> tv_tensors.Image:
    """Decode a JPEG file as torchvision does."""
    return tv_tensors.Image(decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB))


def measure(runs: dict[str, tuple[Callable[[int], object], int]], times: int) -> dict[str, float]:
    """Return the core's seconds a photo of every case: the median of some times, after two of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(times + 2):
        for name, (run, photos) in runs.items():
            started = time.process_time()
            run(number)
            if number >= 2:
                seconds[name].append((time.process_time() - started) / photos)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures of each checkout as Markdown; those over others are medians of the rounds' ratios."""
    heads = ["on one core", "ms a photo", "spread", "photos/s", f"time over '{BASELINE}'"]
    lines = []
    for name in rounds["now"][0]:
        sides = {side: [{"s": row[name]} for row in rows] for side, rows in rounds.items()}
        rows = [{"s": 1000 * row["s"]} for row in sides["now"]]
        middle = medians(rows)["s"]
        baseline = [{"s": row[BASELINE]} for row in rounds["now"]]
        cells = [
            name,
            f"{middle:.2f}",
            spread(rows, 2),
            f"{1000 / middle:.0f}",
            f"{ratio(sides['now'], baseline):.2f}",
        ]
        if "before" in sides:
            cells += [f"{1000 * medians(sides['before'])['s']:.2f}", f"{ratio(sides['before'], sides['now']):.1f}"]
        lines.append(cells)
    return to_table([*heads, *(["ms before", "before / now"] if "before" in rounds else [])], lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, nargs="?", help="another checkout to compare with")
    parser.add_argument("--size", nargs=2, type=int, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=15, help="of each case in a round")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    width, height = arguments.size
    checkouts = {"now": ROOT}
    if arguments.before:
        checkouts = {"before": arguments.before.resolve(), "now": ROOT}
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in checkouts}
    for number, side in itertools.product(range(arguments.rounds), checkouts):
        rounds[side].append(child(width, height, arguments.times, checkout=checkouts[side]))
        print(f"\rround {number + 1} of {arguments.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    title = f"Photos of {width} x {height}, {arguments.rounds} rounds of {arguments.times} times"
    figures = {"size": [width, height], "rounds": rounds}
    if arguments.before:
        figures["before"] = commit_of(checkouts["before"])
        title = f"Before: commit {figures['before']}. {title}"
    keep(arguments.json, f"{title}\n\n{table(rounds)}", figures, "torchvision")


def one(width: int, height: int, times: int) -> None:
    """Print the figures of one round as JSON, in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(json.dumps(measure(cases(photographs(width, height)), times)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*map(int, sys.argv[2:]))
    else:
        main()
