#!/usr/bin/env bash
# OpenCV names Bayer patterns by the second and third sample of the second row. So COLOR_BayerRG2RGB is not for a mosaic
# whose rows begin R G, which DNG and LibRaw call RGGB: its red and blue come out exchanged. COLOR_BayerBG2RGB
# is. The newer names of four letters are as everywhere. Bites who reads the CFA pattern in a DNG and picks the code by it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import cv2
import numpy as np

mosaic = np.zeros((8, 8), np.uint8)
mosaic[0::2, 0::2] = 200  # R G / G B: red alone, at the top left of each quad
seen = {}
for name in ("COLOR_BayerRG2RGB", "COLOR_BayerBG2RGB", "COLOR_BayerRGGB2RGB"):
    seen[name] = cv2.cvtColor(mosaic, getattr(cv2, name))[4, 4].tolist()

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("opencv-python-headless", "numpy")))
print("behaviour: a red scene on an R G / G B mosaic is blue by COLOR_BayerRG2RGB, and red by COLOR_BayerBG2RGB.")
print("expected: RG in the name is how the mosaic begins, as DNG and LibRaw name it.")
print("seen, as R, G, B:", seen)
assert seen == {
    "COLOR_BayerRG2RGB": [0, 0, 200],
    "COLOR_BayerBG2RGB": [200, 0, 0],
    "COLOR_BayerRGGB2RGB": [200, 0, 0],
}, seen
EOF
