#!/usr/bin/env bash
# scikit-image's peak_signal_noise_ratio takes a range of 1 for float pictures, but of 2 if the true one has a single
# negative value: PSNR jumps by 6.02 dB, without a warning. Bites who scores RAW or denoised pictures without data_range:
# where black was subtracted, noise makes some pictures slightly negative, and only those score 6 dB better.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6
venv/bin/python -W error - <<'EOF'
from importlib.metadata import version

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

generator = np.random.default_rng(0)
true = generator.uniform(0.0, 1.0, (64, 64))
test = true + generator.normal(0, 0.02, true.shape)
pictures = {"least value 0": true - true.min()}
pictures["one pixel of -0.0001"] = pictures["least value 0"].copy()
pictures["one pixel of -0.0001"][0, 0] = -0.0001
error = test - true

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("scikit-image", "numpy")))
print("behaviour: without data_range, the range of a float picture depends on the sign of its least value.")
print("expected: the same PSNR for the same errors, or an error that asks for data_range, as structural_similarity has.")
print("seen, for the same errors:")
seen = {}
for title, picture in pictures.items():
    seen[title] = peak_signal_noise_ratio(picture, picture + error)
    stated = peak_signal_noise_ratio(picture, picture + error, data_range=1)
    print(f"  {title}: {seen[title]:.2f} dB; with data_range=1: {stated:.2f} dB")
    assert abs(stated - -10 * np.log10((error**2).mean())) < 1e-6
without, negative = seen.values()
assert abs(negative - without - 20 * np.log10(2)) < 1e-6
EOF
