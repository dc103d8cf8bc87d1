#!/usr/bin/env bash
# pillow-heif turns a photo held sideways right, not at all or twice, by how it is saved: with exif=bytes it is upright,
# with exif=image.getexif() it stays on its side, and pillow_heif.from_pillow(image).save() turns it once too often.
# Bites who converts phone JPEGs to HEIC: Pillow's own formats take either form of EXIF.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # Orientation: the camera was held sideways; the left of the pixels is the top of the scene
pixels = np.zeros((32, 48, 3), np.uint8)
pixels[:, :24] = 200
Image.fromarray(pixels).save("photo.jpg", exif=exif, quality=95)


def shown(name):
    """The size of a picture as a viewer shows it, and which half of it is bright."""
    with Image.open(name) as image:
        grey = np.asarray(ImageOps.exif_transpose(image).convert("L")).astype(float)
    height, width = grey.shape
    parts = {"top": grey[: height // 2], "bottom": grey[height // 2 :]}
    parts |= {"left": grey[:, : width // 2], "right": grey[:, width // 2 :]}
    return f"{width}x{height}, bright {max(parts, key=lambda part: parts[part].mean())}"


ways = {
    "image.save(heic)": lambda image, name: image.save(name),
    "image.save(heic, exif=bytes)": lambda image, name: image.save(name, exif=image.info["exif"]),
    "image.save(heic, exif=image.getexif())": lambda image, name: image.save(name, exif=image.getexif()),
    "from_pillow(image).save(heic)": lambda image, name: pillow_heif.from_pillow(image).save(name),
}
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("pillow-heif", "pillow", "numpy")))
print("behaviour: the orientation of a JPEG is kept, dropped or applied twice, by the way it is saved to HEIC.")
print("expected: the same upright picture each time, as with Pillow's own WebP.")
wanted = shown("photo.jpg")
print("seen, for a photo that a viewer shows as", wanted)
seen = {}
for title, save in ways.items():
    with Image.open("photo.jpg") as image:
        save(image, "copy.heic")
    seen[title] = shown("copy.heic")
    print(f"  {title}: {seen[title]}")
with Image.open("photo.jpg") as image:
    image.save("copy.webp", exif=image.getexif())
print("  image.save(webp, exif=image.getexif()):", shown("copy.webp"))

right, by_bytes, by_object, from_pillow = seen.values()
assert right == by_bytes == wanted == shown("copy.webp") == "32x48, bright top"
assert by_object == "48x32, bright left"  # not turned
assert from_pillow == "48x32, bright right"  # turned twice
EOF
