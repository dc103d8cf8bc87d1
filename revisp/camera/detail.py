"""Steps of a rendering that look at a pixel's neighbourhood: local tone, denoising, sharpening.

All are differentiable; none has an inverse. Local tone and denoising use the guided filter of He, Sun and Tang,
"Guided Image Filtering" (ECCV 2010), which keeps edges without halos. It runs on a coarser grid (He and Sun, "Fast
Guided Filter", arXiv 1505.00996).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from revisp.camera.profile import SRGB_TO_XYZ
from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MID_GREY", "check_detail", "denoise", "local_tone", "sharpen"]

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of R, G, B in the luma of JPEG files (ITU-R BT.601)."""

MID_GREY = 0.18
"""Luminance of mid grey relative to display white, sRGB value 0.46: local tone changes nothing there, and what a
scene's tone curve renders so has this light."""

DARKEST_LIFTED = 1e-3
"""Luminance below which the lift no longer grows, because it would amplify noise."""

EDGE_EV = 0.5
"""Standard deviation of the neighbourhood in EV above which local tone keeps an edge and does not smooth it."""

DENOISE_RADIUS = 4
"""Half the window of `denoise`, in pixels: it removes fine grain and costs little texture."""


def local_tone(
    linear: Tensor, strength: float, radius: int = 24, *, lights: float = 0.0, mid_grey: float = MID_GREY
) -> Tensor:
    r"""Lift dark places towards mid grey, lower bright ones, and keep the detail within them.

    With the luminance :math:`Y`, its base :math:`B` (guided filter of :math:`\log_2 Y`) and mid grey :math:`m`,

    .. math:: \mathrm{out} = \mathrm{in} \cdot 2^{\,s\,\max(\log_2 m - B,\; 0) - l\,\max(B - \log_2 m,\; 0)}

    A shadow comes nearer to mid grey by the fraction :math:`s` of its distance in EV, a light by :math:`l`. The
    dynamic range modes of cameras do the same. This is the base-detail decomposition of Durand and Dorsey
    (SIGGRAPH 2002), with the guided filter in place of the bilateral filter.

    Args:
        linear: linear sRGB light ``[..., 3, H, W]``; may exceed 1.
        strength: :math:`s`, in [0, 1); 0 keeps dark places as they are.
        radius: half the window of the base, in pixels.
        lights: :math:`l`, in [0, 1); 0 keeps bright places as they are.
        mid_grey: luminance that does not change.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: strength, radius, lights or mid_grey out of range.
    """
    check_image(linear, 3, "linear")
    if not (0 <= strength < 1 and 0 <= lights < 1):
        raise ConfigError(f"local_tone must lie in [0, 1), got {strength} for shadows and {lights} for lights")
    if radius < 1:
        raise ConfigError(f"the radius of local tone must be >= 1 pixel, got {radius}")
    if not mid_grey > 0:
        raise ConfigError(f"the mid grey of local tone must be positive, got {mid_grey}")
    if strength == lights == 0:
        return linear
    luminance = _weighted(linear, SRGB_TO_XYZ[1]).clamp_min(DARKEST_LIFTED * mid_grey / MID_GREY).log2()
    base = _guided_filter(luminance, luminance, radius, EDGE_EV**2, math.gcd(radius, 4))
    below = math.log2(mid_grey) - base
    return linear * torch.exp2(strength * below.clamp_min(0) + lights * below.clamp_max(0))


def denoise(srgb: Tensor, strength: float) -> Tensor:
    """Smooth variations below ``strength`` and keep stronger edges.

    The guided filter runs over R, G and B with the luma as guide. The luma is its own guide, and chroma is
    smoothed wherever the luma has no edge. So chroma loses more noise, as in cameras.

    Args:
        srgb: display-referred ``[..., 3, H, W]`` in [0, 1].
        strength: standard deviation of the noise to remove, in units of ``srgb``; 0 changes nothing.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: strength is negative.
    """
    check_image(srgb, 3, "srgb")
    check_detail(strength, 0.0, 1.0)
    if strength == 0:
        return srgb
    return _guided_filter(_weighted(srgb, LUMA_WEIGHTS), srgb, DENOISE_RADIUS, strength**2, 2)


def sharpen(srgb: Tensor, amount: float, radius: float = 1.0) -> Tensor:
    """Sharpen by an unsharp mask on the luma: add ``amount`` times luma minus its Gaussian blur to R, G and B.

    Args:
        srgb: display-referred ``[..., 3, H, W]`` in [0, 1].
        amount: strength, at least 0; 0 changes nothing, 0.5 is usual.
        radius: standard deviation of the blur, in pixels.

    Returns:
        ``[..., 3, H, W]``, unclamped.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: amount is negative, or radius is not positive.
    """
    from kornia.filters import gaussian_blur2d

    check_image(srgb, 3, "srgb")
    check_detail(0.0, amount, radius)
    if amount == 0:
        return srgb
    luma = _weighted(srgb, LUMA_WEIGHTS)
    taps = 2 * max(1, round(3 * radius)) + 1
    flat = luma.reshape(-1, 1, *luma.shape[-2:])
    blurred = gaussian_blur2d(flat, (taps, taps), (radius, radius), border_type="replicate").reshape(luma.shape)
    return srgb + amount * (luma - blurred)


def check_detail(denoise: float, sharpening: float, radius: float) -> None:
    """Require strengths of at least 0 for `denoise` and `sharpen`, and a positive radius.

    Raises:
        ConfigError: one of them is outside its range, or is not a number.
    """
    if not (denoise >= 0 and sharpening >= 0 and radius > 0):
        raise ConfigError(
            "denoise and sharpening must be >= 0 and sharpening_radius > 0, got "
            f"{denoise}, {sharpening} and {radius}"
        )


def _guided_filter(guide: Tensor, x: Tensor, radius: int, eps: float, coarser: int) -> Tensor:
    """Filter on a grid coarser by a factor that must divide the radius, so that the window has a centre."""
    from kornia.filters import guided_blur

    flat_guide = guide.reshape(-1, *guide.shape[-3:])
    flat = flat_guide if x is guide else x.reshape(-1, *x.shape[-3:])
    filtered: Tensor = guided_blur(
        flat_guide, flat, 2 * radius + 1, eps, border_type="replicate", subsample=coarser, separable=True
    )
    return filtered.reshape(x.shape)


def _weighted(rgb: Tensor, weights: Any) -> Tensor:
    row = torch.as_tensor(weights, dtype=rgb.dtype, device=rgb.device)
    return torch.einsum("c,...chw->...hw", row, rgb).unsqueeze(-3)
