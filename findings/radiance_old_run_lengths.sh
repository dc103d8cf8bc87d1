#!/usr/bin/env bash
# Radiance pictures may use the old run-length coding (a pixel 1 1 1 n repeats the one before it n times), and
# Radiance's own tools still read it. imagecodecs, OpenCV and OpenImageIO refuse such files.
# Bites who opens old archives, or files of programs that never took up the newer coding: the message blames the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 OpenImageIO==3.2.2.0 pyradiance==1.3.1 numpy==2.4.6
export OPENCV_LOG_LEVEL=SILENT
venv/bin/python - <<'EOF'
from importlib.metadata import version
from pathlib import Path

import cv2
import imagecodecs
import OpenImageIO as oiio
import pyradiance

name, width, height = "old.hdr", 16, 4
start = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
row = bytes([200, 100, 50, 132]) + bytes([1, 1, 1, width - 1])
Path(name).write_bytes(start.encode() + row * height)

reference = pyradiance.pvalue(name, header=False, resstr=False, dataonly=True).decode().splitlines()
try:
    imagecodecs.rgbe_decode(Path(name).read_bytes())
    first = "read"
except imagecodecs.RgbeError as error:
    first = f"RgbeError: {error}"
second = cv2.imread(name, cv2.IMREAD_UNCHANGED)
source = oiio.ImageInput.open(name)
third = source.read_image(oiio.FLOAT)
reason = source.geterror()

packages = ("imagecodecs", "opencv-python-headless", "OpenImageIO", "pyradiance", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in packages))
print("behaviour: a valid picture in the old run-length coding is refused by all three libraries.")
print(f"expected: {width * height} equal pixels, as pvalue of Radiance gives.")
print("seen:")
print(f"  pvalue: {len(reference)} pixels, all {' '.join(reference[0].split())}")
print(f"  imagecodecs.rgbe_decode: {first}")
print(f"  cv2.imread: {second}")
print(f"  OpenImageIO read_image: {third} ({reason})")

assert len(reference) == width * height and len(set(reference)) == 1
assert first.startswith("RgbeError")
assert second is None
assert third is None and reason
EOF
