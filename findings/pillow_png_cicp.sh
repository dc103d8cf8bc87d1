#!/usr/bin/env bash
# The third edition of PNG names the colour space by a cICP chunk. Pillow can write one (PngInfo), but reads none, and
# pyvips neither: nothing in what they return tells it, and saving drops it.
# Bites who handles Display P3 or HDR pictures: they are taken for sRGB, with dull or wrong colours.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check Pillow==13.0.0 pyvips==3.2.0 pyvips-binary==8.18.7 opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'EOF'
import io
from importlib.metadata import version

import cv2
import pyvips
from PIL import Image, PngImagePlugin

# 12: primaries of Display P3, 13: sRGB's curve, 0: RGB, 1: full range.
code = bytes([12, 13, 0, 1])
chunks = PngImagePlugin.PngInfo()
chunks.add(b"cICP", code)
Image.new("RGB", (16, 16), (255, 0, 0)).save("p3.png", pnginfo=chunks)
stored = open("p3.png", "rb").read()
assert b"cICP" + code in stored

first = Image.open("p3.png")
first.load()
saved = io.BytesIO()
first.save(saved, "PNG")
second = pyvips.Image.new_from_file("p3.png")
fields = second.get_fields()
kept = second.pngsave_buffer(keep="all")
_, kinds, parts = cv2.imreadWithMetadata("p3.png", cv2.IMREAD_UNCHANGED)
third = {int(kind): part.ravel().tolist() for kind, part in zip(kinds, parts)}

packages = ("Pillow", "pyvips", "pyvips-binary", "opencv-python-headless", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in packages))
print("behaviour: a PNG tagged as Display P3 by cICP is read without any sign of the tag, and loses it when saved.")
print("expected: the four numbers in Image.info and in a field of pyvips, as OpenCV tells them on request.")
print("seen:")
print("  Pillow, info:", first.info, "- saved with cICP:", b"cICP" in saved.getvalue())
print("  pyvips, interpretation:", second.interpretation, "- saved with cICP (keep='all'):", b"cICP" in kept)
print("  pyvips, fields:", " ".join(fields))
print("  cv2.imreadWithMetadata, CICP:", third.get(cv2.IMAGE_METADATA_CICP))

assert first.info == {} and b"cICP" not in saved.getvalue()
assert second.interpretation == "srgb" and b"cICP" not in kept
assert not any("cicp" in field.lower() for field in fields)
assert third[cv2.IMAGE_METADATA_CICP] == list(code)
EOF
