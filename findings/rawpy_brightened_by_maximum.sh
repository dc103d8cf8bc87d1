#!/usr/bin/env bash
# rawpy's postprocess(no_auto_bright=True, gamma=(1, 1)) is still not a fixed function of the pixels: if the brightest
# one of the mosaic lies between 75 % and 100 % of the white level, all are scaled up so that it becomes white
# (adjust_maximum_thr, 0.75 by default). Bites who compares exposures or frames, or measures linearity: two pictures of
# one light differ by up to a third because of a highlight somewhere else.
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

WHITE = 60000
TAGS = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50717, "I", 1, WHITE, True),  # WhiteLevel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]


def grey_beside(highlight, **options):
    """What becomes of a grey of 12000, a fifth of white, beside a small highlight."""
    mosaic = np.full((64, 96), 12000, np.uint16)
    mosaic[:4, :4] = highlight
    tifffile.imwrite("grey.dng", mosaic, photometric=32803, metadata=None, extratags=TAGS)
    with rawpy.imread("grey.dng") as raw:
        picture = raw.postprocess(
            no_auto_bright=True,
            use_camera_wb=True,
            gamma=(1, 1),
            output_bps=16,
            output_color=rawpy.ColorSpace.raw,
            **options,
        )
    return int(picture[48, 48, 1])


names = ("rawpy", "tifffile", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "LibRaw", rawpy.libraw_version)
print("behaviour: the same grey comes out brighter where the picture's maximum lies just below the white level.")
print("expected: a fifth of 65535 in each case, as no_auto_bright asks for no brightness that depends on the picture.")
print("seen, beside a highlight at a share of the white level:")
seen = {}
for share in (0.5, 0.74, 0.76, 0.9, 1.0):
    highlight = round(share * WHITE)
    seen[share] = grey_beside(highlight)
    fixed = grey_beside(highlight, adjust_maximum_thr=0.0)
    print(f"  {share:.0%}: {seen[share]}; with adjust_maximum_thr=0: {fixed}")
    assert abs(fixed - 65535 / 5) < 3
assert all(abs(seen[share] - 65535 / 5) < 3 for share in (0.5, 0.74, 1.0))
assert all(abs(seen[share] - 65535 / 5 / share) < 10 for share in (0.76, 0.9))
EOF
