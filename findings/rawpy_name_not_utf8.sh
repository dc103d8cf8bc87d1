#!/usr/bin/env bash
# On Linux a file name is bytes, and Python stands in for those that are not UTF-8 (PEP 383). rawpy cannot open such a
# file by its name, although open() can. Bites who converts old folders whose names are Latin-1: caf\xe9.dng.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rawpy==0.28.0 tifffile==2026.3.3 numpy==2.4.6
venv/bin/python - <<'EOF'
import os
from importlib.metadata import version

import numpy as np
import rawpy
import tifffile

matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
tags = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50721, "2i", 9, matrix, True),  # ColorMatrix1
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]
tifffile.imwrite("plain.dng", np.full((64, 96), 500, np.uint16), photometric=32803, metadata=None, extratags=tags)
name = os.fsdecode(b"caf\xe9.dng")
os.rename("plain.dng", name)


def opened(source):
    try:
        with rawpy.imread(source) as raw:
            return f"{raw.raw_image.shape}"
    except Exception as error:
        return type(error).__name__


by_name = opened(name)
with open(name, "rb") as file:
    by_file = opened(file)
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: rawpy.imread refuses the name of a file, as os.listdir gives it, that is not UTF-8.")
print("expected: the file is opened, as open(), Pillow and tifffile open it.")
print("seen:")
print("  rawpy.imread(name):", by_name)
print("  rawpy.imread(open(name, 'rb')):", by_file)
print("  os.listdir gives", ascii([each for each in os.listdir() if each.endswith("dng")]))

assert (by_name, by_file) == ("UnicodeEncodeError", "(64, 96)")
EOF
