#!/usr/bin/env bash
# imagecodecs.avif_decode returns the coded pixels of an AVIF without the turn and the mirror that the file demands (irot,
# imir), and nothing tells of them. Bites who decodes phone photos or Pillow's AVIFs to arrays: pictures lie on their side
# or are mirrored, where every browser shows them upright.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import imagecodecs
import numpy as np
from PIL import Image, ImageOps

pixels = np.zeros((32, 48, 3), np.uint8)
pixels[:16, :24] = 200  # a bright corner


def corner(picture):
    """Where the bright corner is, and the size."""
    grey = picture.mean(axis=2)
    height, width = grey.shape
    halves = {"top": grey[: height // 2], "bottom": grey[height // 2 :]}
    rows = max(halves, key=lambda half: halves[half].mean())
    columns = "left" if grey[:, : width // 2].mean() > grey[:, width // 2 :].mean() else "right"
    return f"{width}x{height}, bright {rows} {columns}"


names = ("imagecodecs", "pillow", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), imagecodecs.avif_version())
print("behaviour: avif_decode ignores irot and imir.")
print("expected: the picture as the file defines it (ISO/IEC 23000-22: transformative properties must be applied), or a")
print("  way to learn of them.")
print("seen:")
for orientation, boxes in ((1, ()), (2, (b"imir",)), (3, (b"irot",)), (6, (b"irot",)), (8, (b"irot",))):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save("photo.avif", exif=exif, quality=95)
    data = open("photo.avif", "rb").read()
    found = corner(imagecodecs.avif_decode(data))
    with Image.open("photo.avif") as image:
        shown = corner(np.asarray(ImageOps.exif_transpose(image)))
    held = [box.decode() for box in (b"irot", b"imir") if box in data]
    print(f"  held by orientation {orientation}, file has {held}: imagecodecs {found}; a viewer {shown}")
    assert found == "48x32, bright top left"
    assert all(box in data for box in boxes)
    assert (found == shown) == (orientation == 1)
EOF
