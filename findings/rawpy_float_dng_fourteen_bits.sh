#!/usr/bin/env bash
# A floating-point DNG holds linear samples of which WhiteLevel (1 if absent) is white. rawpy (LibRaw) returns them as
# whole numbers of 14 bits, and if one sample is brighter than white, scales all by the brightest. Bites who reads HDR
# DNGs by raw_image: shadows lose their steps, and one hot pixel darkens the whole picture.
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


def write_dng(name, mosaic):
    """A plain DNG of one Bayer mosaic (red first), of floating point."""
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
        (50717, "I", 1, 1, True),  # WhiteLevel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
    ]
    tifffile.imwrite(name, mosaic, photometric=32803, metadata=None, extratags=tags)


def read(mosaic):
    write_dng("float.dng", mosaic)
    with rawpy.imread("float.dng") as raw:
        return raw.raw_image.copy(), raw.white_level


ramp = np.tile(np.linspace(0, 1e-3, 96, dtype=np.float32), (64, 1))  # 96 steps in the deepest shadows
ramp[0, 0] = 1
steps, white = read(ramp)
grey = np.full((64, 96), 0.5, np.float32)
plain, plain_white = read(grey)
grey[10, 10] = 8  # one sample three stops above white
hot, hot_white = read(grey)
middle, hot_middle = int(np.median(plain)), int(np.median(hot))
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: raw_image holds 14 bits, and one bright sample rescales all.")
print("expected: the samples as they are, or scaled by WhiteLevel alone; 16 bits at least.")
print("seen:")
print(f"  96 steps from 0 to 0.001: {np.unique(steps[1:]).size} values, white level {white}")
print(f"  grey of 0.5: {middle} of {plain_white}; with one sample of 8: {hot_middle} of {hot_white}")

assert white == 16383 and np.unique(steps[1:]).size < 24
assert abs(middle / plain_white - 0.5) < 0.01
assert hot_middle / hot_white < 0.1
EOF
