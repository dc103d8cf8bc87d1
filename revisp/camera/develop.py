"""Plain development of RAW for previews: white balance, colour matrix, sRGB curve."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from revisp.camera.highlights import HighlightMode, roll_off
from revisp.camera.isp import apply_ccm, apply_gains, linear_to_srgb
from revisp.camera.profile import CameraProfile
from revisp.checks import check_image

__all__ = ["develop", "viewing_exposure"]


def develop(
    raw_rgb: Tensor, profile: CameraProfile, *, exposure: float = 0.0, highlights: HighlightMode = "clip"
) -> Tensor:
    """Develop demosaiced RAW to sRGB.

    The steps: white balance by the profile's neutral, a clip at 1 that keeps highlights white, the colour matrix
    to linear sRGB, a clip, and the sRGB curve (IEC 61966-2-1). There is no tone curve and no denoising. dcraw and
    LibRaw do the same with the camera's white balance, no automatic brightness and sRGB output. Only LibRaw also
    brightens a picture that never reaches the white level (``adjust_maximum_thr``).

    Args:
        raw_rgb: camera RGB ``[..., 3, H, W]``, linear, black 0, white 1, not white-balanced.
        profile: the camera.
        exposure: stops to brighten by, before clipping.
        highlights: ``"clip"``, or one of the modes of `revisp.camera.highlights.roll_off`, which bends what the
            exposure lifts above white; the sensor's white becomes white.

    Returns:
        sRGB of the same shape, in [0, 1].

    Raises:
        ShapeError: not three channels, or not floating point.
    """
    check_image(raw_rgb, 3, "raw_rgb")
    # As in dcraw, the smallest gain is 1, so that a saturated sample stays saturated in every channel.
    early, late = (exposure, 0.0) if highlights == "clip" else (0.0, exposure)
    brighten = 2.0**early / min(profile.gains)
    balanced = apply_gains(raw_rgb, [gain * brighten for gain in profile.gains]).clamp(0, 1)
    light = apply_ccm(balanced, profile.camera_to_srgb * 2.0**late)
    return linear_to_srgb(roll_off(light, highlights, rolloff=max(late, 0.0)))


def viewing_exposure(raw_rgb: Tensor, profile: CameraProfile, *, limit: float = 4.0) -> float:
    """Return the exposure in stops that makes a picture bright enough to view.

    It brings the 98th percentile of the white-balanced RAW to 0.9. The brightest channel of a pixel counts. Pixels
    are sampled on a grid of about 512 columns.

    Args:
        raw_rgb: demosaiced RAW ``[..., 3, H, W]``, linear, black 0, white 1.
        profile: the camera.
        limit: greatest exposure in stops; a picture is never darkened.

    Example:
        >>> import torch
        >>> from revisp.camera.cameras import typical_profile
        >>> profile = typical_profile().replace(as_shot_neutral=(1, 1, 1))
        >>> round(viewing_exposure(torch.full((3, 8, 8), 0.225), profile), 6)
        2.0
    """
    gains = raw_rgb.new_tensor(profile.gains).view(3, 1, 1)
    step = max(1, raw_rgb.shape[-1] // 512)
    level = float(np.quantile((raw_rgb[..., ::step, ::step] * gains).amax(dim=-3).numpy(), 0.98))
    return min(max(math.log2(0.9 / max(level, 1e-3)), 0.0), limit)
