"""Pairs with clipped highlights of which the RAW keeps every value: dim RAWs, developed too brightly.

A camera's own photo and RAW clip nearly the same highlights, so such pairs say little of how well highlights are
restored. A RAW whose brightest value is below white, developed two to four stops too brightly, clips in the photo
alone.
"""

from __future__ import annotations

import math

import torch

from revisp.camera.isp import apply_gains
from revisp.evaluation.blind_pairs import BlindPair
from revisp.io.converters import Style, develop_raw
from revisp.io.raw.rawimage import RawImage
from revisp.metrics.blind import CLIPPED, bin_mosaic, bin_picture

__all__ = ["CLIPPED_SHARE", "PUSH_STOPS", "pushed_pair"]

PUSH_STOPS = (2.0, 4.0)
"""Fewest and most stops of the push."""

CLIPPED_SHARE = (0.1, 0.5)
"""Least and largest share of the pixels that the push clips in some channel."""

INTENDED_SHARE = 0.25
"""Share of clipped pixels that is aimed at."""


def pushed_pair(raw: RawImage, name: str, *, converter: str = "libraw") -> BlindPair | None:
    """Develop a RAW too brightly, and keep its light as the truth.

    Args:
        raw: what `revisp.io.read_raw` returns.
        name: what to call the pair.
        converter: one of `revisp.io.CONVERTERS`.

    Returns:
        The pair, its photo of 8 bits; None where the push that is tried does not clip 10 to 50 % of the pixels.

    Raises:
        ConfigError: the converter is unknown or not installed.
        ImageError: it fails.

    Example:
        >>> import numpy as np
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import PhotoMetadata, RawImage
        >>> ramp = np.linspace(0, 0.1, 96) * np.ones((64, 1))  # a dim photo: nothing clips in its RAW
        >>> raw = RawImage(SIMULATED.profile.quantise(ramp), SIMULATED.profile, PhotoMetadata(), orientation=1)
        >>> pair = pushed_pair(raw, "ramp")
        >>> pair.photo.shape, bool(pair.saturated.any()), bool((pair.photo == 1).any())
        (torch.Size([3, 64, 96]), False, True)
    """
    upright = raw.upright()
    profile = upright.profile
    height, width = (side // 2 * 2 for side in upright.mosaic.shape)
    bayer = torch.from_numpy(upright.normalised()[None, :height, :width])
    raw_rgb = bin_mosaic(bayer, profile.cfa)
    # As converters do: the smallest gain is 1, so that what the sensor clips is clipped in every channel.
    balanced = apply_gains(raw_rgb, [gain / min(profile.gains) for gain in profile.gains])
    brightest = balanced.amax(0).flatten()
    level = brightest.kthvalue(round((1 - INTENDED_SHARE) * (brightest.numel() - 1)) + 1).values.item()
    stops = min(max(-math.log2(max(level, 2 ** -PUSH_STOPS[1])), PUSH_STOPS[0]), PUSH_STOPS[1])
    photo = develop_raw(raw, converter, Style(exposure=stops))[:, :height, :width]
    photo = (photo * 255).round() / 255
    share = (bin_picture(photo).amax(0) >= CLIPPED).double().mean().item()
    if not CLIPPED_SHARE[0] <= share <= CLIPPED_SHARE[1]:
        return None
    saturated = raw_rgb.amax(0) >= CLIPPED
    return BlindPair(name, profile.name, name, photo, raw_rgb, profile, saturated, torch.ones_like(saturated))
