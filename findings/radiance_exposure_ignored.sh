#!/usr/bin/env bash
# Radiance pictures may carry EXPOSURE and COLORCORR lines by which their pixels were multiplied; to get radiance one
# must divide by all of them. imagecodecs, OpenCV and OpenImageIO return the pixels undivided, without a warning.
# Bites everyone who needs the light itself (luminance maps, image-based lighting): pfilt and pcond write such lines.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 OpenImageIO==3.2.2.0 pyradiance==1.3.1 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import OpenImageIO as oiio
import pyradiance

name, width, height = "exposed.hdr", 16, 4
lines = ["#?RADIANCE", "FORMAT=32-bit_rle_rgbe", "EXPOSURE=2.0", "EXPOSURE=4.0", "COLORCORR=2.0 1.0 1.0"]
start = "\n".join(lines) + f"\n\n-Y {height} +X {width}\n"
Path(name).write_bytes(start.encode() + bytes([200, 100, 50, 132]) * (width * height))

read = {
    "imagecodecs.rgbe_decode": imagecodecs.rgbe_decode(Path(name).read_bytes()),
    "cv2.imread(IMREAD_UNCHANGED)": cv2.imread(name, cv2.IMREAD_UNCHANGED)[..., ::-1],
    "OpenImageIO": oiio.ImageBuf(name).get_pixels(oiio.FLOAT),
}
noted = oiio.ImageBuf(name).spec().getattribute("hdr:exposure")
radiance = pyradiance.pvalue(name, original=True, header=False, resstr=False, dataonly=True)
radiance = np.array(radiance.split()[:3], float)

packages = ("imagecodecs", "opencv-python-headless", "OpenImageIO", "pyradiance", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in packages))
print("behaviour: the readers do not divide by EXPOSURE (here 2 x 4 = 8) nor by COLORCORR (here 2, 1, 1).")
print("expected: the radiance that Radiance's own pvalue gives with -o.")
print("seen, at the first pixel:")
print("  pvalue -o:", radiance.tolist())
for title, picture in read.items():
    print(f"  {title}: {picture[0, 0].tolist()}")
print(f"  OpenImageIO does tell 'hdr:exposure', but as {noted}: only the last line, not the product 8.")

for picture in read.values():
    assert np.allclose(picture[0, 0] / radiance, [16, 8, 8], rtol=0.02)
assert noted == 4.0
EOF
