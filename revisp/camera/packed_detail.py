"""Local tone, denoising and sharpening as `revisp.camera.detail` does them, of pictures in packed planes.

A picture here is ``[C, 4, h, w]``: each channel is cut into the four planes of a Bayer phase, in the order R, Gr,
Gb, B, although every plane has all channels. A filter on every second pixel then takes a plane as it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from revisp.camera.detail import (
    DARKEST_LIFTED,
    DENOISE_RADIUS,
    EDGE_EV,
    LUMA_WEIGHTS,
    MID_GREY,
    every,
    gaussian_blur,
    guided_lines,
)
from revisp.cfa import CFA, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["denoise_planes", "detail_of", "enlarged_planes", "local_tone_planes"]


def local_tone_planes(linear: Tensor, luminance: Tensor, strength: float, radius: int, cfa: CFA) -> Tensor:
    """Apply `revisp.camera.detail.local_tone` in place.

    Args:
        linear: linear sRGB light ``[3, 4, h, w]``. It is overwritten.
        luminance: its luminance ``[1, 4, h, w]``. It is overwritten, too.
        strength: of the lift of shadows, in [0, 1).
        radius: half the window of the base, in pixels.
        cfa: the Bayer phase of the planes.
    """
    if strength == 0:
        return linear
    coarser = math.gcd(radius, 4)
    guide = luminance.clamp_min_(DARKEST_LIFTED).log2_()
    height, width = (2 * side for side in guide.shape[-2:])
    if coarser > 1 and height % coarser == width % coarser == 0:
        small = guide[:, cfa.offsets.index((0, 0)), :: coarser // 2, :: coarser // 2]
        slope, offset = enlarged_planes(guided_lines(small, radius // coarser, EDGE_EV**2), coarser, cfa)
    else:
        lines = guided_lines(every(unpack(guide[0], cfa), coarser), radius // coarser, EDGE_EV**2)
        lines = F.interpolate(lines[None], size=(height, width), mode="bilinear", align_corners=False)[0]
        slope, offset = pack(lines.unsqueeze(1), cfa)
    below = torch.addcmul(offset, slope, guide[0]).neg_().add_(math.log2(MID_GREY)).clamp_min_(0)
    return linear.mul_(below.mul_(strength).exp2_())


def denoise_planes(srgb: Tensor, strength: float, cfa: CFA) -> Tensor:
    """Apply `revisp.camera.detail.denoise`.

    Args:
        srgb: display-referred ``[3, 4, h, w]`` in [0, 1].
        strength: standard deviation of the noise to remove; 0 changes nothing.
        cfa: the Bayer phase of the planes.
    """
    if strength == 0:
        return srgb
    luma = _luma(srgb)
    first = cfa.offsets.index((0, 0))
    small = torch.cat([luma[:, first], srgb[:, first]])
    lines = guided_lines(small, DENOISE_RADIUS // 2, strength**2)
    slope, offset = enlarged_planes(lines, 2, cfa).chunk(2)
    return torch.addcmul(offset, slope, luma)


def detail_of(srgb: Tensor, radius: float, cfa: CFA) -> Tensor:
    """Return what `revisp.camera.detail.sharpen` amplifies: the luma minus its Gaussian blur.

    Args:
        srgb: display-referred ``[3, 4, h, w]``.
        radius: standard deviation of the blur, in pixels.
        cfa: the Bayer phase of the planes.

    Returns:
        The detail of the whole picture, ``[1, 2 h, 2 w]``.
    """
    luma = unpack(_luma(srgb)[0], cfa)
    return luma - gaussian_blur(luma, radius)


def _luma(srgb: Tensor) -> Tensor:
    return (srgb.new_tensor([LUMA_WEIGHTS]) @ srgb.flatten(1)).view(1, *srgb.shape[1:])


def enlarged_planes(x: Tensor, factor: int, cfa: CFA) -> Tensor:
    """Enlarge a picture by lines between neighbours, to packed planes.

    As `torch.nn.functional.interpolate` (bilinear, without aligned corners) and `revisp.cfa.pack` do, in a quarter
    of their time.

    Args:
        x: ``[..., m, n]``.
        factor: 2 or 4.
        cfa: the Bayer phase of the planes.

    Returns:
        ``[..., 4, m * factor / 2, n * factor / 2]``.

    Example:
        >>> enlarged_planes(torch.tensor([[0.0, 1.0]]), 2, CFA.RGGB)[:2].tolist()
        [[[0.0, 0.75]], [[0.25, 1.0]]]
    """
    *lead, height, width = x.shape
    padded = F.pad(x.reshape(1, -1, height, width), (1, 1, 1, 1), mode="replicate")[0]
    across = x.new_empty((len(padded), 2, height + 2, width * factor // 2))
    for phase, (middle, beside, share) in enumerate(_lines(padded, -1, factor)):
        torch.lerp(middle, beside, share, out=across[:, phase % 2, :, phase // 2 :: factor // 2])
    planes = x.new_empty((len(padded), 2, 2, height * factor // 2, width * factor // 2))
    for phase, (middle, beside, share) in enumerate(_lines(across, -2, factor)):
        torch.lerp(middle, beside, share, out=planes[:, phase % 2, :, phase // 2 :: factor // 2])
    packed = planes.flatten(1, 2)
    if cfa is not CFA.RGGB:
        packed = packed[:, [2 * row + column for row, column in cfa.offsets]]
    return packed.view(*lead, *packed.shape[1:])


def _lines(padded: Tensor, axis: int, factor: int) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield, for each pixel that one becomes along an axis, it, its neighbour, and the neighbour's share."""
    side = padded.shape[axis] - 2
    for phase in range(factor):
        share = (phase + 0.5) / factor - 0.5
        yield padded.narrow(axis, 1, side), padded.narrow(axis, 2 if share > 0 else 0, side), abs(share)
