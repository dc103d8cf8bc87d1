"""Measure the level of overexposed pixels with and without a gain map, on photographs of the simulated camera.

The map is ideal, that of the light which the sensor read; or rounded to 8 bits at a quarter of the width. A line
for each photograph, exposure and map has the mean error, its spread and the mean absolute error in EV. The page
``docs/how-to/own-photos.md`` quotes them. Usage: ``python benchmarks/gain_levels.py``.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage import data
from torch import Tensor
from torch.nn import functional as F

import revisp
from revisp.camera.isp import srgb_to_linear
from revisp.camera.simulate import SIMULATED, sensor_light, simulate
from revisp.inference.gain_level import levels_by_gain
from revisp.io import GainMap
from revisp.io.gain_fields import GainFields

BALANCE = torch.tensor(SIMULATED.profile.as_shot_neutral).view(3, 1, 1)
PHOTOGRAPHS, EXPOSURES = ("chelsea", "astronaut", "coffee", "rocket"), (1.0, 1.8)


def level(raw: Tensor) -> Tensor:
    """Return log2 of the mean of the balanced channels, ``[1, H, W]``."""
    return (raw / BALANCE).mean(dim=0, keepdim=True).clamp_min(1e-4).log2()


def gain_map(srgb: Tensor, raw: Tensor, *, quarter: bool) -> GainMap:
    """Return the map from a photo to the light that the sensor read."""
    light, shown = 4 * level(raw).exp2(), srgb_to_linear(srgb).mean(dim=0, keepdim=True)
    stops = ((light + 1 / 64) / (shown + 1 / 64)).log2()
    least, most = float(stops.min()), float(stops.max())
    values = (stops - least) / (most - least)
    if quarter:
        small = (values.shape[1] // 4, values.shape[2] // 4)
        values = (F.adaptive_avg_pool2d(values[None], small)[0] * 255).round() / 255
    numbers = [np.array([each], np.float32) for each in (least, most, 1, 1 / 64, 1 / 64)]
    return GainMap(values, GainFields(*numbers, headroom=most), (srgb.shape[1], srgb.shape[2]), "ideal")


def main() -> None:
    """Print a line for each photograph, exposure and map."""
    model = revisp.from_pretrained()
    for name in PHOTOGRAPHS:
        photo = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).float() / 255
        photo = photo[:, : photo.shape[1] // 2 * 2, : photo.shape[2] // 2 * 2]
        for exposure in EXPOSURES:
            shot = simulate(photo, SIMULATED, exposure=exposure, generator=torch.Generator().manual_seed(0))
            truth = sensor_light(photo, SIMULATED, exposure=exposure).clamp(0, 1)
            out = revisp.predict(model, shot.srgb)
            found = {"none": out}
            for kind, quarter in (("ideal", False), ("8 bits, a quarter", True)):
                chosen = gain_map(shot.srgb, truth, quarter=quarter)
                levelled = levels_by_gain(out, shot.srgb, chosen, SIMULATED.profile.as_shot_neutral)
                found[kind] = out if levelled is None else levelled.out
            inside = out.mask > 0.5
            for kind, each in found.items():
                error = (level(each.raw_rgb) - level(truth))[inside]
                print(
                    f"{name:10} {exposure:+.1f} EV, {inside.float().mean():6.2%} overexposed, map {kind:18} "
                    f"bias {error.mean():+.2f}  spread {error.std():.2f}  mean error {error.abs().mean():.2f} EV"
                )


if __name__ == "__main__":
    main()
