#!/usr/bin/env bash
# imagecodecs.jpegxl_encode declares an array of 8 bits as sRGB and one of 16 bits as linear light, whatever it holds.
# The same photo, stored as 16 bits, is shown far too bright by every program that reads the declaration. Bites who
# writes 16-bit photos as JPEG XL, and who tests a reader by files that imagecodecs has written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 numpy==2.4.6 pillow==12.0.0 pillow-jxl-plugin==1.3.7
venv/bin/python - <<'EOF'
import io
from importlib.metadata import version
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_jxl  # noqa: F401  # teaches Pillow to read JPEG XL
from PIL import Image, ImageCms

eight = np.full((16, 16, 3), 118, np.uint8)  # mid grey of sRGB
seen = {}
for name, pixels in (("8 bits", eight), ("16 bits", eight.astype(np.uint16) * 257)):
    Path("grey.jxl").write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    profile = Image.open("grey.jxl").info["icc_profile"]
    shown = ImageCms.profileToProfile(
        Image.fromarray(eight), io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    seen[name] = (described, shown.getpixel((8, 8))[0])

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imagecodecs", "numpy", "pillow", "pillow-jxl-plugin")))
print("behaviour: jpegxl_encode declares arrays of 16 bits as linear light, and those of 8 bits as sRGB.")
print("expected: one declaration for the same picture, or a word of it in the documentation.")
print("seen, for a grey of 118 of 255:")
for name, (described, value) in seen.items():
    print(f"  {name}: declared as {described}, shown as {value}")

assert abs(seen["8 bits"][1] - 118) <= 1
assert seen["16 bits"][1] > 170 and "Lin" in seen["16 bits"][0]
EOF
