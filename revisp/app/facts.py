"""What the page tells about a photo in words: what its file declares, and what the model assumes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from revisp.camera.profile import CameraProfile, camera_name
from revisp.convert.engine import TorchEngine
from revisp.inference.predict import estimate_of

if TYPE_CHECKING:
    from revisp.camera.brightness import Brightness
    from revisp.convert.engine import Engine
    from revisp.io.photo import Photo

__all__ = ["Facts", "assumed", "declared", "sensor_facts"]

Facts = list[tuple[str, str]]
"""Names and what is known, in the order in which they are shown."""

MID_GREY = 0.18


def declared(photo: Photo) -> Facts:
    """Return what a photo's file says about itself.

    Example:
        >>> from revisp.io.exif import PhotoMetadata
        >>> from revisp.io.photo import Photo
        >>> declared(Photo(torch.zeros(3, 32, 48), PhotoMetadata(make="Google", model="Pixel 6", iso=100)))[:2]
        [('Size', '48 × 32 pixels'), ('Camera', 'Google Pixel 6')]
    """
    height, width = photo.srgb.shape[-2:]
    taken = photo.metadata
    size = f"{width} × {height} pixels" + (f", {width * height / 1e6:.1f} MP" if width * height > 1e5 else "")
    settings = [
        f"{_short(taken.exposure_time)} s" if taken.exposure_time else "",
        f"f/{float(taken.f_number):.3g}" if taken.f_number else "",
        f"ISO {taken.iso}" if taken.iso else "",
        f"{float(taken.focal_length):.3g} mm" if taken.focal_length else "",
    ]
    gain = photo.gain
    return [
        ("Size", size),
        ("Camera", camera_name(taken.make or "", taken.model or "") or "not stated"),
        *([("Lens", taken.lens)] if taken.lens else []),
        ("Settings", ", ".join(filter(None, settings)) or "not stated"),
        ("Colours", photo.colours),
        ("Gain map", f"{gain.origin}, up to {gain.headroom:.1f} EV above white" if gain else "none"),
    ]


def assumed(engine: Engine, photo: Photo, mask: Tensor, brightness: Brightness, note: str) -> Facts:
    """Return what a model takes for granted about a photo, since the photo does not tell it.

    Args:
        engine: what predicted the RAW.
        photo: the photo.
        mask: its overexposure mask ``[1, H, W]``.
        brightness: how a DNG of it is brightened.
        note: what the gain map has changed, as `revisp.convert.formats.predict_raw` says it.
    """
    found: Facts = []
    if isinstance(engine, TorchEngine):
        found.append(("Model", engine.name))
        with torch.inference_mode():
            estimate = estimate_of(engine.model, photo.srgb[None], engine.headroom, engine.curve)
        if estimate is not None:
            white = math.log2(float(estimate.curve[0, -1]) / MID_GREY)
            found.append(("Tone curve", f"the photo's white is {white:.1f} EV above mid grey"))
            headroom, spread = float(estimate.headroom[0]), float(estimate.spread[0])
            if engine.headroom is not None:
                found.append(("Clipped light", f"{headroom:.1f} EV above that white, as told"))
            elif headroom > 0 or spread > 0:
                found.append(("Clipped light", f"{headroom:.1f} ± {spread:.1f} EV above that white, a guess"))
    found.append(("Overexposed", f"{100 * float(mask.mean()):.3g} % of the pixels"))
    if note:
        found.append(("Gain map", note))
    if engine.profile is not None:
        found += sensor_facts(engine.profile)
        stored = f"{brightness.gain:+.1f} EV; {brightness.rest:+.1f} EV remain to the photo's brightness"
        found.append(("Stored brighter by", stored))
    else:
        found.append(("Sensor", f"not known to the model; {engine.cfa.value}"))
    return found


def sensor_facts(profile: CameraProfile) -> Facts:
    """Return the facts about the camera of a RAW."""
    black = "/".join(f"{level:g}" for level in dict.fromkeys(profile.black_level))
    return [
        ("Sensor", profile.name),
        ("Mosaic", f"{profile.cfa.value}, {profile.bits} bits, black {black}, white {profile.white_level:g}"),
        ("White balance", "gains " + ", ".join(f"{gain:.2f}" for gain in profile.gains)),
    ]


def _short(seconds: Fraction) -> str:
    return f"1/{round(1 / seconds)}" if 0 < seconds < Fraction(1, 3) else f"{float(seconds):.3g}"
