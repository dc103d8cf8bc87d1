#!/usr/bin/env bash
# tifffile returns a DNG mosaic with RowInterleaveFactor and ColumnInterleaveFactor (DNG 1.7.1) as it is stored: even
# rows and columns first, so that the array shows the scene four times, small. The tags are there, as numbers. Bites who
# reads JPEG XL DNGs, whose mosaics compress better that way, by tifffile because LibRaw does not know the compression.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import imagecodecs
import numpy as np
import tifffile

rows, columns = np.mgrid[:256, :384]
light = 20000 + 12000 * np.sin(columns / 40) + 8000 * np.cos(rows / 30)
mosaic = (light * np.array([[0.5, 1.0], [1.0, 0.6]])[rows % 2, columns % 2]).astype(np.uint16)
stored = np.concatenate([mosaic[::2], mosaic[1::2]])
stored = np.concatenate([stored[:, ::2], stored[:, 1::2]], axis=1)
sizes = {name: len(imagecodecs.jpegxl_encode(x, lossless=True)) for name, x in (("plain", mosaic), ("parted", stored))}
tags = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50706, "B", 4, (1, 7, 1, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50717, "I", 1, 65535, True),  # WhiteLevel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
    (50975, "H", 1, 2, True),  # RowInterleaveFactor
    (52547, "H", 1, 2, True),  # ColumnInterleaveFactor
]
data = bytes(imagecodecs.jpegxl_encode(stored, lossless=True, usecontainer=False))
layout = {"shape": stored.shape, "dtype": np.uint16, "tile": stored.shape, "compression": 52546}
tifffile.imwrite("parted.dng", iter([data]), photometric=32803, metadata=None, extratags=tags, **layout)
with tifffile.TiffFile("parted.dng") as tiff:
    page = tiff.pages.first
    found, factors = page.asarray(), (page.tags.valueof(50975), page.tags.valueof(52547))
back = np.empty_like(found)
back[::2, ::2], back[::2, 1::2] = found[:128, :192], found[:128, 192:]
back[1::2, ::2], back[1::2, 1::2] = found[128:, :192], found[128:, 192:]

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("tifffile", "imagecodecs", "numpy")))
print("behaviour: the mosaic comes back in the order of storage, whatever RowInterleaveFactor and its like say.")
print("expected: the rows and columns in the order of the picture, as the DNG specification defines them.")
print("seen:")
print("  RowInterleaveFactor, ColumnInterleaveFactor:", factors)
print("  asarray() is the mosaic:", np.array_equal(found, mosaic), "- sorted by hand:", np.array_equal(back, mosaic))
print(f"  why one stores it so: {sizes['plain']} bytes of JPEG XL in order, {sizes['parted']} parted")
assert factors == (2, 2)
assert np.array_equal(found, stored) and np.array_equal(back, mosaic) and not np.array_equal(found, mosaic)
assert sizes["parted"] < sizes["plain"]
EOF
