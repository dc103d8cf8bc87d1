#!/usr/bin/env bash
# A HEIC may state its colours in the HEVC bitstream alone: the box colr is optional. pillow-heif then decodes by the
# matrix and range of the bitstream, but tells nothing of its primaries and its curve.
# Bites who converts pictures by info["nclx_profile"]: BT.2020 with PQ is taken for sRGB, though the pixels are the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import io
from importlib.metadata import version

import numpy as np
import pillow_heif
from PIL import Image

# 9: primaries and matrix of BT.2020, 16: the curve PQ (ITU-T H.273); narrow range.
wanted = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range_flag": 0}
picture = Image.fromarray(np.tile(np.array([230, 120, 60], np.uint8), (64, 64, 1)))
stored = io.BytesIO()
pillow_heif.from_pillow(picture).save(stored, quality=-1, chroma=444, **wanted)
data = stored.getvalue()
assert data.count(b"colr") == 1
without = data.replace(b"colr", b"free")  # a box to be passed over (ISO/IEC 14496-12, 8.1.2)


def seen(content):
    """The numbers that are told, and the pixels."""
    opened = pillow_heif.open_heif(io.BytesIO(content))
    told = opened.info.get("nclx_profile")
    return told and {name: told[name] for name in wanted}, np.array(opened)


first, second = seen(data), seen(without)
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("pillow-heif", "pillow", "numpy")))
print("libheif", pillow_heif.libheif_version())
print("behaviour: colours that only the HEVC bitstream states are applied (matrix, range) and not told (PQ, BT.2020).")
print("expected: info['nclx_profile'] with the numbers of the bitstream, which the decoder has used.")
print("seen:")
print("  with the box colr:", first[0])
print("  without it:       ", second[0])
print("  the same pixels:  ", np.array_equal(first[1], second[1]), second[1][8, 8].tolist())

assert first[0] == wanted
assert second[0] is None
assert np.array_equal(first[1], second[1])
assert np.abs(second[1][8, 8].astype(int) - [230, 120, 60]).max() <= 3  # so the matrix was that of the bitstream
EOF
