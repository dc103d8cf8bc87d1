#!/usr/bin/env bash
# imagecodecs.cms_transform (LittleCMS) converts 16-bit pictures between two gamma-encoded RGB spaces less exactly than
# 8-bit ones: saturated colours are wrong by up to 2 % of the range, and by 7 % at the border of the gamut.
# flags=NOOPTIMIZE mends it. Bites who keeps 16 bits for the sake of exactness: no test on greys shows it.
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

WHITE = (0.3127, 0.3290)  # of both spaces, so that nothing is adapted
P3, SRGB = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
GAMMA = 2.2


def profile(corners):
    primaries = [number for x, y in zip(corners[::2], corners[1::2]) for number in (x, y, 1.0)]
    return imagecodecs.cms_profile("rgb", whitepoint=[*WHITE, 1.0], primaries=primaries, gamma=GAMMA)


def to_xyz(corners):
    columns = np.array([[x, y, 1 - x - y] for x, y in zip(corners[::2], corners[1::2])]).T
    white = np.array([WHITE[0], WHITE[1], 1 - sum(WHITE)]) / WHITE[1]
    return columns * np.linalg.solve(columns, white)


pixels = np.random.default_rng(0).integers(0, 65536, (512, 512, 3)).astype(np.uint16)
matrix = np.linalg.inv(to_xyz(SRGB)) @ to_xyz(P3)


def error(picture, **options):
    """The greatest error of each pixel in Display P3's primaries to sRGB's, of a range of 1."""
    most = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1
    light = (picture / most) ** GAMMA @ matrix.T
    wanted = light.clip(0, 1) ** (1 / GAMMA)
    found = imagecodecs.cms_transform(
        picture, profile(P3), profile(SRGB), colorspace="rgb", outcolorspace="rgb", intent=1, **options
    )
    inside = ((light > 0.02) & (light < 0.98)).all(axis=2)
    off = np.abs(found.astype(np.float64) / most - wanted).max(axis=2)
    return off.max(), off[inside].max()


exact = {"flags": imagecodecs.CMS.FLAGS.NOOPTIMIZE}
grey = np.repeat(pixels[..., :1], 3, axis=2)
seen = {
    "8 bits": error((pixels >> 8).astype(np.uint8)),
    "16 bits": error(pixels),
    "16 bits, NOOPTIMIZE": error(pixels, **exact),
    "16 bits, greys": error(grey),
}
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imagecodecs", "numpy")), imagecodecs.cms_version())
print("behaviour: cms_transform is less exact for uint16 than for uint8, unless its flags forbid to optimise.")
print("expected: errors near the step of the numbers: 0.004 for 8 bits, 0.00002 for 16.")
print("seen, greatest error by the formulas of the two spaces, of 1; and of colours well inside sRGB:")
for title, (whole, inside) in seen.items():
    print(f"  {title}: {whole:.5f}, {inside:.5f}")
assert seen["8 bits"][1] < 0.004
assert seen["16 bits"][1] > 4 * seen["8 bits"][1] and seen["16 bits"][0] > 4 * seen["8 bits"][0]
assert seen["16 bits, NOOPTIMIZE"][1] < 0.001
assert seen["16 bits, greys"][0] < 0.0001
EOF
