"""Steps of a rendering that look at a pixel's neighbourhood: local tone, denoising, sharpening.

All are differentiable; none has an inverse. Local tone and denoising use the guided filter of He, Sun and Tang,
"Guided Image Filtering" (ECCV 2010), which keeps edges without halos. It runs on a coarser grid (He and Sun, "Fast
Guided Filter", arXiv 1505.00996).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from revisp.camera.profile import SRGB_TO_XYZ
from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DENOISE_REACH",
    "MID_GREY",
    "cell_means",
    "check_detail",
    "denoise",
    "enlarged",
    "gaussian_blur",
    "local_tone",
    "sharpen",
    "sharpen_reach",
    "window_sums",
]

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


MATRIX_SIDE, MATRIX_REACHES = 64, 20
"""Greatest side of a picture that is filtered by matrices, in pixels, and for a Gaussian in its reaches: sums of
shifted pictures are slower for small pictures and wide filters."""

DENOISE_REACH = 14
"""Pixels beyond a window that decide about `denoise` in it: two windows of means, the grid, its enlargement."""


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
    change = strength * below.clamp_min(0)
    return linear * torch.exp2(change + lights * below.clamp_max(0) if lights else change)


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
    check_image(srgb, 3, "srgb")
    check_detail(0.0, amount, radius)
    if amount == 0:
        return srgb
    luma = _weighted(srgb, LUMA_WEIGHTS)
    return torch.add(srgb, luma - gaussian_blur(luma, radius), alpha=amount)


def sharpen_reach(radius: float) -> int:
    """Return how many pixels beyond a window decide about `sharpen` in it."""
    return max(1, round(3 * radius))


def gaussian_blur(x: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian that is cut off at 3 deviations; pixels of the border are repeated.

    Args:
        x: ``[..., C, H, W]``.
        deviation: standard deviation in pixels.

    Returns:
        ``[..., C, H, W]``.

    Example:
        >>> gaussian_blur(torch.ones(1, 8, 8), 2.0).allclose(torch.ones(1, 8, 8))
        True
    """
    reach = sharpen_reach(deviation)
    weights = [math.exp(-0.5 * (away / deviation) ** 2) for away in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    if max(x.shape[-2:]) <= max(MATRIX_SIDE, MATRIX_REACHES * reach):
        return _by_matrices(x, tuple(weight / total for weight in weights))
    blurred = F.pad(x.reshape(-1, *x.shape[-3:]), (reach,) * 4, mode="replicate")
    padded, blurred = blurred.shape, blurred.flatten()
    for step in (padded[-1], 1):  # sums of shifted pictures: a convolution of one channel is several times slower
        count = len(blurred) - 2 * reach * step
        centre = blurred.narrow(0, reach * step, count) * (weights[0] / total)
        for away in range(1, reach + 1):
            before, after = (blurred.narrow(0, (reach + side) * step, count) for side in (-away, away))
            centre = centre.add_(before + after, alpha=weights[away] / total)
        blurred = centre
    return _inside(blurred, padded, x.shape)


def window_sums(x: Tensor, step: int, count: int) -> Tensor:
    """Return the sum of each value and those at the next ``count - 1`` steps from it.

    Sums of 2, 4, 8, ... neighbours are sums of two shifted pictures.

    Args:
        x: values ``[n]``: rows of a picture, one after the other.
        step: 1 for neighbours in a row; the length of the rows for neighbours in a column.
        count: how many values are added.

    Returns:
        ``[n - (count - 1) * step]``.

    Example:
        >>> window_sums(torch.tensor([1, 2, 3, 4, 5]), 1, 3).tolist()
        [6, 9, 12]
    """
    length = len(x) - (count - 1) * step
    part, wide, done = x, 1, 0
    total: Tensor | None = None
    while True:
        if count & wide:
            piece = part.narrow(0, done * step, length)
            total = piece if total is None else total + piece
            done += wide
        if 2 * wide > count:
            assert total is not None
            return total
        side = len(part) - wide * step
        part = part.narrow(0, 0, side) + part.narrow(0, wide * step, side)
        wide *= 2


def cell_means(x: Tensor, cell: int) -> Tensor:
    """Return the mean of each square of pixels, of ``[..., H, W]`` whose sides are multiples of ``cell``.

    Example:
        >>> cell_means(torch.arange(8.0).view(2, 4), 2).tolist()
        [[2.5, 4.5]]
    """
    rows = x.unflatten(-2, (-1, cell)).sum(dim=-2)
    return rows.unflatten(-1, (-1, cell)) @ x.new_full((cell,), 1 / cell**2)


def enlarged(x: Tensor, factors: tuple[int, int]) -> Tensor:
    """Enlarge a picture by lines between neighbours.

    As `torch.nn.functional.interpolate` (bilinear, without aligned corners) does, in a fraction of its time.

    Args:
        x: ``[..., h, w]``.
        factors: whole numbers, for rows and for columns.

    Returns:
        ``[..., h * factors[0], w * factors[1]]``.

    Example:
        >>> enlarged(torch.tensor([[0.0, 1.0]]), (1, 2)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    for axis, factor in ((-1, factors[1]), (-2, factors[0])):
        if factor == 1:
            continue
        side = x.shape[axis]
        padded = torch.cat([x.narrow(axis, 0, 1), x, x.narrow(axis, side - 1, 1)], dim=axis)
        shape = list(x.shape)
        shape[axis] = side * factor
        result = x.new_empty(shape)
        for phase in range(factor):  # of the pixels that one becomes
            share = (phase + 0.5) / factor - 0.5
            middle, beside = (padded.narrow(axis, start, side) for start in (1, 2 if share > 0 else 0))
            at = (..., slice(phase, None, factor), *((slice(None),) if axis == -2 else ()))
            if x.requires_grad:
                result[at] = torch.lerp(middle, beside, abs(share))
            else:
                torch.lerp(middle, beside, abs(share), out=result[at])
        x = result
    return x


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
    """Filter on a grid coarser by a factor that must divide the radius, so that the window has a centre.

    Args:
        guide: ``[..., 1, H, W]``.
        x: what is filtered, ``[..., C, H, W]``; it may be the guide.
        radius: half the window, in pixels.
        eps: variance of the guide at which an edge is kept by half.
        coarser: every such row and column is looked at.
    """
    small = _every(x, coarser)
    if x is not guide:
        small = torch.cat([_every(guide, coarser), small], dim=-3)
    lines = _guided_lines(small, radius // coarser, eps)
    if guide.shape[-2] % coarser or guide.shape[-1] % coarser:
        lines = lines.reshape(-1, *lines.shape[-3:])
        lines = F.interpolate(lines, size=guide.shape[-2:], mode="bilinear", align_corners=False)
    elif coarser > 1:
        lines = enlarged(lines, (coarser, coarser))
    slope, offset = lines.reshape(*x.shape[:-3], -1, *guide.shape[-2:]).chunk(2, dim=-3)
    return torch.addcmul(offset, slope, guide)


def _guided_lines(small: Tensor, radius: int, eps: float) -> Tensor:
    """Return the lines of a guided filter: what it makes of a guide g is ``slope * g + offset``.

    Args:
        small: the guide, and what is filtered, ``[..., 1 + C, h, w]``; or the guide alone, which filters itself.
        radius: half the window, in pixels of ``small``.
        eps: variance of the guide at which an edge is kept by half.

    Returns:
        The slopes of all channels, then their offsets, ``[..., 2 C, h, w]``.
    """
    guide = small[..., :1, :, :]
    means, products = _window_means(torch.cat([small, small * guide], dim=-3), radius).chunk(2, dim=-3)
    level = means[..., :1, :, :]
    covariances = torch.addcmul(products, means, level, value=-1)
    variance = covariances[..., :1, :, :]
    if small.shape[-3] > 1:
        means, covariances = means[..., 1:, :, :], covariances[..., 1:, :, :]
    slopes = covariances / (variance + eps)
    return _window_means(torch.cat([slopes, torch.addcmul(means, slopes, level, value=-1)], dim=-3), radius)


def _every(x: Tensor, coarser: int) -> Tensor:
    """Return rows and columns at about equal distances, one of ``coarser``."""
    for axis in (-2, -1):
        side = x.shape[axis]
        count = max(side // coarser, 1)
        if side == count * coarser:
            x = x[..., ::coarser, :] if axis == -2 else x[..., ::coarser]
        else:  # those nearest to where the enlargement puts them back
            twice = (2 * torch.arange(count, device=x.device) + 1) * side + count * (1 - coarser)
            x = x.index_select(axis, twice.div(2 * count, rounding_mode="floor").clamp_(0, side - 1))
    return x


def _window_means(x: Tensor, radius: int) -> Tensor:
    """Return means over windows of ``2 radius + 1`` rows and columns; pixels of the border are repeated."""
    count = 2 * radius + 1
    if max(x.shape[-2:]) <= MATRIX_SIDE:
        return _by_matrices(x, (1 / count,) * (radius + 1))
    padded = F.pad(x.reshape(-1, *x.shape[-3:]), (radius,) * 4, mode="replicate")
    sums = window_sums(window_sums(padded.flatten(), padded.shape[-1], count), 1, count)
    return _inside(sums / count**2, padded.shape, x.shape)


def _inside(values: Tensor, padded: torch.Size, shape: torch.Size) -> Tensor:
    """Return pictures ``[..., C, H, W]`` out of values ``[n]`` that lie as those of a padded picture."""
    _, channels, height, width = padded
    strides = (channels * height * width, height * width, width, 1)
    return values.as_strided((*padded[:2], *shape[-2:]), strides).reshape(shape)


def _by_matrices(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Filter rows and columns by two products of matrices: for small pictures, sums of shifted ones are slower."""
    down, along = (_filter_matrix(side, weights).to(x) for side in x.shape[-2:])
    return down @ (x @ along.T)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for callers that want gradients, too
def _filter_matrix(side: int, weights: tuple[float, ...]) -> Tensor:
    """Return the matrix ``[side, side]`` of a symmetric filter, whose weights are given from its middle on."""
    reach = len(weights) - 1
    seen = (torch.arange(side)[:, None] + torch.arange(-reach, reach + 1)).clamp_(0, side - 1)
    row = torch.tensor([*weights[:0:-1], *weights], dtype=torch.float64)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, seen, row.expand(side, -1))


def _weighted(rgb: Tensor, weights: Any) -> Tensor:
    row = torch.as_tensor(weights, dtype=rgb.dtype, device=rgb.device)[None]
    return (row @ rgb.flatten(-2)).unflatten(-1, rgb.shape[-2:])
