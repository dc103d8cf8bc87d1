"""How fast photos become RAW inside a data loader, beside what the loader does anyway, on one core.

python benchmarks/augment.py                       # 640 x 480, about a minute; prints Markdown
python benchmarks/augment.py --size 320 240 --rounds 5 --json augment.json

The loader's own work is to decode a JPEG and to augment it as torchvision's SSD training does (photometric
distortion and flip). Every case runs once a round, in turn, so that all see the same machine, after two rounds of
warm-up; figures are medians of rounds. The time is the core's own, in user and system code, which other programs
disturb less.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _report import keep, medians, ratio, spread, to_table
from PIL import Image
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from revisp.augment import RGBToRAW
from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.embedded import TRAIN_PHOTOS

BASELINE = "decode and augment"
BATCH = 8


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


def measure(
    runs: dict[str, tuple[Callable[[int], object], int]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Return the core's seconds a photo of every case in every round, after two rounds of warm-up."""
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, (run, photos) in runs.items():
            started = time.process_time()
            run(number)
            if number >= 2:
                seconds[name].append({"s": (time.process_time() - started) / photos})
        print(f"\rround {number + 1} of {rounds + 2}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return seconds


def table(seconds: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures as Markdown; a time over the baseline's is the median of the rounds' ratios."""
    lines = []
    for name, rows in seconds.items():
        milliseconds = [{"s": 1000 * row["s"]} for row in rows]
        middle = medians(milliseconds)["s"]
        cells = [name, f"{middle:.2f}", spread(milliseconds, 2), f"{1000 / middle:.0f}"]
        lines.append([*cells, f"{ratio(rows, seconds[BASELINE]):.2f}"])
    return to_table(["on one core", "ms a photo", "spread", "photos/s", f"time over '{BASELINE}'"], lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs=2, type=int, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    width, height = arguments.size
    seconds = measure(cases(photographs(width, height)), arguments.rounds)
    title = f"Photos of {width} x {height}, {arguments.rounds} rounds"
    figures = {"size": [width, height], "rounds": seconds}
    keep(arguments.json, f"{title}\n\n{table(seconds)}", figures, "torchvision")


if __name__ == "__main__":
    main()
