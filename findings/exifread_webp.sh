#!/usr/bin/env bash
# ExifRead finds no EXIF in WebP files that keep to the format: it skips six bytes, "Exif" and two zeros, which JPEG
# has before its EXIF and the WebP container does not. Bites who reads dates or orientations of WebP photos: no error,
# and an empty dictionary, as from a photo without EXIF.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ExifRead==3.5.1 pillow==13.0.0
venv/bin/python - <<'EOF'
import logging
from importlib.metadata import version

import exifread
from PIL import Image

logging.disable()
exif = Image.Exif()
exif[0x010F], exif[0x0112] = "Acme", 6  # Make, Orientation


def found(name):
    with open(name, "rb") as file:
        return {key: str(value) for key, value in exifread.process_file(file).items()}


photo = Image.new("RGB", (32, 24), "orange")
photo.save("photo.jpg", exif=exif)
photo.save("photo.webp", exif=exif)
data = open("photo.webp", "rb").read()
at = data.index(b"EXIF") + 8
# The same file with JPEG's six bytes, which the format does not have: its chunk and the file become larger.
chunk = b"Exif\0\0" + data[at : at + int.from_bytes(data[at - 4 : at], "little")]
body = data[8 : at - 4] + len(chunk).to_bytes(4, "little") + chunk + b"\0" * (len(chunk) % 2)
open("prefix.webp", "wb").write(b"RIFF" + len(body).to_bytes(4, "little") + body)

print("versions: ExifRead", version("ExifRead"), "pillow", version("pillow"))
print("behaviour: process_file returns nothing for a WebP whose EXIF chunk begins with the TIFF header.")
print("expected: the tags, as from a JPEG. developers.google.com/speed/webp/docs/riff_container has no prefix there.")
print("seen:")
print("  EXIF chunk of photo.webp begins with", data[at : at + 4])
seen = {name: found(name) for name in ("photo.jpg", "photo.webp", "prefix.webp")}
for name, tags in seen.items():
    print(f"  {name}: {tags}")
with Image.open("photo.webp") as image:
    print("  photo.webp by Pillow:", dict(image.getexif()))
    assert dict(image.getexif()) == {0x010F: "Acme", 0x0112: 6}
assert data[at : at + 2] in (b"MM", b"II")
assert seen["photo.webp"] == {}
assert seen["photo.jpg"]["Image Make"] == seen["prefix.webp"]["Image Make"] == "Acme"
EOF
