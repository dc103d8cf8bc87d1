"""The numbers by which the page develops a RAW, and the histograms that it draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from revisp.camera.cameras import camera_neutral
from revisp.camera.isp import srgb_to_linear
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, pack

__all__ = ["development", "light_histograms"]

TEMPERATURES = tuple(round(1e6 / mired) for mired in range(500, 82, -20))
"""Kelvin of the lights that white balance is offered for, in even steps of mired: 2000 K to 10000 K."""

LOWEST_EV, HIGHEST_EV, STEP_EV = -10.0, 6.0, 0.25
"""Range and step of the histograms, relative to the white of the photo."""

MOST_SAMPLES = 2**19
"""Pixels, about, that are counted; they lie on a grid."""


def development(profile: CameraProfile | None, exposure: float) -> dict[str, Any]:
    """Return what `revisp.camera.develop.develop` takes of a camera, as JSON values.

    Args:
        profile: the camera; None: colours are shown as they are.
        exposure: EV at which the RAW is as bright as the photo.

    Returns:
        ``exposure``; ``gains`` for R, G, B, green 1; ``matrix`` from balanced camera RGB to linear sRGB; and
        ``lights``: for some temperatures in kelvin the gains that make such a light neutral.

    Example:
        >>> from revisp.camera.cameras import known_profile
        >>> found = development(known_profile("Nikon D850"), 1.5)
        >>> found["exposure"], len(found["gains"]), found["lights"][0]["kelvin"]
        (1.5, 3, 2000)
    """
    if profile is None:
        return {"exposure": exposure, "gains": [1.0, 1.0, 1.0], "matrix": np.eye(3).tolist(), "lights": []}
    lights = []
    for kelvin in TEMPERATURES:
        red, green, blue = camera_neutral(profile.color_matrix, kelvin)
        if min(red, green, blue) > 0:  # else the matrix is none of a camera
            lights.append({"kelvin": kelvin, "gains": [green / red, 1.0, green / blue]})
    return {
        "exposure": exposure,
        "gains": list(profile.gains),
        "matrix": profile.camera_to_srgb.tolist(),
        "lights": lights,
    }


def light_histograms(raw: Tensor, cfa: CFA, srgb: Tensor, known: dict[str, Any]) -> dict[str, Any]:
    """Count the light of a photo and of its RAW, both in EV relative to the photo's white.

    The light of a pixel is that of its brightest channel: of linear sRGB, and of white-balanced camera RGB.

    Args:
        raw: mosaic ``[1, H, W]`` or demosaiced RAW ``[3, H, W]``, black 0, white 1.
        cfa: Bayer phase of a mosaic.
        srgb: the photo ``[3, H, W]``.
        known: from `development`.

    Returns:
        ``lowest`` and ``step`` in EV; shares of the pixels for each step of ``photo`` and ``raw``; ``white``, the
        EV of the sensor's white; ``above``, the share of the pixels of the RAW above the photo's white; and
        ``most``, the EV that no more than 0.01 % of them exceed.

    Example:
        >>> grey = torch.full((3, 32, 48), 0.5)
        >>> found = light_histograms(torch.full((1, 32, 48), 0.5), CFA.RGGB, grey, development(None, 1.0))
        >>> found["white"], found["above"], sum(found["raw"])
        (1.0, 0.0, 1.0)
    """
    height, width = (size // 2 * 2 for size in raw.shape[-2:])
    step = max(1, math.isqrt(height * width // 4 // MOST_SAMPLES))
    raw, srgb = raw[..., :height, :width], srgb[:, : height : 2 * step, : width : 2 * step]
    if raw.shape[0] == 3:
        planes = raw[:, :: 2 * step, :: 2 * step]
    else:
        red, green_red, green_blue, blue = pack(raw, cfa)[:, ::step, ::step]
        planes = torch.stack((red, (green_red + green_blue) / 2, blue))
    gains = torch.tensor(known["gains"]).view(3, 1, 1)
    balanced = (planes * gains / gains.min()).clamp(0, 1).amax(dim=0)
    stops = balanced.clamp_min(2.0**-20).log2() + known["exposure"]
    photo = srgb_to_linear(srgb).amax(dim=0).clamp_min(2.0**-20).log2()
    return {
        "lowest": LOWEST_EV,
        "step": STEP_EV,
        "photo": _shares(photo),
        "raw": _shares(stops),
        "white": float(known["exposure"]),
        "above": float((stops > 0.05).float().mean()),
        "most": float(np.quantile(stops.numpy(), 0.9999)),
    }


def _shares(stops: Tensor) -> list[float]:
    bins = round((HIGHEST_EV - LOWEST_EV) / STEP_EV)
    steps = (stops - LOWEST_EV) / STEP_EV - 1e-3  # white itself belongs to the step below it
    places = steps.floor().clamp(0, bins - 1).long().flatten()
    counts: list[float] = (torch.bincount(places, minlength=bins) / places.numel()).tolist()
    return counts
