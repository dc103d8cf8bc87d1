"""The level of overexposed pixels by the photo's gain map, for networks that do not see it.

Where a photo is clipped, its gain map says how bright its HDR rendition is. That is a rendering, not the light of
the scene. So levels are calibrated: outside the mask, where the networks see unclipped values, the predicted RAW
is compared with the HDR rendition. Inside, the map gives the level, and the networks the texture. Networks that
see the map (`pipeline.gain_channel`) have learnt all this.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.io.photo_gain import GainMap
from revisp.pipeline import Reconstruction
from revisp.pipeline.least_level import least_level

__all__ = ["GainLevel", "level_of_gain", "levels_by_gain"]

_SAMPLES = 1 << 20
"""Most pixels that the calibration looks at."""

_CALIBRATED_EV = 4.0
"""How far below the brightest unclipped light the calibration reaches: shadows follow other curves."""

_UNCLIPPED, _NEAR_WHITE = 0.9, 0.8
"""sRGB values between which the brightest channel is near white but not clipped, whatever JPEG has done to it."""

_LEAST_PIXELS = 64
_LINEAR_EV = 0.75
"""Greatest distance between the quartiles of the pixels if HDR rendition and RAW are linear to each other."""

_MOST_SPREAD_EV = 1.5
"""Greatest distance between the quartiles near white; beyond it map and photo do not belong together."""

_MOST_TEXTURE = 2.0
_SHARE = 8
"""How much smaller the picture is of which the mean level around a pixel is taken."""

_ROWS = 256
_BLACK = 2.0**-12


class GainLevel(NamedTuple):
    """What a gain map has changed.

    Attributes:
        out: the reconstruction with the new levels.
        share: share of the pixels that took their level from the map.
        most: EV of the brightest of them above the photo's white, in ``out``: a light beyond what the sensor can
            hold is stored as the sensor's white. None where the map does not tell what the photo's white is.
    """

    out: Reconstruction
    share: float
    most: float | None


def levels_by_gain(
    out: Reconstruction, srgb: Tensor, gain: GainMap, neutral: tuple[float, float, float]
) -> GainLevel | None:
    """Give the overexposed pixels of a reconstruction the level that the photo's gain map states.

    A pixel becomes no darker than unclipped ones beside it (`least_level`). Each channel saturates at 1, as in a
    sensor.

    Args:
        out: prediction of the photo, ``[3, H, W]`` and ``[1, H, W]``.
        srgb: the photo, ``[3, H, W]``.
        gain: its gain map.
        neutral: camera RGB of a neutral object, greatest value 1.

    Returns:
        None if no pixel is overexposed, or the map cannot be calibrated.
    """
    mask = out.mask
    if not bool((mask > 0.5).any()):
        return None
    balance = out.raw_rgb.new_tensor(neutral).view(3, 1, 1)
    level, light = _level(out.raw_rgb, balance), _light(srgb, gain)
    offset = _calibrate(level, light, srgb, mask)
    if offset is None:
        return None
    wanted = (light * 2.0**offset * _texture(level, mask)).clamp_min(2.0**offset)
    scale = torch.exp2(mask * (wanted / level).log2())
    told = {name: (getattr(out, name) * scale).clamp(0, 1) for name in ("raw_rgb", "bayer", "mosaiced")}
    least = least_level(told["raw_rgb"], mask, neutral)
    return _measured(out._replace(**{name: least.raised(x) for name, x in told.items()}), balance, offset)


def level_of_gain(
    out: Reconstruction, srgb: Tensor, gain: GainMap, neutral: tuple[float, float, float]
) -> GainLevel | None:
    """Return what a gain map has changed in the prediction of networks that see it; ``out`` stays as it is.

    Args:
        out: the prediction, made with the map.
        srgb: as for `levels_by_gain`, like the rest.
        gain: the map.
        neutral: camera RGB of a neutral object.

    Returns:
        None if no pixel is overexposed.
    """
    if not bool((out.mask > 0.5).any()):
        return None
    balance = out.raw_rgb.new_tensor(neutral).view(3, 1, 1)
    offset = _calibrate(_level(out.raw_rgb, balance), _light(srgb, gain), srgb, out.mask)
    return _measured(out, balance, offset)


def _measured(out: Reconstruction, balance: Tensor, offset: float | None) -> GainLevel:
    """Return a reconstruction with its share of overexposed pixels, and how far they are above light 1."""
    changed = out.mask > 0.5
    most = None
    if offset is not None:
        most = float(_level(out.raw_rgb, balance)[changed].max().log2()) - offset
    return GainLevel(out, float(changed.float().mean()), most)


def _light(srgb: Tensor, gain: GainMap) -> Tensor:
    """Return the mean of the HDR rendition's channels, ``[1, H, W]``."""
    rows = (slice(top, top + _ROWS) for top in range(0, srgb.shape[-2], _ROWS))
    means = [gain.hdr(srgb[:, some], some).mean(dim=0, keepdim=True) for some in rows]
    return torch.cat(means, dim=-2).clamp_min_(_BLACK)


def _level(raw_rgb: Tensor, balance: Tensor) -> Tensor:
    """Return the mean of the balanced channels, ``[1, H, W]``."""
    return (raw_rgb / balance).mean(dim=0, keepdim=True).clamp_min(_BLACK)


def _calibrate(level: Tensor, light: Tensor, srgb: Tensor, mask: Tensor) -> float | None:
    """Return log2 of the RAW level of light 1, by the pixels outside the mask; None where they do not tell.

    If the HDR rendition is linear to the RAW, one number relates them: the upper quartile of the brighter pixels
    without a channel near white, as pixels of which one channel is clipped are predicted too dark. Renderings of
    phones bend. There the brightest of these pixels count, so that levels go on without a step.
    """
    step = max(1, round((level.numel() / _SAMPLES) ** 0.5))
    here = (slice(None), slice(None, None, step), slice(None, None, step))
    brightest = srgb[here].amax(dim=0)
    good = (mask[here] <= 0.01)[0] & (brightest < _UNCLIPPED) & (srgb[here].amin(dim=0) > 0)
    x, y = light[here][0].log2(), level[here][0].log2()
    ratios = (y - x)[good & (x >= x[good].max() - _CALIBRATED_EV)] if good.any() else y[:0].flatten()
    if ratios.numel() < _LEAST_PIXELS:
        return None
    low, high = _quantiles(ratios, 0.25, 0.75)
    if high - low <= _LINEAR_EV:
        return high
    near = (y - x)[good & (brightest > _NEAR_WHITE)]
    if near.numel() < _LEAST_PIXELS:
        return None
    low, high = _quantiles(near, 0.25, 0.75)
    return high if high - low <= _MOST_SPREAD_EV else None


def _quantiles(values: Tensor, *shares: float) -> list[float]:
    some = values[:: max(1, values.numel() // 1_000_000)]
    found: list[float] = torch.quantile(some, some.new_tensor(shares)).tolist()
    return found


def _texture(level: Tensor, mask: Tensor) -> Tensor:
    """Return the predicted level relative to its mean among the overexposed pixels around, ``[1, H, W]``."""
    height, width = level.shape[-2:]
    small = (max(1, height // _SHARE), max(1, width // _SHARE))
    total, count = (F.adaptive_avg_pool2d(each[None], small) for each in (level * mask, mask))
    total, count = (F.avg_pool2d(each, 3, stride=1, padding=1) for each in (total, count))
    total, count = (
        F.interpolate(each, (height, width), mode="bilinear", align_corners=False)[0] for each in (total, count)
    )
    mean = torch.where(count > 1e-4, total / count.clamp_min(1e-4), level)
    return (level / mean.clamp_min(_BLACK)).clamp(1 / _MOST_TEXTURE, _MOST_TEXTURE)
