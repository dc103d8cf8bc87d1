#!/usr/bin/env bash
# Where a DNG's ActiveArea begins at an odd row or column, rawpy (LibRaw) begins one later, moves the colour pattern
# along, but not the pattern of black levels. Bites who converts such files with a black level for each colour: red
# gets the level of green or blue, which tints the shadows.
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


# Both patterns, of colours and of black levels, begin at the corner of the ActiveArea: red has 60, blue has 120.
levels = (60, 80, 100, 120)
height, width = 64, 96


def read(top, left):
    rows, columns = np.mgrid[:height, :width]
    black = np.reshape(levels, (2, 2))[(rows - top) % 2, (columns - left) % 2]
    write_dng(
        "area.dng",
        (black + 1000).astype(np.uint16),
        (50713, "H", 2, (2, 2), True),  # BlackLevelRepeatDim
        (50714, "I", 4, levels, True),  # BlackLevel
        (50829, "I", 4, (top, left, height, width), True),  # ActiveArea
    )
    with rawpy.imread("area.dng") as raw:
        taken = np.array(raw.black_level_per_channel)[raw.raw_colors_visible]
        above = raw.raw_image_visible.astype(int) - taken
        return list(raw.black_level_per_channel), (raw.sizes.top_margin, raw.sizes.left_margin), np.unique(above).tolist()


print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: with an odd corner of the ActiveArea, the black levels are given to the wrong colours.")
print("expected: the same levels for R, G, B, G2 wherever the area begins, and 1000 above black at each pixel.")
print("seen, for a mosaic that is 1000 above black everywhere:")
seen = {}
for corner in ((0, 0), (2, 2), (1, 0), (0, 1), (1, 1)):
    seen[corner] = read(*corner)
    print("  ActiveArea at {}: black of R, G, B, G2 {}, begins at {}, above black {}".format(corner, *seen[corner]))

right = [60, 80, 120, 100]
for corner, (black, begins, above) in seen.items():
    if corner in ((0, 0), (2, 2)):
        assert black == right and begins == corner and above == [1000]
    else:
        assert black != right and begins != corner and above != [1000]
EOF
