"""Colour difference CIEDE2000 of developed RAW: the colour error in perceptually uniform steps.

CIE 142-2001; formulas and test values: Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula:
Implementation Notes, Supplementary Test Data, and Mathematical Observations" (Color Res. Appl. 2005).
Computations are in float64. A difference of about 1 is just visible between large patches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from revisp.camera.isp import apply_ccm, srgb_to_linear
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError
from revisp.metrics.base import double, weighted_mean
from revisp.metrics.picture import picture, picture_weight

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile

__all__ = ["ciede2000", "developed_delta_e", "srgb_to_lab"]

_25_TO_7 = 25.0**7


def srgb_to_lab(srgb: Tensor) -> Tensor:
    """Convert sRGB to CIELAB for the white of sRGB, D65.

    Args:
        srgb: ``[...,3,H,W]`` in [0,1].

    Returns:
        L*, a*, b* ``[...,3,H,W]``, float64; L* in [0,100].

    Raises:
        ShapeError: not three channels, or not floating point.

    Example:
        >>> srgb_to_lab(torch.ones(3, 1, 1)).flatten().round(decimals=3).abs().tolist()  # white
        [100.0, 0.0, 0.0]
    """
    check_image(srgb, 3, "srgb")
    xyz = apply_ccm(srgb_to_linear(double(srgb)), SRGB_TO_XYZ / SRGB_TO_XYZ.sum(axis=1, keepdims=True))
    root = xyz.clamp_min((6 / 29) ** 3) ** (1 / 3)
    f = torch.where(xyz > (6 / 29) ** 3, root, xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the colour difference CIEDE2000 with weights :math:`k_L = k_C = k_H = 1`, in either order.

    Args:
        first: CIELAB ``[...,3,H,W]``.
        second: CIELAB of the same size.

    Returns:
        ``[...,H,W]`` float64, at least 0.

    Raises:
        ShapeError: not three channels, not floating point, or of different sizes.

    Example:
        >>> red = torch.tensor([50.0, 60.0, 0.0]).view(3, 1, 1)
        >>> redder = torch.tensor([50.0, 65.0, 0.0]).view(3, 1, 1)
        >>> round(ciede2000(red, redder).item(), 1)
        1.3
    """
    for lab, name in ((first, "first"), (second, "second")):
        check_image(lab, 3, name)
    check_same_size(first, second, ("first", "second"))
    (l1, a1, b1), (l2, a2, b2) = double(first).unbind(-3), double(second).unbind(-3)
    grey = _seventh((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    a1, a2 = a1 * (1.5 - 0.5 * grey), a2 * (1.5 - 0.5 * grey)
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    turn, hue = _hues(torch.atan2(b1, a1), torch.atan2(b2, a2), c1 * c2 == 0)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    middle = (lightness - 50).square()
    by_l = (l2 - l1) / (1 + 0.015 * middle / (20 + middle).sqrt())
    by_c = (c2 - c1) / (1 + 0.045 * chroma)
    by_h = 2 * (c1 * c2).sqrt() * torch.sin(turn / 2) / (1 + 0.015 * chroma * t)
    blue = math.radians(60) * torch.exp(-((torch.rad2deg(hue) - 275) / 25).square())
    rotation = -2 * _seventh(chroma) * torch.sin(blue)
    squared = by_l.square() + by_c.square() + by_h.square() + rotation * by_c * by_h
    return squared.clamp_min(0).sqrt()


def _seventh(chroma: Tensor) -> Tensor:
    power = chroma**7
    return (power / (power + _25_TO_7)).sqrt()


def _hues(h1: Tensor, h2: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
    """Return the turn from the first hue to the second and the mean hue, in radians; grey has no hue."""
    full = 2 * math.pi
    h1, h2 = torch.where(h1 < 0, h1 + full, h1), torch.where(h2 < 0, h2 + full, h2)
    turn, total = h2 - h1, h1 + h2
    far = turn.abs() > math.pi
    mean = torch.where(far, torch.where(total < full, total + full, total - full), total) / 2
    turn = torch.where(far, turn - full * turn.sign(), turn)
    return turn.masked_fill(grey, 0), torch.where(grey, total, mean)


def developed_delta_e(
    prediction: Tensor,
    target: Tensor,
    profile: CameraProfile,
    region: Tensor | None = None,
    *,
    exposure: float = 0.0,
) -> Tensor:
    """Return the mean CIEDE2000 of each pair of developed pictures.

    Both RAWs are developed in the same way (`revisp.metrics.picture.picture`: packed RAW and mosaics at half
    size).

    Args:
        prediction: demosaiced RAW ``[B,3,H,W]``, packed RAW ``[B,4,h,w]`` or mosaic ``[B,1,H,W]``.
        target: of the same form.
        profile: the camera that develops.
        region: weights in [0,1], ``[B,1,H,W]`` or packed ``[B,4,h,w]``; None counts all.
        exposure: stops to brighten by.

    Returns:
        ``[B]`` float64, at least 0; lower is better; NaN where the region is empty.

    Raises:
        ShapeError: shapes do not fit.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> raw = torch.full((1, 4, 8, 8), 0.25)
        >>> [round(developed_delta_e(raw * gain, raw, SIMULATED.profile).item(), 1) for gain in (1.0, 1.1)]
        [0.0, 2.2]
    """
    first, second = (picture(double(raw), profile, exposure) for raw in (prediction, target))
    if first.shape != second.shape:
        raise ShapeError(
            f"prediction and target must have one shape, got {list(prediction.shape)} and {list(target.shape)}"
        )
    difference = ciede2000(srgb_to_lab(first), srgb_to_lab(second))
    weight = picture_weight(region, first, profile)
    counts = torch.ones_like(difference) if weight is None else weight.to(difference).squeeze(1)
    return weighted_mean(difference, counts)
