"""What the fast path costs in exactness: the PSNR between fast and plain predictions of real photos.

python benchmarks/agreement.py PHOTO...                        # files and folders of JPEGs or PNGs
python benchmarks/agreement.py PHOTO... --json agreement.json

``plain`` is the model itself: eager, fp32, both networks everywhere, the whole photo (of what is larger, 2048 x
2048 pixels from its middle). ``auto`` is what revisp-predict runs by itself; the others by order. PSNR is that of
the mosaics, in dB of the white level. The last table shows the photos that agree least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from _report import keep, to_table

LARGEST = 2048
SHOWN = 5
WAYS = ("auto", "bf16", "fp32")


def find_photos(words: Iterable[Path]) -> Iterator[Path]:
    """Yield the photos that files and folders name."""
    for word in words:
        inside = sorted(path for path in word.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        yield from inside if word.is_dir() else [word]


def measure(photos: list[Path], folder: str | None) -> list[dict[str, float | str]]:
    """Return the PSNR of each way on each photo."""
    import torch

    import revisp
    from revisp.errors import ImageError
    from revisp.hardware import has_fast_bf16
    from revisp.inference.fast import optimise

    model = revisp.from_pretrained(folder)
    ways = [way for way in WAYS if way != "bf16" or has_fast_bf16("cpu")]
    fast = {way: optimise(model, way) for way in ways}
    rows: list[dict[str, float | str]] = []
    for path in photos:
        try:
            srgb = revisp.io.read_srgb(path)
        except ImageError as error:
            print(error, file=sys.stderr)
            continue
        top, left = (max(0, side - LARGEST) // 2 for side in srgb.shape[-2:])
        srgb = srgb[:, top : top + LARGEST, left : left + LARGEST]
        with torch.inference_mode():
            truth = model(srgb[None]).bayer[0].double()
        row: dict[str, float | str] = {"photo": path.name, "pixels": srgb[0].numel()}
        for way in ways:
            error = (revisp.predict(fast[way], srgb).bayer.double() - truth).square().mean()
            row[way] = -10 * torch.log10(error.clamp_min(1e-20)).item()
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return rows


def table(rows: list[dict[str, float | str]]) -> str:
    """Return the figures as Markdown."""
    ways = [way for way in WAYS if way in rows[0]]
    lines = []
    for way in ways:
        values = [float(row[way]) for row in rows]
        low = sum(value < 60 for value in values)
        cells = [f"{value:.1f}" for value in (min(values), statistics.median(values), max(values))]
        lines.append([way, *cells, f"{low} of {len(values)}"])
    worst = sorted(rows, key=lambda row: float(row[ways[0]]))[:SHOWN]
    least = [[str(row["photo"]), *(f"{float(row[way]):.1f}" for way in ways)] for row in worst]
    summary = to_table(["precision", "least, dB", "median, dB", "most, dB", "photos below 60 dB"], lines)
    return f"{summary}\n\n{to_table(['photo', *(f'{way}, dB' for way in ways)], least)}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="photos, or folders of them")
    parser.add_argument("--model", help="model folder; the small model in the package otherwise")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    photos = list(find_photos(arguments.photos))
    if missing := [path for path in photos if not path.is_file()]:
        parser.error(f"{missing[0]}: no such photo or folder")
    if not photos:
        parser.error("no photos in these folders")
    rows = measure(photos, arguments.model)
    keep(arguments.json, table(rows), rows)


if __name__ == "__main__":
    main()
