#!/usr/bin/env bash
# rawpy (LibRaw) divides a floating-point DNG by its maximum as soon as one value exceeds the white level of 1: the same
# light beside a brighter highlight becomes darker, in raw_image too. Bites who reads merged exposures (half-float linear
# DNGs), which keep highlights above white: brightness depends on the brightest pixel, and no option mends it.
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

TAGS = [
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50717, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # WhiteLevel: 1
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]


def grey_beside(highlight):
    """What becomes of a grey of 0.2 beside a small highlight: developed, of 65535; and stored, of the white level."""
    planes = np.full((64, 96, 3), 0.2, np.float16)
    planes[:4, :4] = highlight
    tifffile.imwrite("float.dng", planes, photometric=34892, planarconfig=1, metadata=None, extratags=TAGS)
    assert np.array_equal(tifffile.imread("float.dng"), planes)
    with rawpy.imread("float.dng") as raw:
        picture = raw.postprocess(
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            use_camera_wb=True,
            gamma=(1, 1),
            output_bps=16,
            output_color=rawpy.ColorSpace.raw,
        )
        return picture[48, 48, 1] / 65535, raw.raw_image[48, 48, 1] / raw.white_level


names = ("rawpy", "tifffile", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "LibRaw", rawpy.libraw_version)
print("behaviour: values of a float DNG are divided by their maximum if it exceeds the white level.")
print("expected: 0.2 of the white level in each case; highlights above it may clip.")
print("seen, for a grey of 0.2 beside a highlight:")
for highlight in (0.5, 1.0, 2.0, 8.0):
    developed, stored = grey_beside(highlight)
    print(f"  highlight {highlight}: developed {developed:.4f}, raw_image / white_level {stored:.4f}")
    expected = 0.2 / max(1, highlight)
    assert abs(developed - expected) < 0.001 and abs(stored - expected) < 0.001
EOF
