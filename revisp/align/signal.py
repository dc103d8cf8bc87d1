"""The signal to match: band-passed, locally normalised luma, robust to gamma, tone mapping, colour and shading."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

__all__ = ["area_resize", "band_floor", "luma", "noise_level", "normalise"]

_LUMA_WEIGHTS = (0.299, 0.587, 0.114)
_FINE_SIGMA, _COARSE_WIDTH, _STRENGTH_WIDTH = 1.0, 9, 17
"""Band-pass: a Gaussian (sigma, pixels) minus a box (width, pixels). A wider box averages its energy."""


def luma(srgb: Tensor) -> Tensor:
    """Return Rec. 601 luma ``[H, W]``, float32, of sRGB ``[3, H, W]``."""
    return torch.einsum("c,chw->hw", srgb.new_tensor(_LUMA_WEIGHTS), srgb).float()


def area_resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Reduce ``[H, W]`` to a smaller size with antialiasing; unchanged at equal size. Edges map to edges."""
    if tuple(x.shape) == size:
        return x
    return F.interpolate(x[None, None], size=size, mode="bilinear", antialias=True, align_corners=False)[0, 0]


def noise_level(y: Tensor) -> float:
    """Return the standard deviation of the noise of luma ``[H, W]``, from its calmest tenth of blocks.

    J. Immerkaer, "Fast Noise Variance Estimation" (CVIU 1996), equation 3, here in blocks to exclude texture.
    """
    down = y[2:] - 2 * y[1:-1] + y[:-2]
    response = (down[:, 2:] - 2 * down[:, 1:-1] + down[:, :-2]).abs()[None] / 6
    size = max(4, min(32, *(side // 4 for side in y.shape)))
    means = F.avg_pool2d(response, size) * (np.pi / 2) ** 0.5
    return float(np.quantile(means.numpy(), 0.1))


def band_floor(y: Tensor) -> float:
    """Return the strength of the band of luma ``[H, W]`` from which it counts as texture: well above the noise."""
    return 2 * noise_level(y) + 0.004  # one level of 8 bits


def normalise(y: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Band-pass luma and divide it by its local strength.

    Args:
        y: luma ``[H, W]``.
        floor: strength from which the band counts as texture; well below it the result fades to 0.

    Returns:
        The normalised band ``[H, W]``, and the share of it that is texture rather than noise, in [0, 1].
    """
    x = y.numpy()
    band = ndimage.gaussian_filter(x, _FINE_SIGMA, truncate=3.0, mode="nearest")
    band -= ndimage.uniform_filter(x, _COARSE_WIDTH, mode="nearest")
    energy = np.maximum(ndimage.uniform_filter(band * band, _STRENGTH_WIDTH, mode="nearest"), 0)
    band /= np.sqrt(energy + floor * floor)
    energy /= energy + floor * floor
    return torch.from_numpy(band), torch.from_numpy(energy)
