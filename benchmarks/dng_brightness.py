"""How bright the DNG of a photo opens: the values as predicted (plain), and placed by need, in each converter.

python benchmarks/dng_brightness.py PHOTOS... --model default
python benchmarks/dng_brightness.py photos/kodim*.png --converters libraw darktable rawtherapee

Figures are EV: the median of linear luma of the developed DNG over that of the photo, over the photo's pixels that
are neither black nor overexposed. LibRaw develops at fixed brightness; the others at their defaults, some of which
choose the exposure by the picture. ``clipped`` is the share of the photo's pixels with a channel at 0.98 or more;
``lost`` the share of developed pixels at white among the others. Photos are reduced to 1536 pixels.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _report import to_table
from PIL import Image

SIZE = 1536
WEIGHTS = np.array([0.2126729, 0.7151522, 0.0721750], np.float32)
CLIPPED, DARK = 0.98, 0.001

Array = np.ndarray[Any, Any]


def linear(srgb: Array) -> Array:
    """Decode sRGB in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def by_libraw(dng: Path, folder: Path) -> Array:
    """Develop at fixed brightness, linear."""
    import rawpy

    with rawpy.imread(str(dng)) as raw:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0, gamma=(1, 1), output_bps=16
        )
    return picture.astype(np.float32) / 65535


def by_program(command: Sequence[str], out: Path) -> Array:
    """Run a converter that writes an sRGB picture, and return it linear."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not out.exists():
        sys.exit(f"{command[0]} failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    with Image.open(out) as image:
        return linear(np.asarray(image.convert("RGB"), np.float32) / 255)


def by_darktable(dng: Path, folder: Path) -> Array:
    """Develop at darktable's defaults."""
    out = folder / "darktable.png"
    out.unlink(missing_ok=True)
    core = ["--core", "--library", ":memory:", "--configdir", str(folder / "config")]
    return by_program(["darktable-cli", str(dng), str(out), *core], out)


def by_rawtherapee(dng: Path, folder: Path) -> Array:
    """Develop at RawTherapee's defaults for RAW."""
    out = folder / "rawtherapee.png"
    out.unlink(missing_ok=True)
    return by_program(["rawtherapee-cli", "-q", "-Y", "-d", "-n", "-b8", "-o", str(out), "-c", str(dng)], out)


CONVERTERS = {"libraw": by_libraw, "darktable": by_darktable, "rawtherapee": by_rawtherapee}


def compare(photo: Array, developed: Array) -> tuple[float, float]:
    """Return EV by which a developed picture exceeds the photo, and the share of its ordinary pixels at white."""
    inner = [(a - b) // 2 for a, b in zip(photo.shape[:2], developed.shape[:2], strict=True)]  # cut borders
    window = tuple(slice(cut, cut + size) for cut, size in zip(inner, developed.shape[:2], strict=True))
    photo = photo[window]
    luma = linear(photo) @ WEIGHTS
    usable = (photo.max(axis=-1) < CLIPPED) & (luma > DARK)
    found = developed @ WEIGHTS
    ev = np.log2(np.median(found[usable]) / np.median(luma[usable]))
    return float(ev), float((developed.max(axis=-1) > 0.999)[usable].mean())


def main() -> None:
    """Print a table with a row for each photo."""
    from revisp.convert.formats import Choice, origin_of, write_raw
    from revisp.convert.load import load_engine
    from revisp.io import read_photo

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--converters", nargs="+", default=["libraw"], choices=CONVERTERS)
    parser.add_argument("--keep", type=Path, help="folder for the files that are made")
    words = parser.parse_args()
    engine = load_engine(words.model)
    folder = words.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in words.photos:
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((SIZE, SIZE))
        small.save(folder / "photo.png")
        photo = read_photo(folder / "photo.png")
        bayer = engine.bayer(photo.srgb)
        origin = origin_of(folder / "photo.png", photo, bayer, engine)
        pixels = np.asarray(small, np.float32) / 255
        row = [path.stem[:28], f"{(pixels.max(axis=-1) >= CLIPPED).mean():.2%}"]
        for plain in (True, False):
            dng = folder / f"{path.stem}{'.plain' if plain else ''}.dng"
            write_raw(dng, bayer, engine, origin, Choice(plain_dng=plain))
            for name in words.converters:
                ev, lost = compare(pixels, CONVERTERS[name](dng, folder))
                row.append(f"{ev:+.2f}" + (f" (lost {lost:.1%})" if lost > 0.001 else ""))
        rows.append([*row, f"{origin.brightness.gain:.2f}", f"{origin.brightness.rest:+.2f}"])
    columns = [f"{name}, {kind}" for kind in ("plain", "placed") for name in words.converters]
    print(to_table(["photo", "clipped", *columns, "gain", "BaselineExposure"], rows))
    if words.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
