#!/usr/bin/env bash
# rawpy's postprocess() gives sRGB's primaries by default (output_color), but not sRGB's curve: its gamma is that of
# BT.709, (2.222, 4.5). gamma=(2.4, 12.92) gives sRGB. Bites who saves the array as a JPEG, decodes it as sRGB, or trains
# on pairs with camera JPEGs: shadows and mid-tones are too dark by up to 0.07 of 1, half an EV at 10 % light.
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
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50717, "I", 1, 65535, True),  # WhiteLevel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]


def to_srgb(light):
    """IEC 61966-2-1."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def developed(light, **options):
    mosaic = np.full((64, 96), round(light * 65535), np.uint16)
    tifffile.imwrite("grey.dng", mosaic, photometric=32803, metadata=None, extratags=TAGS)
    with rawpy.imread("grey.dng") as raw:
        picture = raw.postprocess(no_auto_bright=True, adjust_maximum_thr=0.0, use_camera_wb=True, output_bps=16, **options)
    return picture[32, 48, 1] / 65535


names = ("rawpy", "tifffile", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "LibRaw", rawpy.libraw_version)
print("behaviour: the default curve is BT.709's, whatever output_color.")
print("expected: sRGB values, as output_color is ColorSpace.sRGB by default.")
print("seen, of greys:")
for light in (0.01, 0.05, 0.1, 0.18, 0.5):
    default, asked = developed(light), developed(light, gamma=(2.4, 12.92))
    print(f"  light {light}: default {default:.4f}, gamma=(2.4, 12.92) {asked:.4f}, sRGB {to_srgb(light):.4f}")
    assert abs(asked - to_srgb(light)) < 0.002
    assert to_srgb(light) - default > 0.02
EOF
