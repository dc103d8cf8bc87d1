#!/usr/bin/env bash
# A DNG's BlackLevel may be a fraction (RATIONAL). rawpy, which rests on LibRaw, gives whole numbers, cut off.
# Bites who reads linear DNGs of averaged or converted photos: 63.75 becomes 63, a tint and a lift in deep shadows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rawpy==0.28.0 tifffile==2026.3.3 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import numpy as np
import rawpy
import tifffile


def write_dng(name, mosaic, *more):
    """A plain DNG of one Bayer mosaic (red first), with further tags."""
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
        (50717, "I", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
    ]
    tifffile.imwrite(name, mosaic, photometric=32803, metadata=None, extratags=[*tags, *more])


def black_levels(values, repeat):
    fractions = [number for value in values for number in (round(100 * value), 100)]
    write_dng(
        "black.dng",
        np.full((64, 96), 500, np.uint16),
        (50713, "H", 2, repeat, True),  # BlackLevelRepeatDim
        (50714, "2I", len(values), tuple(fractions), True),  # BlackLevel
    )
    with rawpy.imread("black.dng") as raw:
        return list(raw.black_level_per_channel)


one = black_levels([60.9], (1, 1))
four = black_levels([60.9, 61.2, 62.5, 63.75], (2, 2))
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: black_level_per_channel drops the fraction of a DNG's BlackLevel.")
print("expected: the fraction, or at least the nearest whole number.")
print("seen:")
print("  BlackLevel 60.9:", one)
print("  BlackLevel 60.9, 61.2, 62.5, 63.75 (R, G, G2, B), given as R, G, B, G2:", four)

assert one == [60, 60, 60, 60]
assert four == [60, 61, 63, 62]
EOF
