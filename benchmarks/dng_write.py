"""What a DNG of each kind takes: bytes, time to write, and time from the photo to the file, side by side.

python benchmarks/dng_write.py PHOTOS...           # sizes of all photos, times of the first
python benchmarks/dng_write.py photo.jpg --rounds 7 --json benchmarks/results/dng_write.json

All kinds take turns in one process, after a round that warms up, with the settings of ``revisp-predict``. *Write*
is from the prediction to the file on the disk. *Photo to DNG* also reads the photo and predicts. Plain has no
preview: what uncompressed takes beyond it is the preview's share.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _report import keep, medians, ratio, spread, to_table

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"plain_dng": True},
    "uncompressed": {"compression": "none"},
    "lossless JPEG": {},
    "JPEG XL": {"compression": "jpegxl"},
}
REFERENCE = "uncompressed"

Figures = dict[str, float]


class Photo:
    """A photo, its prediction, and the ways to a DNG of it."""

    def __init__(self, path: Path, engine: Any, out: Path) -> None:
        from revisp.convert.formats import Choice, origin_of, predict_raw
        from revisp.io import read_photo

        self.path, self.engine, self.out = path, engine, out
        picture = read_photo(path)
        self.raw, _ = predict_raw(engine, picture, Choice())
        self.origin = origin_of(path, picture, self.raw, engine)

    def write(self, kind: str) -> None:
        """Write the prediction."""
        from revisp.convert.formats import Choice, write_raw

        write_raw(self.out, self.raw, self.engine, self.origin, Choice(**KINDS[kind]))

    def convert(self, kind: str) -> None:
        """Read the photo, predict, and write, one step after the other."""
        from revisp.convert.batch import convert_photos
        from revisp.convert.formats import Choice
        from revisp.convert.jobs import Conversion

        (done,) = convert_photos(self.engine, [Conversion(self.path, self.out)], Choice(**KINDS[kind]), workers=0)
        if done.error is not None:
            raise done.error

    def megabytes(self) -> Figures:
        """Return the size of each kind of file."""
        found = {}
        for kind in KINDS:
            self.write(kind)
            found[kind] = self.out.stat().st_size / 1e6
        return found


def timed(action: Callable[[], object]) -> Figures:
    """Return wall and processor time of one call, in seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return {"s": time.perf_counter() - wall, "processor": time.process_time() - processor}


def alternate(action: Callable[[str], object], rounds: int) -> dict[str, list[Figures]]:
    """Return the times of each kind in each round."""
    found: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    for number in range(rounds + 1):
        for kind, rows in found.items():
            figures = timed(lambda kind=kind: action(kind))  # type: ignore[misc]
            if number:
                rows.append(figures)
    return found


def size_table(sizes: dict[str, Figures]) -> str:
    """Return a row for each photo: the plain size, and the share of it that each kind takes."""
    rows = [
        [name, f"{found['plain']:.1f}", *(f"{found[kind] / found['plain']:.1%}" for kind in list(KINDS)[1:])]
        for name, found in sizes.items()
    ]
    return to_table(["photo", "plain, MB", *list(KINDS)[1:]], rows)


def time_table(write: dict[str, list[Figures]], convert: dict[str, list[Figures]]) -> str:
    """Return a row for each kind: times, and the median over rounds of how many times the reference it takes."""
    rows: list[Sequence[str]] = []
    for kind in KINDS:
        cells = [kind]
        for times in (write, convert):
            middle = medians(times[kind])
            cells += [f"{middle['s']:.2f}", spread(times[kind], 2), f"{ratio(times[kind], times[REFERENCE]):.2f}"]
            cells.append(f"{middle['processor']:.2f}")
        rows.append(cells)
    heads = ["s", "spread", f"x {REFERENCE}", "processor, s"]
    return to_table(
        ["kind", *(f"write: {head}" for head in heads), *(f"photo to DNG: {head}" for head in heads)], rows
    )


def main() -> None:
    """Run the script."""
    from revisp.convert.load import load_engine
    from revisp.hardware import keep_freed_memory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    words = parser.parse_args()
    keep_freed_memory()
    engine = load_engine(words.model)
    sizes: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "photo.dng"
        for path in words.photos:
            sizes[path.stem] = Photo(path, engine, out).megabytes()
            print(path.stem, sizes[path.stem], file=sys.stderr, flush=True)
        first = Photo(words.photos[0], engine, out)
        write = alternate(first.write, words.rounds)
        convert = alternate(first.convert, words.rounds)
    height, width = first.raw.shape[-2:]
    title = f"{first.path.stem}, {width} x {height}, {words.rounds} rounds"
    table = f"{size_table(sizes)}\n\n{title}\n\n{time_table(write, convert)}"
    keep(words.json, table, {"megabytes": sizes, "write": write, "convert": convert}, "imagecodecs")


if __name__ == "__main__":
    main()
