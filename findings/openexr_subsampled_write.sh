#!/usr/bin/env bash
# OpenEXR's Python File reads subsampled channels (Y with RY and BY at half size) but refuses to write what it read;
# given channels of full size with a sampling of 2, it writes without a word, but not every second sample.
# Bites who edits or makes luminance/chroma files in Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check OpenEXR==3.5.3 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import numpy as np
import OpenEXR

size = 8
header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
luminance = np.full((size, size), 0.5, np.float16)
rows, columns = np.mgrid[:size, :size]
chroma = (16 * rows + columns).astype(np.float16)


def write(name, chroma):
    channels = {"Y": OpenEXR.Channel(luminance, 1, 1)}
    channels |= {key: OpenEXR.Channel(chroma, 2, 2) for key in ("RY", "BY")}
    OpenEXR.File(header, channels).write(name)


write("full.exr", chroma)
with OpenEXR.File("full.exr") as file:
    shapes = {key: channel.pixels.shape for key, channel in file.channels().items()}
    got = file.channels()["RY"].pixels.copy()
    try:
        file.write("again.exr")
        again = "written"
    except ValueError as error:
        again = f"ValueError: {error}"
try:
    write("half.exr", np.ascontiguousarray(chroma[::2, ::2]))
    half = "written"
except ValueError as error:
    half = f"ValueError: {error}"

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("OpenEXR", "numpy")))
print("behaviour: channels with xSampling=ySampling=2 can be written only at full size, and then the first quarter of")
print("  the array in memory is stored, row after row, instead of the sample at every second row and column.")
print("expected: half-size channels, as File reads them, are written; full-size ones are subsampled or refused.")
print("seen:")
print("  shapes as read:", shapes)
print("  written again as read:", again)
print("  half-size RY and BY:", half)
print("  full-size RY, every second sample:", chroma[::2, ::2].astype(int).tolist())
print("  full-size RY, as it comes back:   ", got.astype(int).tolist())

assert shapes == {"Y": (size, size), "RY": (size // 2, size // 2), "BY": (size // 2, size // 2)}
assert again.startswith("ValueError") and half.startswith("ValueError")
assert np.array_equal(got, chroma.reshape(-1)[: size * size // 4].reshape(size // 2, size // 2))
assert not np.array_equal(got, chroma[::2, ::2])
EOF
