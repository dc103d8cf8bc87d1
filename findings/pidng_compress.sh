#!/usr/bin/env bash
# PiDNG, the usual way from a Raspberry Pi's sensor to DNG, cannot compress on Python 3.10 or later: compress=True raises
# SystemError in its C code, and the wheel installs there without a warning. 14 bits a sample fail too, without
# compression. Bites who follows its readme: 10, 12 and 16 bits without compression work.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pidng==4.0.9 rawpy==0.28.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import platform
from importlib.metadata import version

import numpy as np
import rawpy
from pidng.core import RAW2DNG, DNGTags, Tag
from pidng.defs import CalibrationIlluminant, CFAPattern, DNGVersion, PhotometricInterpretation

height, width = 48, 64
unit = [[1, 1], [0, 1], [0, 1], [0, 1], [1, 1], [0, 1], [0, 1], [0, 1], [1, 1]]


def outcome(bits, compress):
    mosaic = np.random.default_rng(0).integers(0, 2**bits, (height, width)).astype(np.uint16)
    tags = DNGTags()
    for tag, value in {
        Tag.ImageWidth: width,
        Tag.ImageLength: height,
        Tag.TileWidth: width,
        Tag.TileLength: height,
        Tag.PhotometricInterpretation: PhotometricInterpretation.Color_Filter_Array,
        Tag.SamplesPerPixel: 1,
        Tag.BitsPerSample: bits,
        Tag.CFARepeatPatternDim: [2, 2],
        Tag.CFAPattern: CFAPattern.RGGB,
        Tag.WhiteLevel: 2**bits - 1,
        Tag.ColorMatrix1: unit,
        Tag.CalibrationIlluminant1: CalibrationIlluminant.D65,
        Tag.AsShotNeutral: [[1, 1], [1, 1], [1, 1]],
        Tag.Make: "Made",
        Tag.Model: "By hand",
        Tag.DNGVersion: DNGVersion.V1_4,
        Tag.DNGBackwardVersion: DNGVersion.V1_2,
    }.items():
        tags.set(tag, value)
    converter = RAW2DNG()
    converter.options(tags, path="", compress=compress)
    try:
        converter.convert(mosaic, filename="picture")
    except (SystemError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    with rawpy.imread("picture.dng") as raw:
        return "read back exactly" if np.array_equal(raw.raw_image_visible, mosaic) else "wrong"


names = ("pidng", "rawpy", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names), "Python", platform.python_version())
print("behaviour: compress=True, and 14 bits, raise errors of the interpreter and of numpy.")
print("expected: lossless JPEG, and 14 bits, as its readme says, or an error that names what is not supported.")
print("seen:")
seen = {}
for bits in (10, 12, 14, 16):
    for compress in (False, True):
        seen[bits, compress] = outcome(bits, compress)
        print(f"  {bits} bits, compress={compress}: {seen[bits, compress]}")
assert all("PY_SSIZE_T_CLEAN" in seen[bits, True] for bits in (10, 12, 16))
assert all(seen[bits, False] == "read back exactly" for bits in (10, 12, 16))
assert seen[14, False].startswith("ValueError")
EOF
