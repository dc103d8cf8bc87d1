"""The thumbnail of a photo, and statistics of its colours that depend on its rendering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from revisp.checks import check_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SIDE", "STATISTICS", "colour_statistics", "thumbnail"]

SIDE = 96
"""Height and width of a thumbnail."""

BAND = 8
"""Rows of a thumbnail that are computed together."""

BINS = 32
"""Levels of the histograms."""

CHROMA_LEVELS = 16
"""Luma levels at which colourfulness is measured."""

MEASURES = 6
"""Number of histograms: R, G, B, luma, maximum and range of the three channels."""

STATISTICS = 2 * MEASURES * BINS + CHROMA_LEVELS
"""Length of `colour_statistics`."""

LUMA = (0.2126, 0.7152, 0.0722)

RARE = 8.0
"""Number of pixels that weights a level's colourfulness: levels of fewer pixels tend to 0."""


def thumbnail(photo: Tensor) -> Tensor:
    """Reduce a photo to 96 x 96 pixels by the mean over each pixel's area; smaller photos are enlarged.

    Each side has its own scale factor. The computation is two matrix products. The first is of bands of the photo,
    as a row of the thumbnail has no share of most of its rows; in an exported graph, for photos of any size, it is
    of the whole photo.

    Args:
        photo: ``[B, 3, H, W]``.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> thumbnail(torch.rand(1, 3, 500, 333)).shape
        torch.Size([1, 3, 96, 96])
    """
    check_image(photo, 3, "photo")
    rows, columns = (_shares(length, photo) for length in photo.shape[-2:])
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return rows @ (photo @ columns.T)
    step, bands = photo.shape[-2] / SIDE, []
    for top in range(0, SIDE, BAND):
        seen = slice(math.floor(top * step), math.ceil((top + BAND) * step))
        bands.append(rows[top : top + BAND, seen] @ photo[..., seen, :])
    return torch.cat(bands, dim=-2) @ columns.T


def _shares(length: int, like: Tensor) -> Tensor:
    """Return the shares ``[SIDE, length]`` of ``length`` samples in each sample of the thumbnail."""
    step = length / SIDE
    start = torch.arange(SIDE, dtype=like.dtype, device=like.device)[:, None] * step
    sample = torch.arange(length, dtype=like.dtype, device=like.device)[None]
    overlap = torch.minimum(start + step, sample + 1) - torch.maximum(start, sample)
    return overlap.clamp_min(0) / step


def colour_statistics(photo: Tensor) -> Tensor:
    """Measure a thumbnail's colours.

    The statistics are histograms of R, G, B, luma, maximum and range of the three channels (square roots of the
    shares, and cumulative shares), and the colourfulness of each luma level. A tone curve stretches and compresses
    the histograms. A shoulder reduces the colourfulness of highlights.

    Args:
        photo: ``[B, 3, H, W]`` in [0, 1].

    Returns:
        ``[B, STATISTICS]``.
    """
    colours = photo.flatten(2)
    luma = (colours * colours.new_tensor(LUMA)[:, None]).sum(1)
    peak, floor = colours.amax(1), colours.amin(1)
    measures = torch.stack([*colours.unbind(1), luma, peak, peak - floor], dim=1)
    shares = _by_level(measures, torch.ones_like(measures), BINS) / measures.shape[-1]
    colourful = (peak - floor) / (peak + 0.02)
    chroma, pixels = (_by_level(luma, x, CHROMA_LEVELS) for x in (colourful, torch.ones_like(luma)))
    chroma = chroma / (pixels + RARE)
    return torch.cat([shares.sqrt().flatten(1), shares.cumsum(-1).flatten(1), chroma], dim=1)


def _by_level(values: Tensor, amounts: Tensor, count: int) -> Tensor:
    """Divide each amount ``[..., n]`` between the two levels next to its value, and add up: ``[..., count]``."""
    at = values * (count - 1)
    level = at.detach().long().clamp(0, count - 2)  # a NaN too must give a valid index
    upper = (at - level).clamp(0, 1) * amounts
    sums = values.new_zeros(*values.shape[:-1], count)
    return sums.scatter_add(-1, level, amounts - upper).scatter_add(-1, level + 1, upper)
