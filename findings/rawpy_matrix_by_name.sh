#!/usr/bin/env bash
# rawpy's rgb_xyz_matrix is not the ColorMatrix of a DNG: it is zeros if LibRaw does not know the camera's name, and
# LibRaw's own matrix of that name if it does; CameraCalibration is left out of it. color_matrix, and the picture, do
# follow the file. Bites who takes colours from RAW files by that attribute: it works for files straight from cameras.
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

MATRIX = [[8000, -2000, -500], [-4000, 12000, 2000], [-1000, 2000, 7000]]  # of 10000
MIXING = [[9, 1, 0], [1, 8, 1], [0, 2, 9]]  # of 10
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def over(values, denominator):
    return tuple(number for value in np.ravel(values).tolist() for number in (value, denominator))


def read(make, model, *more):
    tags = [
        (271, "s", 0, make, True),
        (272, "s", 0, model, True),
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, f"{make} {model}", True),  # UniqueCameraModel
        (50717, "I", 1, 65535, True),  # WhiteLevel
        (50721, "2i", 9, over(MATRIX, 10000), True),  # ColorMatrix1
        (50728, "2I", 3, (1, 2, 1, 1, 2, 3), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        *more,
    ]
    grey = np.full((64, 96), 20000, np.uint16)
    tifffile.imwrite("camera.dng", grey, photometric=32803, metadata=None, extratags=tags)
    with rawpy.imread("camera.dng") as raw:
        return raw.rgb_xyz_matrix[:3].astype(float), raw.color_matrix[:3, :3].astype(float)


def development(matrix):
    """White-balanced camera RGB to linear sRGB, as dcraw makes it of XYZ to camera RGB."""
    rows = matrix @ SRGB_TO_XYZ
    return np.linalg.inv(rows / rows.sum(axis=1, keepdims=True))


stated = np.array(MATRIX) / 10000
calibration = np.array(MIXING) / 10
cases = {
    "a name that LibRaw does not know": read("Acme", "One"),
    "the same, with CameraCalibration1": read("Acme", "One", (50723, "2i", 9, over(MIXING, 10), True)),
    "NIKON D5300": read("NIKON CORPORATION", "NIKON D5300"),
    "NIKON D5300, with CameraCalibration1": read(
        "NIKON CORPORATION", "NIKON D5300", (50723, "2i", 9, over(MIXING, 10), True)
    ),
}
names = ("rawpy", "tifffile", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "LibRaw", rawpy.libraw_version)
print("behaviour: rgb_xyz_matrix depends on the name of the camera alone; color_matrix on the matrices of the file.")
print("expected: the ColorMatrix1 of the file, times CameraCalibration1, in rgb_xyz_matrix.")
print("seen, for files of one ColorMatrix1,", stated.tolist())
for title, (xyz, srgb) in cases.items():
    print(f"  {title}:\n    rgb_xyz_matrix {xyz.round(4).tolist()}\n    color_matrix {srgb.round(3).tolist()}")
    full = calibration @ stated if "Calibration" in title else stated
    assert np.allclose(srgb, development(full), atol=2e-3)
    assert not np.allclose(xyz, full, atol=0.05)
(unknown, _), (unknown_calibrated, _), (known, _), (known_calibrated, _) = cases.values()
assert not unknown.any() and not unknown_calibrated.any()
assert known.any() and np.array_equal(known, known_calibrated)
EOF
