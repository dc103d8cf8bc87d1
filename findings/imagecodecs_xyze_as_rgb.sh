#!/usr/bin/env bash
# Radiance pictures come as RGB (FORMAT=32-bit_rle_rgbe) or as CIE XYZ (FORMAT=32-bit_rle_xyze).
# imagecodecs returns XYZ values just like RGB ones, and nothing that it returns tells them apart.
# Bites who mixes pictures of several sources: the colours are wrong, and no error says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check imagecodecs==2026.3.6 pyradiance==1.3.1 numpy==2.4.6
venv/bin/python - <<'EOF'
import subprocess
from importlib.metadata import version
from pathlib import Path

import imagecodecs
import numpy as np
import pyradiance

# An orange, once as RGB and once turned into XYZ by Radiance's own tool.
width, height = 16, 4
start = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
Path("rgb.hdr").write_bytes(start.encode() + bytes([200, 40, 20, 132]) * (width * height))
tool = Path(pyradiance.__file__).parent / "bin" / "ra_xyze"
subprocess.run([tool, "rgb.hdr", "xyz.hdr"], check=True)
assert b"FORMAT=32-bit_rle_xyze" in Path("xyz.hdr").read_bytes()

rgb = imagecodecs.rgbe_decode(Path("rgb.hdr").read_bytes())
xyz = imagecodecs.rgbe_decode(Path("xyz.hdr").read_bytes())
subprocess.run([tool, "-r", "xyz.hdr", "back.hdr"], check=True)
back = imagecodecs.rgbe_decode(Path("back.hdr").read_bytes())

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imagecodecs", "pyradiance", "numpy")))
print("behaviour: rgbe_decode (and imread) give the X, Y and Z of a 32-bit_rle_xyze picture as if they were R, G and B.")
print("expected: RGB values, or an error that names the format (OpenCV 5.0.0 and OpenImageIO 3.2.2 refuse it).")
print("seen, at the first pixel of the same orange picture:")
print("  as RGB:", rgb[0, 0].tolist())
print("  as XYZ:", xyz[0, 0].tolist(), xyz.dtype, xyz.shape)
print("  XYZ turned back by ra_xyze -r:", back[0, 0].tolist())

assert type(xyz) is type(rgb) and xyz.dtype == rgb.dtype and xyz.shape == rgb.shape
assert np.array_equal(imagecodecs.imread("xyz.hdr"), xyz)
assert np.allclose(back[0, 0], rgb[0, 0], rtol=0.05, atol=0.1)
assert not np.allclose(xyz[0, 0], rgb[0, 0], rtol=0.2)
EOF
