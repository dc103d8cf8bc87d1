"""Memory over a long training and a large folder of photos, which should be flat.

python benchmarks/memory_steady.py                         # 2,000 steps and 1,000 photos, about ten minutes
python benchmarks/memory_steady.py photos --count 200

Each job is a process of its own. Its resident memory is taken twenty times; "growth" is the rise of a line through
the samples from a quarter of the way to the end. The training has a data worker and validates every 200 steps. The
photos are JPEG, PNG, TIFF and WebP of several sizes in turn, read and written in threads.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from _report import child, keep, to_table

COUNTS = {"steps": 2000, "photos": 1000}
SAMPLES = 20
SIZES = ((192, 128), (320, 240), (256, 256), (200, 320))
ENDINGS = ("jpg", "png", "tif", "webp")


def train(count: int) -> list[int]:
    """Train a small network; return the resident memory in KiB after equal numbers of steps."""
    import pytorch_lightning as pl

    from revisp.config import compose
    from revisp.training.build import build_training
    from revisp.training.run import fit

    found: list[int] = []

    class Sampler(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            if trainer.global_step % max(1, count // SAMPLES) == 0:
                found.append(_resident())

    with tempfile.TemporaryDirectory() as folder:
        words = ["+backbone=unet", "backbone.width=4", "backbone.depth=2", "data.crop=32", "data.batch_size=4"]
        words += ["data.crops_per_epoch=800", "demosaic=bilinear", "data.num_workers=1"]
        words += [f"trainer.max_epochs={count // 200}", "trainer.check_val_every_n_epoch=1"]
        words += [f"hydra.run.dir={folder}", f"run_dir={folder}"]
        training = build_training(compose(words))
        training.trainer.callbacks.append(Sampler())
        fit(training)
    return found


def convert(count: int) -> list[int]:
    """Convert photos; return the resident memory in KiB after equal numbers of them."""
    import revisp
    from revisp.convert import Conversion, convert_photos
    from revisp.hardware import keep_freed_memory

    keep_freed_memory()
    found: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        photos = list(_photos(Path(folder)))
        jobs = [
            Conversion(photo, Path(folder, f"{number % 50}.dng"))
            for number, photo in enumerate(islice(cycle(photos), count))
        ]
        for number, done in enumerate(convert_photos(revisp.from_pretrained(), jobs), start=1):
            if done.error is not None:
                raise done.error
            if number % max(1, count // SAMPLES) == 0:
                found.append(_resident())
    return found


def _photos(folder: Path) -> Iterator[Path]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for size in SIZES:
        for ending in ENDINGS:
            coarse = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8))
            path = folder / f"{size[0]}x{size[1]}.{ending}"
            coarse.resize(size, Image.Resampling.BICUBIC).save(path)
            yield path


def _resident() -> int:
    """Return the resident memory of this process in KiB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def growth(kib: list[int]) -> float:
    """Return MiB by which a line through the samples rises, from a quarter of the way to the end."""
    import numpy as np

    late = np.array(kib[len(kib) // 4 :]) / 1024
    return float(np.polyfit(np.arange(late.size), late, 1)[0] * (late.size - 1))


def table(found: dict[str, tuple[int, list[int]]]) -> str:
    """Return the figures as Markdown."""
    marks = (0.05, 0.25, 0.5, 0.75, 1.0)
    heads = ["job", "number", *(f"MiB at {mark:.0%}" for mark in marks), "growth, MiB"]
    rows = []
    for job, (count, kib) in found.items():
        at = [f"{kib[max(0, round(mark * len(kib)) - 1)] / 1024:.0f}" for mark in marks]
        rows.append([job, str(count), *at, f"{growth(kib):+.1f}"])
    return to_table(heads, rows)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", default=list(COUNTS), help="steps, photos")
    parser.add_argument("--count", type=int, help="number of steps and of photos")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        job, count = arguments.one
        logging.disable(logging.WARNING)
        print(json.dumps((train if job == "steps" else convert)(int(count))))
        return
    found: dict[str, Any] = {}
    for job in arguments.jobs:
        count = arguments.count or COUNTS[job]
        found[job] = (count, child(job, count))
        print(job, found[job], file=sys.stderr, flush=True)
    keep(arguments.json, table(found), found)


if __name__ == "__main__":
    main()
