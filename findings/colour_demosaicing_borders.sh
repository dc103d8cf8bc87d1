#!/usr/bin/env bash
# colour-demosaicing's bilinear and Malvar functions mix the colours along the border of a picture: a mosaic of one even
# colour does not come back even. They repeat the last row and column, which shifts the Bayer phase there; mirroring
# would keep it. Bites who demosaics tiles, or scores on whole small pictures: seams, and a lower PSNR.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check colour-demosaicing==0.2.7 colour-science==0.4.7 scipy==1.17.1 numpy==2.4.6
venv/bin/python -W ignore - <<'EOF'
from importlib.metadata import version

import colour_demosaicing as cd
import numpy as np
from scipy.ndimage import convolve

colour = np.array([0.2, 0.5, 0.8])
height, width = 12, 14
picture = np.broadcast_to(colour, (height, width, 3))
methods = {
    "bilinear": cd.demosaicing_CFA_Bayer_bilinear,
    "Malvar 2004": cd.demosaicing_CFA_Bayer_Malvar2004,
    "Menon 2007": cd.demosaicing_CFA_Bayer_Menon2007,
}


def mirrored(mosaic, pattern):
    """The same bilinear kernels, with a border that mirrors without repeating the last row and column."""
    masks = cd.masks_CFA_Bayer(mosaic.shape, pattern)
    green = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    other = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    return np.stack([convolve(mosaic * m, k, mode="mirror") for m, k in zip(masks, (other, green, other))], axis=-1)


names = ("colour-demosaicing", "colour-science", "scipy", "numpy")
print("versions:", ", ".join(f"{p} {version(p)}" for p in names))
print("behaviour: bilinear and Malvar are wrong at the border of a picture of one colour.")
print("expected: that colour everywhere, as Menon of the same package gives.")
print(f"seen, greatest error for a picture of {colour.tolist()}, at the border and 3 pixels inside:")
seen = {}
for pattern in ("RGGB", "BGGR", "GRBG", "GBRG"):
    mosaic = cd.mosaicing_CFA_Bayer(picture, pattern)
    for title, method in methods.items():
        error = np.abs(method(mosaic, pattern) - picture)
        seen[pattern, title] = error.max(), error[3:-3, 3:-3].max()
        print("  {} {}: {:.3f}, {:.3f}".format(pattern, title, *seen[pattern, title]))
    assert np.allclose(mirrored(mosaic, pattern), picture)
print("  bilinear with mirrored borders: 0.000, 0.000")
for (pattern, title), (border, inside) in seen.items():
    assert inside < 1e-9
    assert (border > 0.3) == (title != "Menon 2007")
EOF
