#!/usr/bin/env bash
# Pillow opens a 16-bit grey PNG or TIFF with all its bits (mode I;16), but convert("L") and convert("RGB") clip the
# values at 255 where one expects the upper eight bits: nearly all of a picture becomes white. A 16-bit RGB PNG loses its
# lower bits on opening, without a warning. Bites who feeds 16-bit pictures to code that begins with convert("RGB").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'EOF'
import warnings
from importlib.metadata import version

import imagecodecs
import numpy as np
from PIL import Image

warnings.simplefilter("error")
grey = np.repeat(np.linspace(0, 65535, 64).round().astype(np.uint16)[None], 16, axis=0)
colour = np.dstack([grey, grey[:, ::-1], grey])
for name, pixels in (("grey.png", grey), ("colour.png", colour)):
    with open(name, "wb") as file:
        file.write(imagecodecs.png_encode(np.ascontiguousarray(pixels)))

with Image.open("grey.png") as image:
    mode, whole = image.mode, np.asarray(image)
    light, rgb = np.asarray(image.convert("L")), np.asarray(image.convert("RGB"))
with Image.open("colour.png") as image:
    colour_mode, opened = image.mode, np.asarray(image)
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("pillow", "imagecodecs", "numpy")))
print('behaviour: convert("L") and convert("RGB") of a 16-bit grey picture clip at 255.')
print("expected: the upper eight bits, as Pillow takes them of a 16-bit RGB PNG, or an error.")
print("seen, of an even ramp from black to white:")
print(f"  16-bit grey, mode {mode}, mean {whole.mean():.0f} of 65535")
print(f'  convert("L"): mean {light.mean():.1f} of 255, white {(light == 255).mean():.0%}')
print(f'  convert("RGB"): mean {rgb.mean():.1f} of 255, white {(rgb == 255).mean():.0%}')
print(f"  the same as 16-bit RGB, mode {colour_mode}, {opened.dtype}: mean {opened[..., 0].mean():.1f} of 255")
assert mode == "I;16" and np.array_equal(whole, grey)
assert (light == 255).mean() > 0.95 and np.array_equal(rgb[..., 0], light)
assert colour_mode == "RGB" and abs(opened[..., 0].mean() - 127.5) < 1
EOF
