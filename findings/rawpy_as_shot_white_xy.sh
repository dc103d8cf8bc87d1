#!/usr/bin/env bash
# A DNG states the white balance of the shot as AsShotNeutral (camera RGB) or as AsShotWhiteXY (chromaticity). rawpy
# (LibRaw) reads the first only: with the second, camera_whitebalance holds zeros. Bites who develops DNGs of phones
# with use_camera_wb=True, or divides by these numbers: there is no balance to take.
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

MATRIX = np.array([[0.9, -0.3, -0.1], [-0.4, 1.2, 0.2], [0.0, 0.2, 0.6]])
WHITE = 0.4476, 0.4074  # chromaticity of standard illuminant A
x, y = WHITE
neutral = MATRIX @ [x / y, 1, (1 - x - y) / y]  # DNG specification, chapter 6
neutral /= neutral[1]


def gains(*tag):
    """LibRaw's white balance of a DNG that has one tag on it, green = 1."""
    matrix = tuple(part for value in MATRIX.ravel() for part in (round(value * 10), 10))
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
        (50717, "I", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
    ]
    mosaic = np.full((64, 96), 500, np.uint16)
    tifffile.imwrite("white.dng", mosaic, photometric=32803, metadata=None, extratags=[*tags, tag])
    with rawpy.imread("white.dng") as raw:
        return [round(float(gain), 3) for gain in raw.camera_whitebalance[:3]]


def ratios(values):
    return tuple(part for value in values for part in (round(value * 10000), 10000))


by_neutral = gains(50728, "2I", 3, ratios(neutral), True)
by_white = gains(50729, "2I", 2, ratios(WHITE), True)
right = [round(float(value), 3) for value in 1 / neutral]
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: camera_whitebalance is empty where a DNG states its white as AsShotWhiteXY.")
print("expected: the gains of that white by the file's ColorMatrix, as with AsShotNeutral of the same white.")
print("seen, where the specification gives", right)
print("  AsShotNeutral:", by_neutral)
print("  AsShotWhiteXY:", by_white)

assert np.allclose(by_neutral, right, atol=2e-3)
assert by_white == [0, 1, 0]
EOF
