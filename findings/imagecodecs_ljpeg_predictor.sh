#!/usr/bin/env bash
# imagecodecs.ljpeg_encode always writes predictor 6 of lossless JPEG, without a choice; jpeg8_encode(lossless=True) of
# the same package writes predictor 1. Bites who packs raw photos into DNG: readers see
# predictor 1 nearly always, and RawSpeed (in darktable) takes no other. The Bayer mosaic below comes out larger.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import imagecodecs
import numpy as np


def predictor(coded):
    """The predictor in the start-of-scan segment of a lossless JPEG."""
    at = 2
    while coded[at + 1] != 0xDA:
        at += 2 + int.from_bytes(coded[at + 2 : at + 4], "big")
    components = coded[at + 4]
    return coded[at + 5 + 2 * components]


generator = np.random.default_rng(0)
rows, columns = np.mgrid[:256, :256]
even = 2000 + 800 * np.sin(columns / 40) + 500 * np.cos(rows / 30)
mosaic = even * np.array([[0.5, 1.0], [1.0, 0.6]])[rows % 2, columns % 2] + generator.normal(0, 10, even.shape)
pictures = {"even": np.full(even.shape, 7), "smooth": even, "mosaic": mosaic}

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imagecodecs", "numpy")))
print("behaviour: ljpeg_encode writes predictor 6 whatever the picture, and has no option for it.")
print("expected: predictor 1, the one that lossless JPEG in DNG nearly always has, or an option.")
print("seen:")
for title, picture in pictures.items():
    picture = np.round(picture).astype(np.uint16)
    fixed = imagecodecs.ljpeg_encode(picture, bitspersample=16)
    other = imagecodecs.jpeg8_encode(picture, bitspersample=16, lossless=True)
    third = imagecodecs.jpeg8_encode(picture, bitspersample=16, lossless=True, predictor=3)
    print(f"  {title}: ljpeg_encode predictor {predictor(fixed)}, {len(fixed)} bytes;", end=" ")
    print(f"jpeg8_encode(lossless=True) predictor {predictor(other)}, {len(other)} bytes;", end=" ")
    print(f"with predictor=3, {len(third)} bytes")
    assert np.array_equal(imagecodecs.ljpeg_decode(fixed), picture)
    assert predictor(fixed) == 6 and predictor(other) == 1 and predictor(third) == 3
assert len(fixed) > len(other) > len(third)
try:
    imagecodecs.ljpeg_encode(picture, predictor=1)
except TypeError as error:
    print(f"  ljpeg_encode(predictor=1): TypeError: {error}")
else:
    raise SystemExit("ljpeg_encode takes a predictor now")
EOF
