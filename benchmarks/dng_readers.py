"""Which program reads which DNG of ours, and how exactly.

python benchmarks/dng_readers.py
python benchmarks/dng_readers.py --sdk venv/bin/python       # a Python that has dngpy: Adobe's SDK

Kinds: Bayer phases, odd sizes, orientations, bits, compressions, linear, plain. ``exact``: the stored integers
come back. ``N dB``: PSNR of the picture against our own development of the same file, after one gain for each
channel, without a border of 16 pixels. ``OK``: nothing to complain of. ``no``: the program refuses the file.
Programs that are not installed are left out.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile
import torch
from _report import to_table
from PIL import Image
from skimage import data

from revisp.camera.cameras import known_profile
from revisp.camera.develop import develop
from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.demosaic import demosaic
from revisp.io import write_dng
from revisp.io.dng import write_linear_dng
from revisp.io.dng.codec import join_fields
from revisp.mosaic import mosaic
from revisp.symmetry import Symmetry

Array = np.ndarray[Any, Any]
Kind = dict[str, Any]

KINDS: dict[str, Kind] = {
    "RGGB": {},
    "GRBG": {"cfa": "GRBG"},
    "GBRG": {"cfa": "GBRG"},
    "BGGR": {"cfa": "BGGR"},
    "odd size": {"size": (601, 803)},
    "two tiles wide": {"size": (400, 512)},
    **{f"orientation {n}": {"orientation": n} for n in range(2, 9)},
    **{f"{bits} bits": {"bits": bits} for bits in (10, 12, 16)},
    "uncompressed": {"compression": "none"},
    "JPEG XL": {"compression": "jpegxl"},
    "plain": {"plain": True},
    "linear": {"linear": True},
    "linear, uncompressed": {"linear": True, "compression": "none"},
}


class Sample:
    """A DNG of one kind, what was stored, and our development of it, upright."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        options = dict(kind)
        profile = known_profile("Nikon D750").replace(cfa=options.pop("cfa", "RGGB"))
        if bits := options.pop("bits", None):
            profile = profile.replace(bits=bits, white_level=2**bits - 1.0, black_level=(2.0 ** (bits - 6),) * 4)
        height, width = options.pop("size", (600, 800))
        photo = Image.fromarray(data.astronaut()).resize((width, height))
        srgb = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255
        balanced = apply_ccm(srgb_to_linear(srgb), profile.srgb_to_camera)
        raw_rgb = apply_gains(balanced, [0.8 / gain for gain in profile.gains]).clamp(0, 1)
        self.path = folder / "sample.dng"
        if options.pop("linear", False):
            self.stored = (raw_rgb * 65535).round().numpy().astype(np.uint16)
            write_linear_dng(self.path, self.stored, profile, **options)
        else:
            bayer = mosaic(raw_rgb, profile.cfa)
            self.stored = profile.quantise(bayer[0].numpy())
            write_dng(self.path, self.stored, profile, **options)
            raw_rgb = demosaic(bayer, profile.cfa)
        turn = Symmetry.of_orientation(options.get("orientation", 1))
        self.picture = turn.apply(develop(raw_rgb, profile)).permute(1, 2, 0).numpy()


def psnr(sample: Sample, picture: Array) -> str:
    """Compare a picture with our development, after a gain for each channel; borders that are cut are allowed."""
    ours, theirs = sample.picture, picture.astype(np.float64) / np.iinfo(picture.dtype).max
    cut = [(a - b) // 2 for a, b in zip(ours.shape[:2], theirs.shape[:2], strict=True)]
    if any(not 0 <= margin <= 8 for margin in cut):
        return f"{theirs.shape[1]}x{theirs.shape[0]}"
    ours = ours[cut[0] : cut[0] + theirs.shape[0], cut[1] : cut[1] + theirs.shape[1]]
    inner = (slice(16, -16), slice(16, -16))
    a, b = srgb_to_linear(torch.tensor(ours[inner])), srgb_to_linear(torch.tensor(theirs[inner]))
    b = b * (a * b).sum((0, 1)) / (b * b).sum((0, 1))
    return f"{float(-10 * ((a - b) ** 2).mean().log10()):.0f} dB"


def by_libraw(sample: Sample, folder: Path) -> str:
    """LibRaw through rawpy: the integers."""
    with rawpy.imread(str(sample.path)) as raw:
        values = raw.raw_image_visible
        values = values[..., :3].transpose(2, 0, 1) if values.ndim == 3 else values
        return "exact" if np.array_equal(values, sample.stored) else "wrong"


def by_libraw_picture(sample: Sample, folder: Path) -> str:
    """LibRaw through rawpy: the picture."""
    with rawpy.imread(str(sample.path)) as raw:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0, gamma=(2.4, 12.92), output_bps=16
        )
    return psnr(sample, picture)


def by_tifffile(sample: Sample, folder: Path) -> str:
    """The integers by tifffile, which knows no RowInterleaveFactor."""
    with tifffile.TiffFile(sample.path) as tiff:
        page: Any = tiff.pages.first
        page = page.pages[0] if page.pages else page
        values = page.asarray()
        values = join_fields(values) if page.tags.valueof(52547) == 2 else values
    values = values.transpose(2, 0, 1) if values.ndim == 3 else values
    return "exact" if np.array_equal(values, sample.stored) else "wrong"


def by_dcraw(sample: Sample, folder: Path) -> str:
    """The picture by dcraw, and the integers of a mosaic."""
    out = _output(["dcraw", "-c", "-w", "-W", "-6", "-g", "2.4", "12.92", "-T", str(sample.path)])
    answer = psnr(sample, tifffile.imread(io.BytesIO(out)))
    if sample.stored.ndim == 3:
        return answer
    pixels = _output(["dcraw", "-E", "-4", "-t", "0", "-c", str(sample.path)])[-2 * sample.stored.size :]
    same = np.array_equal(np.frombuffer(pixels, ">u2").reshape(sample.stored.shape), sample.stored)
    return f"{'exact' if same else 'wrong'}, {answer}"


def by_darktable(sample: Sample, folder: Path) -> str:
    """The picture by darktable, without its tone mapping."""
    out = folder / "darktable.png"
    out.unlink(missing_ok=True)
    settings = ["--conf", "plugins/darkroom/workflow=none", "--library", ":memory:"]
    _output(
        ["darktable-cli", str(sample.path), str(out), "--core", *settings, "--configdir", str(folder / "config")]
    )
    return psnr(sample, _pixels(out))


def by_rawtherapee(sample: Sample, folder: Path) -> str:
    """The picture by RawTherapee in its neutral profile."""
    out = folder / "rawtherapee.png"
    out.unlink(missing_ok=True)
    _output(["rawtherapee-cli", "-q", "-Y", "-n", "-b8", "-o", str(out), "-c", str(sample.path)])
    return psnr(sample, _pixels(out))


def by_exiftool(sample: Sample, folder: Path) -> str:
    """Validate by exiftool, and extract the preview."""
    said = (
        _output(["exiftool", "-validate", "-warning", "-error", "-a", "-s3", str(sample.path)])
        .decode()
        .split("\n")
    )
    jpeg = _output(["exiftool", "-b", "-PreviewImage", str(sample.path)])
    if not jpeg:
        return f"{said[0]}, no preview"
    with Image.open(io.BytesIO(jpeg)) as preview:
        return f"{said[0]}, preview {preview.width}x{preview.height}"


def by_thumbnailer(sample: Sample, folder: Path) -> str:
    """The first picture by Pillow, as simple viewers open it."""
    with Image.open(sample.path) as image:
        image.load()
        return f"{image.width}x{image.height}"


def by_sdk(python: str) -> Callable[[Sample, Path], str]:
    """Return a reader by Adobe's DNG SDK in another Python."""

    def read(sample: Sample, folder: Path) -> str:
        code = "import dngpy, numpy, sys; numpy.save(sys.argv[2], dngpy.Dng(sys.argv[1]).raw_pixels)"
        values = folder / "sdk.npy"
        values.unlink(missing_ok=True)
        _output([python, "-c", code, str(sample.path), str(values)])
        found = np.load(values).squeeze()
        found = found.transpose(2, 0, 1) if found.ndim == 3 else found
        return "exact" if np.array_equal(found, sample.stored) else "wrong"

    return read


def _output(command: list[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


def _pixels(path: Path) -> Array:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


READERS = {
    "LibRaw": (None, by_libraw),
    "LibRaw, picture": (None, by_libraw_picture),
    "tifffile": (None, by_tifffile),
    "Pillow": (None, by_thumbnailer),
    "dcraw": ("dcraw", by_dcraw),
    "darktable": ("darktable-cli", by_darktable),
    "RawTherapee": ("rawtherapee-cli", by_rawtherapee),
    "exiftool": ("exiftool", by_exiftool),
}


def main() -> None:
    """Print a table with a row for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdk", metavar="PYTHON", help="a Python that has dngpy")
    words = parser.parse_args()
    readers = {name: read for name, (program, read) in READERS.items() if program is None or shutil.which(program)}
    if words.sdk:
        readers["Adobe SDK"] = by_sdk(words.sdk)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in KINDS.items():
            sample = Sample(Path(folder), kind)
            row = [name]
            for read in readers.values():
                try:
                    row.append(read(sample, Path(folder)))
                except (OSError, rawpy.LibRawError, subprocess.CalledProcessError):
                    row.append("no")
            rows.append(row)
    print(to_table(["kind", *readers], rows))


if __name__ == "__main__":
    main()
