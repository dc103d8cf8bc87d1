#!/usr/bin/env bash
# A DNG may state its colour pattern at a multiple of the Bayer tile, such as 4x4 (CFARepeatPatternDim). rawpy (LibRaw)
# doubles the rows of such a pattern, so that half the photosites get the colour of others. Bites who writes DNGs of
# sensors whose driver describes 4x4 tiles: greens are taken for red and blue, and the picture is a maze.
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


def read(pattern):
    """Colours of a DNG's photosites, of which the pattern [rows, columns] is stated (0 red, 1 green, 2 blue)."""
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    flat = tuple(int(colour) for colour in pattern.ravel())
    tags = [
        (33421, "H", 2, pattern.shape, True),  # CFARepeatPatternDim
        (33422, "B", len(flat), flat, True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
        (50717, "I", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
    ]
    mosaic = np.full((64, 96), 500, np.uint16)
    tifffile.imwrite("pattern.dng", mosaic, photometric=32803, metadata=None, extratags=tags)
    with rawpy.imread("pattern.dng") as raw:
        colours = raw.raw_colors[:4, :4].copy()
    colours[colours == 3] = 1  # LibRaw's second green
    return colours.tolist()


bayer = np.array([[0, 1], [1, 2]])
seen = {repeat: read(np.tile(bayer, (repeat, repeat))) for repeat in (1, 2)}
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: a Bayer pattern that is stated as 4x4 gets other colours than the same pattern stated as 2x2.")
print("expected: the same colours.")
print("seen, for the top left 4x4 photosites (0 red, 1 green, 2 blue):")
for repeat, colours in seen.items():
    print(f"  stated as {2 * repeat}x{2 * repeat}:", colours)

assert seen[1] == np.tile(bayer, (2, 2)).tolist()
assert seen[2] == [[0, 1, 0, 1], [0, 1, 0, 1], [1, 2, 1, 2], [1, 2, 1, 2]]
EOF
