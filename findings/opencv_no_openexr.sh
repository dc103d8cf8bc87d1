#!/usr/bin/env bash
# The wheel of OpenCV 5 has no OpenEXR: imread gives None, and OPENCV_IO_ENABLE_OPENEXR, which helped in OpenCV 4, is
# without effect. Bites scripts that set that variable and were fine with 4.x: the error shows only where None is used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 OpenEXR==3.5.3 numpy==2.4.6
python3 -m venv before
before/bin/pip install -q --disable-pip-version-check opencv-python-headless==4.14.0.94 numpy==2.4.6
cat > write.py <<'EOF'
import numpy as np
import OpenEXR

light = np.full((8, 8, 3), 3.5, np.float32)
header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
OpenEXR.File(header, {"RGB": light}).write("light.exr")
EOF
cat > read.py <<'EOF'
import sys
from importlib.metadata import version

import cv2

picture = cv2.imread("light.exr", cv2.IMREAD_UNCHANGED)
what = "None" if picture is None else f"{picture.dtype} {picture.shape} of {picture.max()}"
built = next(line.split(":", 1)[1].strip() for line in cv2.getBuildInformation().splitlines() if "OpenEXR:" in line)
print(f"  {version('opencv-python-headless')}: OpenEXR in the build: {built}; imread: {what}")
sys.exit((picture is None) != (sys.argv[1] == "none"))
EOF
export OPENCV_IO_ENABLE_OPENEXR=1
venv/bin/python write.py
echo "versions: opencv-python-headless 5.0.0.93 and 4.14.0.94, OpenEXR 3.5.3, numpy 2.4.6"
echo "behaviour: cv2.imread of OpenCV 5 gives None for a plain OpenEXR file, also with OPENCV_IO_ENABLE_OPENEXR=1."
echo "expected: the picture, as OpenCV 4 gives with that variable, or an error that names the missing format."
echo "seen, with OPENCV_IO_ENABLE_OPENEXR=1:"
venv/bin/python read.py none
before/bin/python read.py picture
