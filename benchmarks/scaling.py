"""Two processes against one: whole runs of `revisp-predict` and `revisp-prepare`, side by side.

python benchmarks/scaling.py                                   # needs two free cores; a quarter of an hour
python benchmarks/scaling.py --photos 1000 --files 200 --rounds 1 --json scaling.json
python benchmarks/scaling.py --photos 8 --files 8 --size 256 192 --rounds 1    # to try it

Each process computes in one thread (OMP_NUM_THREADS=1). One process alone may still use the other core, to read
and to write beside the prediction; "on one core" (Linux) it may not. `revisp-predict` divides a folder by
``--devices 2``, and by two jobs at once with ``--part 1/2`` and ``--part 2/2``. `revisp-prepare` takes DNGs of a
simulated camera with their JPEGs, with ``--workers 1`` and ``--workers 2``. Times are those of whole commands,
from a cold start. "x one" is how many times faster than one process in the same round, and "x one core" than one
process on one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import keep, medians, ratio, spread, to_table
from folder import make_photo
from PIL import Image

PREDICT, PREPARE = (str(Path(sys.executable).with_name(name)) for name in ("revisp-predict", "revisp-prepare"))
Job = tuple[str, ...]
ONE, ONE_CORE = "one process", "one process on one core"


def commands(photos: Path, raws: Path, place: Path) -> dict[str, dict[str, list[Job]]]:
    """Return the jobs of each way, all started at once, by what they do."""
    predict = (PREDICT, str(photos), "-o", str(place / "raws"), "--device", "cpu")
    prepare = (PREPARE, str(raws), "-o", str(place / "dataset"))
    return {
        "revisp-predict": {
            ONE_CORE: [predict],
            ONE: [predict],
            "--devices 2": [(*predict, "--devices", "2")],
            "--part 1/2 and 2/2": [(*predict, "--part", "1/2"), (*predict, "--part", "2/2")],
        },
        "revisp-prepare": {
            ONE_CORE: [(*prepare, "--workers", "1")],
            ONE: [(*prepare, "--workers", "1")],
            "--workers 2": [(*prepare, "--workers", "2")],
        },
    }


def make_raws(photo: Path, folder: Path, count: int) -> None:
    """Write DNGs of a simulated camera, each with its JPEG: shots of one photo, each with its own noise."""
    import torch

    from revisp.camera.simulate import SIMULATED, simulate
    from revisp.io import read_photo, write_dng, write_png

    folder.mkdir()
    srgb = read_photo(photo).srgb
    for number in range(count):
        shot = simulate(srgb, SIMULATED, exposure=0.3, generator=torch.Generator().manual_seed(number))
        write_dng(folder / f"{number}.dng", shot.bayer, SIMULATED.profile)
        write_png(folder / f"{number}.png", shot.srgb)
        with Image.open(folder / f"{number}.png") as png:
            png.save(folder / f"{number}.jpg", quality=95)
        (folder / f"{number}.png").unlink()


def measure(jobs: list[Job], *, one_core: bool) -> dict[str, float]:
    """Run jobs at once, and time them until the last has ended."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    running = [subprocess.Popen(job, env=environment, stdout=subprocess.DEVNULL) for job in jobs]
    if one_core and hasattr(os, "sched_setaffinity"):
        for process in running:
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"a command ended with {max(codes)}")
    return {"s": time.perf_counter() - started}


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100, help="photos to predict")
    parser.add_argument("--files", type=int, default=40, help="RAW files to prepare")
    parser.add_argument("--size", nargs=2, type=int, default=(2016, 1512), help="width and height of a photo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    rounds: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, raws, place = folder / "photos", folder / "raws", folder / "out"
        photos.mkdir()
        make_photo(tuple(options.size), photos / "0.jpg")
        for number in range(1, options.photos):
            shutil.copy(photos / "0.jpg", photos / f"{number}.jpg")
        make_raws(photos / "0.jpg", raws, options.files)
        for number in range(options.rounds):
            for what, ways in commands(photos, raws, place).items():
                for way, jobs in ways.items():
                    shutil.rmtree(place, ignore_errors=True)
                    rounds.setdefault((what, way), []).append(measure(jobs, one_core=way == ONE_CORE))
                    print(f"round {number + 1}: {what} {way} {rounds[what, way][-1]}", file=sys.stderr, flush=True)
    lines = []
    for (what, way), rows in rounds.items():
        speeds = [f"{ratio(rounds[what, slow], rows):.2f}" for slow in (ONE, ONE_CORE)]
        lines.append([what, way, f"{medians(rows)['s']:.1f}", spread(rows, 1), *speeds])
    width, height = options.size
    title = f"{options.photos} photos and {options.files} RAW files of {width} x {height}, {options.rounds} rounds"
    table = to_table(["command", "way", "s", "spread", "x one", "x one core"], lines)
    figures = [{"case": case, "rounds": rows} for case, rows in rounds.items()]
    keep(options.json, f"{title}\n\n{table}", figures)


if __name__ == "__main__":
    main()
