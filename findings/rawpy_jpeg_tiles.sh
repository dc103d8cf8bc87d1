#!/usr/bin/env bash
# rawpy (LibRaw) returns wrong values, without a warning, for a DNG mosaic in tiles of lossless JPEG if the picture is
# exactly two tiles wide and each JPEG has two components (two columns), as raw converters write them; also if a single
# tile is wider than the picture. Bites who writes tiled DNGs: sizes such as 400x512 fail, and 400x500 works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rawpy==0.28.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import imagecodecs
import numpy as np
import rawpy
import tifffile

TAGS = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50717, "I", 1, 65535, True),  # WhiteLevel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]


def encode(tile, components):
    """Lossless JPEG, predictor 1; with two components, neighbours in a row are one place."""
    tile = np.ascontiguousarray(tile.reshape(len(tile), -1, components))
    options = {"colorspace": "UNKNOWN", "outcolorspace": "UNKNOWN", "bitspersample": 16}
    return bytes(imagecodecs.jpeg8_encode(tile, lossless=True, predictor=1, **options))


def read(width, side, components):
    """The share of samples that rawpy returns wrong, and the same for tifffile."""
    mosaic = np.random.default_rng(0).integers(0, 65536, (64, width)).astype(np.uint16)
    padded = np.pad(mosaic, ((0, 0), (0, -width % side)), mode="edge")
    tiles = [encode(padded[:, left : left + side], components) for left in range(0, width, side)]
    layout = {"shape": mosaic.shape, "dtype": np.uint16, "tile": (64, side), "compression": 7}
    tifffile.imwrite("tiles.dng", iter(tiles), photometric=32803, metadata=None, extratags=TAGS, **layout)
    with rawpy.imread("tiles.dng") as raw:
        wrong = float((raw.raw_image_visible != mosaic).mean())
    return wrong, float((tifffile.imread("tiles.dng") != mosaic).mean())


names = ("rawpy", "tifffile", "imagecodecs", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "LibRaw", rawpy.libraw_version)
print("behaviour: rawpy reads most samples wrong where two tiles of two components fill the width, or one exceeds it.")
print("expected: the values that were encoded, as tifffile reads them, or an error.")
print("seen:")
fine = [(512, 256, 1), (512, 128, 2), (512, 512, 2), (500, 256, 2), (768, 256, 2)]
broken = [(512, 256, 2), (384, 192, 2), (640, 320, 2), (240, 256, 1), (240, 256, 2)]
for width, side, components in fine + broken:
    wrong, by_tifffile = read(width, side, components)
    case = f"width {width}, tiles of {side}, {components} component(s)"
    print(f"  {case}: {wrong:.0%} wrong by rawpy, {by_tifffile:.0%} by tifffile")
    assert by_tifffile == 0
    assert (wrong > 0.5) == ((width, side, components) in broken), "rawpy has changed"
EOF
