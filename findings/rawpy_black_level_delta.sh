#!/usr/bin/env bash
# A DNG's BlackLevelDeltaH adds a black level of its own to each column. rawpy (LibRaw) takes the mean of all columns
# and adds that everywhere. Bites who develops DNGs of sensors with column offsets: the stripes that the tag describes
# stay in the picture.
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


# An even grey of 1000 above black, where the black level of the left half is 60 and of the right half is 140.
height, width = 64, 96
delta = np.zeros(width, int)
delta[width // 2 :] = 80
mosaic = np.tile(1000 + 60 + delta, (height, 1)).astype(np.uint16)
write_dng(
    "columns.dng",
    mosaic,
    (50714, "I", 1, 60, True),  # BlackLevel
    (50715, "2i", width, tuple(number for value in delta for number in (int(value), 1)), True),  # BlackLevelDeltaH
)
with rawpy.imread("columns.dng") as raw:
    black = list(raw.black_level_per_channel)
    developed = raw.postprocess(
        gamma=(1, 1),
        no_auto_bright=True,
        output_bps=16,
        output_color=rawpy.ColorSpace.raw,
        user_wb=[1, 1, 1, 1],
    )
left, right = developed[8:-8, 8:40].mean(), developed[8:-8, 56:88].mean()

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: the column black levels of BlackLevelDeltaH are averaged to one number for the whole picture.")
print("expected: each column has its own black level taken off, so that an even grey is even.")
print("seen:")
print("  black_level_per_channel:", black, "(60 + the mean of 0 and 80)")
print(f"  developed: left half {left:.0f}, right half {right:.0f}, {100 * (right / left - 1):.1f} % apart")

assert black == [100, 100, 100, 100]
assert abs(right / left - 1040 / 960) < 0.01
EOF
