"""Inverse tone mapping: estimate the light above display white that the highlights of a photo have lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from revisp.checks import check_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["expand_highlights", "highlight_gain", "highlight_share", "spread_gain"]

HIGHLIGHT_START = 0.7
"""Linear light of the brightest channel from which highlights are expanded."""

BLUR_SIGMA = 12.0
"""Standard deviation in pixels of the blur that separates the middle of a highlight from its rim."""

BLUR_BLOCK = 16
"""Neighbouring pixels that the blur computes together as channels; this is several times faster."""


def expand_highlights(
    linear: Tensor, factor: float, knee: float = HIGHLIGHT_START, spread: float = BLUR_SIGMA
) -> Tensor:
    """Restore a range above display white in highlights: linear light times `highlight_gain`.

    Args:
        linear: linear light ``[..., 3, H, W]`` in [0, 1].
        factor: light of the brightest place over display white; 1 changes nothing.
        knee: brightness from which values expand, in [0, 1).
        spread: standard deviation of the blur, in pixels.

    Returns:
        Linear light ``[..., 3, H, W]`` in [0, factor].

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    return linear * highlight_gain(linear, factor, knee, spread)


def highlight_gain(
    linear: Tensor, factor: float, knee: float = HIGHLIGHT_START, spread: float = BLUR_SIGMA
) -> Tensor:
    r"""Return the estimated gain of a photo's highlights over display white (inverse tone mapping).

    With the brightest channel :math:`b`, :math:`t = \mathrm{smoothstep}((b - knee) / (1 - knee))` and a Gaussian
    blur :math:`G`, light is multiplied by

    .. math:: 1 + (factor - 1)\, t\, G(t)

    Values below the knee keep their light. The middle of a large clipped area becomes the brightest, and its rim
    less bright. The blurred map is the *expand map* of Banterle et al., "Inverse Tone Mapping" (GRAPHITE 2006).

    Args:
        linear: linear light ``[..., 3, H, W]`` in [0, 1].
        factor: light of the brightest place over display white; 1 changes nothing.
        knee: brightness from which values expand, in [0, 1).
        spread: standard deviation of the blur, in pixels of the photo. It is the same for a crop and for the whole
            photo; reduce it along with a reduced photo.

    Returns:
        Gain ``[..., 1, H, W]`` in [1, factor].

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    check_image(linear, 3, "linear")
    return spread_gain(highlight_share(linear.amax(dim=-3, keepdim=True), knee), factor, spread)


def highlight_share(brightest: Tensor, knee: float = HIGHLIGHT_START) -> Tensor:
    """Return t of `highlight_gain`: 0 below the knee, 1 at display white.

    Args:
        brightest: linear light of the brightest channel, any shape, in [0, 1].
        knee: brightness from which values expand, in [0, 1).
    """
    t = ((brightest - knee) / (1 - knee)).clamp(0, 1)
    return t.square() * (3 - 2 * t)


def spread_gain(share: Tensor, factor: float | Tensor, spread: float = BLUR_SIGMA) -> Tensor:
    """Return `highlight_gain` for given shares.

    Args:
        share: t ``[..., 1, H, W]`` in [0, 1] (`highlight_share`).
        factor: light of the brightest place over display white; a tensor may give each picture its own.
        spread: standard deviation of the blur, in pixels.

    Returns:
        Gain ``[..., 1, H, W]`` in [1, factor].
    """
    blurred = _blur(share.reshape(-1, 1, *share.shape[-2:]), spread).reshape(share.shape)
    return 1 + (factor - 1) * share * blurred


def _blur(x: Tensor, deviation: float) -> Tensor:
    """Blur ``[B, 1, H, W]`` by a Gaussian cut off at 3 deviations; borders are repeated.

    A convolution of one channel is slow. Here the pixels of a block become `BLUR_BLOCK` channels. Each uses the
    same kernel, shifted by one more pixel.
    """
    from kornia.filters import get_gaussian_kernel1d

    reach = math.ceil(3 * deviation)
    kernel = get_gaussian_kernel1d(2 * reach + 1, deviation, device=x.device, dtype=x.dtype)[0]
    band = torch.stack([F.pad(kernel, (at, BLUR_BLOCK - 1 - at)) for at in range(BLUR_BLOCK)])
    height, width = x.shape[-2:]
    padded = F.pad(x, (reach, reach - width % -BLUR_BLOCK, reach, reach - height % -BLUR_BLOCK), mode="replicate")
    rows = (
        F.conv2d(padded, band[:, None, None, :], stride=(1, BLUR_BLOCK)).permute(0, 2, 3, 1).flatten(-2)[:, None]
    )
    both = F.conv2d(rows, band[:, None, :, None], stride=(BLUR_BLOCK, 1)).transpose(1, 2).flatten(1, 2)[:, None]
    return both[..., :height, :width]
