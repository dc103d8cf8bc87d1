#!/usr/bin/env bash
# imageio and scikit-image read a 16-bit RGB PNG as 8 bits, without a warning, and refuse to write one; 16-bit grey PNGs
# keep their bits. Bites who exports 16-bit pictures from a RAW converter and loads them with skimage.io.imread.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imageio==2.38.1 scikit-image==0.26.0 pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python -W error - <<'EOF'
from importlib.metadata import version

import imagecodecs
import imageio.v3 as imageio
import numpy as np
import skimage.io

rgb = np.random.default_rng(0).integers(0, 65536, (32, 48, 3)).astype(np.uint16)
pictures = {"grey": np.ascontiguousarray(rgb[..., 0]), "rgb": rgb}
for name, pixels in pictures.items():
    with open(f"{name}.png", "wb") as file:
        file.write(imagecodecs.png_encode(pixels))

names = ("imageio", "scikit-image", "pillow", "imagecodecs", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names))
print("behaviour: imread returns the upper eight bits of a 16-bit RGB PNG; imwrite raises for uint16 RGB.")
print("expected: uint16, as for grey PNGs, or a warning.")
print("seen:")
kinds = {}
for name, pixels in pictures.items():
    for title, read in (("imageio", imageio.imread), ("skimage", skimage.io.imread), ("imagecodecs", imagecodecs.imread)):
        found = np.asarray(read(f"{name}.png"))
        kinds[name, title] = found.dtype.name
        print(f"  {title} of 16-bit {name}: {found.dtype}, exact: {np.array_equal(found, pixels)}")
try:
    imageio.imwrite("written.png", rgb)
except TypeError as error:
    print("  imageio.imwrite of uint16 RGB: TypeError:", error)
else:
    raise SystemExit("imageio writes 16-bit RGB now")
assert kinds["rgb", "imageio"] == kinds["rgb", "skimage"] == "uint8"
assert {kind for key, kind in kinds.items() if key not in (("rgb", "imageio"), ("rgb", "skimage"))} == {"uint16"}
EOF
