#!/usr/bin/env bash
# Pillow replaces letters beyond ASCII in EXIF texts by question marks when it saves, without a warning. A photo whose
# caption is UTF-8, as most programs write it, loses them by opening and saving alone, with exif=image.getexif(). Bites
# who resizes or converts photos with their EXIF: captions, artists and names of places are destroyed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow==13.0.0 piexif==1.1.3 ExifRead==3.5.1
venv/bin/python - <<'EOF'
from importlib.metadata import version

import exifread
import piexif
from PIL import Image

DESCRIPTION = 0x010E
text = "Café 東京"


def by_exifread(name):
    with open(name, "rb") as file:
        return str(exifread.process_file(file)["Image ImageDescription"])


photo = Image.new("RGB", (32, 24), "orange")
made = Image.Exif()
made[DESCRIPTION] = text
photo.save("made.jpg", exif=made)
photo.save("first.jpg", exif=piexif.dump({"0th": {DESCRIPTION: text.encode("utf-8")}}))
with Image.open("first.jpg") as image:
    image.save("second.jpg", exif=image.getexif())
    image.save("bytes.jpg", exif=image.info["exif"])

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("pillow", "piexif", "ExifRead")))
print("behaviour: EXIF texts are saved as ASCII, with ? for each other character, or for each of its bytes.")
print("expected: the bytes that were read, UTF-8 for a str, or an error.")
print("seen, by ExifRead, of the description", text)
seen = {name: by_exifread(name) for name in ("made.jpg", "first.jpg", "second.jpg", "bytes.jpg")}
for title, name in {
    "written by Pillow": "made.jpg",
    "written by piexif as UTF-8": "first.jpg",
    "that opened and saved with exif=image.getexif()": "second.jpg",
    'that opened and saved with exif=image.info["exif"]': "bytes.jpg",
}.items():
    print(f"  {title}: {seen[name]}")
assert seen["first.jpg"] == seen["bytes.jpg"] == text
assert seen["made.jpg"] == "Caf? ??"
assert seen["second.jpg"] == "Caf?? " + "?" * 6
EOF
