"""The noise of a predicted mosaic, for the NoiseProfile of its DNG.

A prediction holds what denoising and JPEG compression have left of the sensor's noise, which is little. A
converter that took it for a sensor's RAW would smooth away texture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from revisp.camera.noise import NoiseLevels, fit_noise
from revisp.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.cfa import CFA

__all__ = ["measured_noise"]

WINDOW, WINDOWS = 256, 4
"""Side in pixels of the windows that are measured, and how many there are along each side of the picture: a
million samples, which take a twentieth of a second."""


def measured_noise(bayer: Tensor, cfa: CFA) -> NoiseLevels | None:
    """Measure the noise of a mosaic on a grid of windows by `fit_noise`.

    Args:
        bayer: normalised mosaic ``[1, H, W]``, black 0, white 1.
        cfa: its Bayer phase.

    Returns:
        The noise, or None where too little of the mosaic is flat.

    Example:
        >>> from revisp.camera.noise import add_noise
        >>> from revisp.cfa import CFA
        >>> light = torch.linspace(0.1, 0.9, 1200).expand(1, 1200, 1200)
        >>> noisy = add_noise(light, NoiseLevels(1e-3, 1e-5), torch.Generator().manual_seed(0))
        >>> f"{measured_noise(noisy, CFA.RGGB).shot:.0e}"
        '1e-03'
    """
    (tops, height), (lefts, width) = (_windows(size) for size in bayer.shape[-2:])
    windows = [bayer[..., top : top + height, left : left + width] for top in tops for left in lefts]
    try:
        return fit_noise(torch.cat(windows, dim=-1), cfa)
    except DataError:
        return None


def _windows(size: int) -> tuple[list[int], int]:
    """Return where the windows start along a side, and their size; both are even, which keeps the Bayer phase."""
    side = min(WINDOW, size // 2 * 2)
    count = min(WINDOWS, size // WINDOW) or 1
    return [int((index + 0.5) / count * size - side / 2) // 2 * 2 for index in range(count)], side
