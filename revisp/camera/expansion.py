"""Inverse tone mapping: estimate the light above display white that the highlights of a photo have lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.nn import functional as F

from revisp.camera.detail import cell_means, enlarged, gaussian_blur
from revisp.checks import check_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BLUR_SIGMA",
    "blur_cells",
    "expand_highlights",
    "highlight_gain",
    "highlight_share",
    "padded_means",
    "spread_gain",
]

HIGHLIGHT_START = 0.7
"""Linear light of the brightest channel from which highlights are expanded."""

BLUR_SIGMA = 12.0
"""Standard deviation in pixels of the blur that separates the middle of a highlight from its rim."""

LEAST_DEVIATION = 3.0
"""Least deviation of the blur in pixels of the grid that it runs on, which is the coarsest that has it."""


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
    return _blurred(share, spread).mul_(share).mul_(factor - 1).add_(1)


def blur_cells(cells: Tensor, cell: int, deviation: float) -> Tensor:
    """Blur means over the cells of a grid, so that lines between them are the pixels' blur by a Gaussian.

    Means and lines blur a little. The Gaussian on the grid blurs that much less. The result differs from a blur of
    every pixel by less than a hundredth, but for the borders, where cells and not pixels are repeated.

    Args:
        cells: ``[..., h, w]``, of at least three axes.
        cell: side of a cell, in pixels.
        deviation: standard deviation, in pixels.
    """
    between = ((cell**2 - 1) + (2 * cell**2 + 1)) / 12  # variances of the means and of the lines
    return gaussian_blur(cells, math.sqrt(deviation**2 - between) / cell)


def padded_means(x: Tensor, cell: int) -> Tensor:
    """Return the mean of each cell of ``[..., H, W]``; the last row and column are repeated to fill it."""
    height, width = x.shape[-2:]
    if height % cell or width % cell:
        flat = F.pad(x.reshape(1, -1, height, width), (0, -width % cell, 0, -height % cell), mode="replicate")
        x = flat.view(*x.shape[:-2], *flat.shape[-2:])
    return cell_means(x, cell)


def _blurred(x: Tensor, deviation: float) -> Tensor:
    """Blur ``[..., 1, H, W]`` on the coarsest grid that has `LEAST_DEVIATION`."""
    cell = 2 ** math.floor(math.log2(max(deviation / LEAST_DEVIATION, 1)))
    if cell == 1:
        return gaussian_blur(x, deviation)
    height, width = x.shape[-2:]
    return enlarged(blur_cells(padded_means(x, cell), cell, deviation), (cell, cell))[..., :height, :width]
