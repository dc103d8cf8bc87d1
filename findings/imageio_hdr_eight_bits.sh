#!/usr/bin/env bash
# imageio (v2 and v3) reads a Radiance .hdr picture as 8-bit integers that stop at 255, and so does OpenCV by default.
# Bites everyone who loads light probes or HDR photos with one line: the light above 1.0 is gone, without a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imageio==2.38.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import cv2
import imageio.v2 as v2
import imageio.v3 as v3
import numpy as np

name = "light.hdr"
light = np.full((8, 8, 3), 0.5, np.float32)
light[:, 2:4] = 2.0
light[:, 4:] = 100.0
assert cv2.imwrite(name, light)

whole = cv2.imread(name, cv2.IMREAD_UNCHANGED)
first, third, plain = v2.imread(name), v3.imread(name), cv2.imread(name)
asked = v3.imread(name, plugin="opencv", flags=cv2.IMREAD_UNCHANGED)

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imageio", "opencv-python-headless", "numpy")))
print("behaviour: imread gives uint8 clipped at 255 for a picture of floats; 2.0 and 100.0 become the same number.")
print("expected: the floats of the file.")
print("seen, at pixels whose light is 0.5, 2.0 and 100.0:")
for title, picture in (
    ("imageio.v2.imread", first),
    ("imageio.v3.imread", third),
    ("cv2.imread", plain),
    ("imageio.v3.imread(plugin='opencv', flags=cv2.IMREAD_UNCHANGED)", asked),
    ("cv2.imread(IMREAD_UNCHANGED)", whole),
):
    print(f"  {title}: {picture.dtype} {picture[0, [0, 2, 4], 0].tolist()}")

for picture in (first, third, plain):
    assert picture.dtype == np.uint8
    assert picture[0, 2, 0] == picture[0, 4, 0] == 255
for picture in (whole, asked):
    assert picture.dtype == np.float32 and np.allclose(picture, light, rtol=0.01)
EOF
