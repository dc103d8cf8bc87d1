#!/usr/bin/env bash
# A DNG states its black level in BlackLevel; MaskedAreas names samples that no light reaches, which a reader may
# measure. rawpy (LibRaw) measures them and drops the stated level, whatever they hold. Bites who reads DNGs whose
# masked samples were padded or cut to zero by a converter: the whole picture is lifted.
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
        (50714, "I", 1, 64, True),  # BlackLevel
        (50717, "I", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, matrix, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
        (50829, "I", 4, (0, 16, 64, 96), True),  # ActiveArea
    ]
    tifffile.imwrite(name, mosaic, photometric=32803, metadata=None, extratags=[*tags, *more])


def black_level(masked, *more):
    mosaic = np.full((64, 96), 500, np.uint16)
    mosaic[:, :16] = masked
    write_dng("masked.dng", mosaic, *more)
    with rawpy.imread("masked.dng") as raw:
        return list(raw.black_level_per_channel)


areas = (50830, "I", 4, (0, 0, 64, 16), True)  # MaskedAreas: the left border
seen = {masked: (black_level(masked), black_level(masked, areas)) for masked in (64, 100, 1)}
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("rawpy", "tifffile", "numpy")), "LibRaw", rawpy.libraw_version)
print("behaviour: with MaskedAreas, black_level_per_channel is the mean of the masked samples, not BlackLevel.")
print("expected: BlackLevel, which the specification defines as the zero light level; the areas are optional.")
print("seen, for a file with BlackLevel 64:")
for masked, (without, with_areas) in seen.items():
    print(f"  masked samples {masked}: {without} without MaskedAreas, {with_areas} with")

assert all(without == [64] * 4 for without, _ in seen.values())
assert all(with_areas == [masked] * 4 for masked, (_, with_areas) in seen.items())
EOF
