"""From a folder of JPEGs to a folder of DNGs: seconds a photo, from end to end, plain and fast, side by side.

python benchmarks/folder.py                                  # four photos of 12 megapixels, shipped model
python benchmarks/folder.py --photo IMG_0001.JPG --photos 1 --rounds 5 --json folder.json
python benchmarks/folder.py --ways plain fast --size 2016 1512

Every way runs in a process of its own, after one small photo that warms it up; rounds over all ways are repeated.
Figures are medians of rounds, with user and system time apart; memory is the peak of the process beyond what it
holds once everything is imported. ``plain`` is what the model itself does: eager, fp32, the whole photo, both
networks everywhere, one step after the other.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import child, keep, medians, ratio, spread, to_table
from PIL import Image

WAYS = {
    "plain": "eager fp32, whole photo",
    "fast, fp32": "rewritten, channels-last, tiles, kept memory",
    "fast": "the same, in bf16 where it is safe; one step after the other",
    "fast, overlapped": "the same, reading and writing meanwhile: revisp-predict",
}


def make_photo(size: tuple[int, int], path: Path) -> None:
    """Write a JPEG of a photograph that comes with scikit-image, enlarged."""
    from revisp.data.embedded import TRAIN_PHOTOS

    with Image.open(TRAIN_PHOTOS[0].path) as photo:
        photo.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, "JPEG", quality=92)


def measure(way: str, folder: Path, model: str | None) -> dict[str, float]:
    """Convert the photos of a folder in this process, and time it."""
    import torch

    from revisp.convert.batch import convert_photos
    from revisp.convert.jobs import plan_conversions
    from revisp.convert.load import load_engine, load_model
    from revisp.hardware import keep_freed_memory

    engine: Any
    if way == "plain":
        plain = load_model(model)

        class Plain:
            profile, cfa = plain.profile, plain.cfa

            def bayer(self, srgb: torch.Tensor, **_: object) -> torch.Tensor:
                with torch.inference_mode():
                    return plain(srgb[None]).bayer[0]

        engine = Plain()
    else:
        keep_freed_memory()
        engine = load_engine(model, precision="fp32" if "fp32" in way else "auto")
    workers = 2 if "overlapped" in way else 0
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small.png"
        Image.new("RGB", (256, 256), (90, 120, 60)).save(small)
        list(convert_photos(engine, plan_conversions([small], Path(scratch) / "warm"), workers=workers))
        jobs = plan_conversions([folder], Path(scratch) / "out")
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        outcomes = list(convert_photos(engine, jobs, workers=workers))
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return {
        "s": wall / len(jobs),
        "user": (after.ru_utime - before.ru_utime) / len(jobs),
        "system": (after.ru_stime - before.ru_stime) / len(jobs),
        "MiB": (after.ru_maxrss - before.ru_maxrss) / 1024,
    }


def table(rounds: dict[str, list[dict[str, float]]], megapixels: float) -> str:
    """Return the figures as Markdown."""
    heads = ["way", "s a photo", "spread", "x plain", "MP/s", "user, s", "system, s", "MiB"]
    lines = []
    plain = rounds.get("plain")
    for way, rows in rounds.items():
        middle = medians(rows)
        cells = [f"{way} ({WAYS[way]})", f"{middle['s']:.2f}", spread(rows, 2)]
        cells += [f"{ratio(plain, rows):.1f}" if plain else "", f"{megapixels / middle['s']:.2f}"]
        lines.append([*cells, *(f"{middle[name]:.2f}" for name in ("user", "system")), f"{middle['MiB']:.0f}"])
    return to_table(heads, lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="a JPEG to convert; one is made otherwise")
    parser.add_argument("--photos", type=int, default=4, help="how many copies of it")
    parser.add_argument("--size", nargs=2, type=int, default=(4032, 3024), help="width and height of a made photo")
    parser.add_argument("--model", help="model folder; the shipped model otherwise")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, folder, *model = arguments.one
        print(json.dumps(measure(way, Path(folder), model[0] if model else None)))
        return
    rounds: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "0.jpg"
        if arguments.photo is None:
            make_photo(tuple(arguments.size), first)
        else:
            shutil.copy(arguments.photo, first)
        for index in range(1, arguments.photos):
            shutil.copy(first, first.with_name(f"{index}.jpg"))
        with Image.open(first) as photo:
            width, height = photo.size
        for number, way in itertools.product(range(arguments.rounds), arguments.ways):
            rounds.setdefault(way, []).append(child(way, folder, *filter(None, [arguments.model])))
            print(f"round {number + 1}: {way} {rounds[way][-1]}", file=sys.stderr, flush=True)
    title = f"{arguments.photos} photos of {width} x {height}, {arguments.rounds} rounds"
    figures = {"size": [width, height], "photos": arguments.photos, "rounds": rounds}
    keep(arguments.json, f"{title}\n\n{table(rounds, width * height / 1e6)}", figures, "pillow")


if __name__ == "__main__":
    main()
