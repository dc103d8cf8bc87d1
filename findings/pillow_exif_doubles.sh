#!/usr/bin/env bash
# Pillow writes a float in the EXIF directory (ExposureTime, FNumber, FocalLength) as a double, where EXIF has only
# rationals; in the first directory and in GPS it writes those. Bites who sets exposures with get_ifd(0x8769): Pillow
# reads them back, while readers that keep to EXIF find no exposure. IFDRational(1, 250) is written right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow==13.0.0 ExifRead==3.5.1
venv/bin/python - <<'EOF'
from importlib.metadata import version

import exifread
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

EXIF, GPS = 0x8769, 0x8825


def kinds(exposure, f_number):
    """The kind of numbers that a JPEG holds, by ExifRead."""
    exif = Image.Exif()
    exif[0x011A] = 72.0  # XResolution
    exif.get_ifd(EXIF).update({0x829A: exposure, 0x829D: f_number})
    exif.get_ifd(GPS)[2] = (48.0, 8.0, 30.5)
    Image.new("RGB", (32, 24)).save("photo.jpg", exif=exif)
    with open("photo.jpg", "rb") as file:
        tags = exifread.process_file(file)
    names = ("Image XResolution", "GPS GPSLatitude", "EXIF ExposureTime", "EXIF FNumber")
    return {name: tags[name].field_type.name.lower() for name in names}


print("versions: pillow", version("pillow"), "ExifRead", version("ExifRead"))
print("behaviour: floats become rationals in the first directory and in GPS, but doubles in the EXIF directory.")
print("expected: RATIONAL, the only kind that EXIF 3.0 (CIPA DC-008) has for ExposureTime and FNumber.")
print("seen:")
floats, rationals = kinds(1 / 250, 2.8), kinds(IFDRational(1, 250), IFDRational(28, 10))
print("  of floats:", floats)
print("  of IFDRational:", rationals)
assert "ratio" in floats["Image XResolution"] and "ratio" in floats["GPS GPSLatitude"]
assert floats["EXIF ExposureTime"] == floats["EXIF FNumber"] == "float_64"
assert all("ratio" in kind for kind in rationals.values())
EOF
