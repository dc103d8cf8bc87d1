#!/usr/bin/env bash
# imagecodecs.rgbe_encode raises WRITE_ERROR for a picture that run-length coding cannot shrink, such as a noisy one
# with a wide range; rle=False changes nothing. Bites who saves HDR photos or renderings with few samples: it works on
# smooth test pictures, and may fail on real ones.
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

generator = np.random.default_rng(0)
noisy = np.exp(generator.normal(0, 2, (256, 256, 3))).astype(np.float32)
smooth = np.linspace(1, 2, noisy.size, dtype=np.float32).reshape(noisy.shape)


def outcome(picture, **options):
    try:
        return len(imagecodecs.rgbe_encode(picture, **options))
    except imagecodecs.RgbeError as error:
        return f"RgbeError: {error}"


cases = {
    "smooth": outcome(smooth),
    "smooth, rle=False": outcome(smooth, rle=False),
    "noisy": outcome(noisy),
    "noisy, rle=False": outcome(noisy, rle=False),
    "noisy, out=400000": outcome(noisy, out=400000),
}
print("versions:", ", ".join(f"{p} {version(p)}" for p in ("imagecodecs", "numpy")))
print("behaviour: rgbe_encode fails where run lengths do not make the picture smaller, and rle=False still uses them.")
print("expected: a file for every picture of positive floats; without run lengths if rle=False.")
print(f"seen, for pictures of {noisy.size // 3 * 4} bytes without run lengths:")
for title, result in cases.items():
    print(f"  {title}: {result if isinstance(result, str) else f'{result} bytes'}")

assert "WRITE_ERROR" in str(cases["noisy"]) and "WRITE_ERROR" in str(cases["noisy, rle=False"])
assert cases["smooth"] == cases["smooth, rle=False"] < smooth.size // 3 * 4
assert cases["noisy, out=400000"] > noisy.size // 3 * 4
back = imagecodecs.rgbe_decode(bytes(imagecodecs.rgbe_encode(noisy, out=400000)))
assert (np.abs(back - noisy) <= noisy.max(axis=2, keepdims=True) / 64).all()
EOF
