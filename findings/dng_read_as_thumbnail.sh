#!/usr/bin/env bash
# imageio, scikit-image, OpenCV, Pillow and tifffile.imread open a DNG as cameras and converters write it, and return its
# thumbnail: no error, an array of 8 bits and of a plausible shape. Bites who globs a folder for pictures, or reads .dng
# with the function that reads .tif: the RAW is in a sub-directory that they do not look at.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imageio==2.38.1 scikit-image==0.26.0 opencv-python-headless==5.0.0.93 \
    pillow==13.0.0 tifffile==2026.3.3 rawpy==0.28.0 numpy==2.4.6
OPENCV_LOG_LEVEL=ERROR venv/bin/python - <<'EOF'
from importlib.metadata import version

import cv2
import imageio.v3 as imageio
import numpy as np
import rawpy
import skimage.io
import tifffile
from PIL import Image

mosaic = np.random.default_rng(0).integers(0, 65536, (600, 800)).astype(np.uint16)
thumbnail = np.full((192, 256, 3), 90, np.uint8)
camera = [
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Made by hand", True),  # UniqueCameraModel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1
]
sensor = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
    (50717, "I", 1, 65535, True),  # WhiteLevel
]
with tifffile.TiffWriter("photo.dng") as tiff:
    tiff.write(thumbnail, photometric="rgb", subfiletype=1, subifds=1, metadata=None, extratags=camera)
    tiff.write(mosaic, photometric=32803, subfiletype=0, metadata=None, extratags=sensor)

names = ("imageio", "scikit-image", "opencv-python-headless", "pillow", "tifffile", "rawpy", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names))
print("behaviour: common imread functions return the thumbnail of a DNG.")
print("expected: an error that names a RAW reader, or a warning that a sub-directory holds the main picture.")
print("seen, of a DNG of 800x600 with a thumbnail of 256x192:")
seen = {
    "imageio.v3.imread": imageio.imread("photo.dng"),
    "skimage.io.imread": skimage.io.imread("photo.dng"),
    "cv2.imread": cv2.imread("photo.dng"),
    "PIL.Image.open": np.asarray(Image.open("photo.dng")),
    "tifffile.imread": tifffile.imread("photo.dng"),
}
for title, picture in seen.items():
    print(f"  {title}: {picture.dtype} {picture.shape}")
    assert np.array_equal(picture, thumbnail)
with rawpy.imread("photo.dng") as raw:
    print(f"  rawpy.imread: {raw.raw_image.dtype} {raw.raw_image.shape}")
    assert np.array_equal(raw.raw_image, mosaic)
EOF
