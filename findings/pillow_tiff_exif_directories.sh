#!/usr/bin/env bash
# An Image.Exif() filled by get_ifd() keeps its EXIF and GPS directories when Pillow saves it to JPEG, PNG or WebP, but
# loses both in TIFF, without a warning; as bytes, exif.tobytes(), they survive. Bites who writes dates, exposures or
# places into TIFF files: make and model are there, so that it looks as if it had worked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow==13.0.0
venv/bin/python - <<'EOF'
from importlib.metadata import version

from PIL import Image

MAKE, EXIF, GPS, DATE, LATITUDE_REF = 0x010F, 0x8769, 0x8825, 0x9003, 1


def made():
    """An EXIF block made from nothing: one tag in each of three directories."""
    exif = Image.Exif()
    exif[MAKE] = "Acme"
    exif.get_ifd(EXIF)[DATE] = "2021:04:08 14:51:29"
    exif.get_ifd(GPS)[LATITUDE_REF] = "N"
    return exif


def found(name):
    with Image.open(name) as image:
        tags = image.getexif()
        return tags.get(MAKE), tags.get_ifd(EXIF).get(DATE), tags.get_ifd(GPS).get(LATITUDE_REF)


print("versions: pillow", version("pillow"))
print("behaviour: saving to TIFF drops the directories that get_ifd() has made in an Exif object, but not in its bytes.")
print("expected: the same EXIF in each format, or an error.")
print("seen, make, date and latitude's N of a new photo:")
seen = {}
photo = Image.new("RGB", (32, 24), "orange")
for ending in ("jpg", "png", "webp", "tif"):
    for form, exif in (("an object", made()), ("bytes", made().tobytes())):
        photo.save(f"photo.{ending}", exif=exif)
        seen[ending, form] = found(f"photo.{ending}")
        print(f"  .{ending}, exif as {form}: {seen[ending, form]}")

assert seen.pop(("tif", "an object")) == ("Acme", None, None)
assert set(seen.values()) == {("Acme", "2021:04:08 14:51:29", "N")}
EOF
