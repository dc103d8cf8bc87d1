"""The least level of overexposed pixels under a gain map: that of the unclipped pixels beside them.

What a photo clips was brighter than what it shows beside it. A gain map is a rendering and mostly smaller than the
photo, so it may say otherwise. Then the pixels beside it are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LEAST_LEVEL_REACH", "LeastLevel", "least_level"]

LEAST_LEVEL_REACH = 1
"""Farthest distance, in rows or columns, of a pixel that the least level of a pixel depends on."""

_BLACK = 2.0**-12


class LeastLevel(NamedTuple):
    """What raises pixels to their least level.

    Attributes:
        scale: factor of all channels, so that the colour stays; 1 where nothing changes.
        lift: share of the way to the sensor's white that is left when a channel saturates at 1; else 0.

    Shape:
        ``[..., 1, H, W]`` both.
    """

    scale: Tensor
    lift: Tensor

    def raised(self, raw: Tensor) -> Tensor:
        """Return a RAW in [0, 1], demosaiced or a mosaic, ``[..., C, H, W]``, with the pixels raised."""
        scaled = (raw * self.scale).clamp(max=1)
        return scaled + self.lift * (1 - scaled)


def least_level(
    raw_rgb: Tensor, mask: Tensor, neutral: Sequence[float], known: Tensor | None = None
) -> LeastLevel:
    """Return what raises overexposed pixels to the brightest unclipped pixel beside them.

    The level of a pixel is the mean of its channels after white balance. A pixel is overexposed if its mask
    exceeds 0.5. Its neighbours are the eight around it. What is not overexposed stays as it is.

    Args:
        raw_rgb: demosaiced RAW in [0, 1], ``[..., 3, H, W]``.
        mask: overexposure mask in [0, 1], ``[..., 1, H, W]``.
        neutral: camera RGB of a neutral object.
        known: where the photo has a gain map, ``[..., 1, H, W]``; elsewhere nothing changes. None: everywhere.

    Example:
        >>> raw, mask = torch.tensor([0.5, 0.2, 0.1]).expand(3, 1, 3), torch.tensor([[[0.0, 1.0, 1.0]]])
        >>> [round(x, 2) for x in least_level(raw, mask, (1, 1, 1)).raised(raw)[0, 0].tolist()]
        [0.5, 0.5, 0.1]
    """
    balance = raw_rgb.new_tensor([1 / (3 * value) for value in neutral]).view(3, 1, 1)
    level = (raw_rgb * balance).sum(dim=-3, keepdim=True)
    overexposed = mask > 0.5
    least = _greatest_around(torch.where(overexposed, 0, level))
    raises = overexposed if known is None else overexposed & known
    least = torch.where(raises, least, 0)
    scale = (least / level.clamp_min(_BLACK)).clamp_min(1)
    reached = ((raw_rgb * scale).clamp(max=1) * balance).sum(dim=-3, keepdim=True)
    missing = torch.where(raises, least - reached, 0).clamp_min(0)
    return LeastLevel(scale, missing / (balance.sum() - reached).clamp_min(_BLACK))


def _greatest_around(x: Tensor) -> Tensor:
    """Return the greatest value of each pixel and its neighbours; pooling takes ten times as long on a CPU."""
    wide = F.pad(x, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(wide[..., :-2, :], wide[..., 2:, :]), wide[..., 1:-1, :])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 2:]), rows[..., 1:-1])
