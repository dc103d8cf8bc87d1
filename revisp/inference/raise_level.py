"""Raise the overexposed pixels of a large photo to their least level, in place and block by block."""

from __future__ import annotations

from torch import Tensor

from revisp.inference.tiles import plan_tiles
from revisp.pipeline import ReverseISP
from revisp.pipeline.least_level import LEAST_LEVEL_REACH

__all__ = ["raise_to_least_level"]

_BLOCK = 128
"""Side of a block. Most blocks have no border between overexposed pixels and others, and are passed over."""


def raise_to_least_level(model: ReverseISP, mask: Tensor, gain: Tensor, raw_rgb: Tensor, *mosaics: Tensor) -> None:
    """Raise pixels as `ReverseISP.least_level` says.

    Blocks overlap. What they read of each other, unclipped pixels, does not change.

    Args:
        model: the pipeline.
        mask: ``[1, 1, H, W]``.
        gain: what the photo's gain map says ``[1, 1, H, W]``.
        raw_rgb: demosaiced RAW in [0, 1], ``[1, 3, H, W]``; it is changed.
        mosaics: its mosaics ``[1, 1, H, W]``; they are changed, too.
    """
    size, reach = (mask.shape[-2], mask.shape[-1]), LEAST_LEVEL_REACH
    for block in plan_tiles(size, (_BLOCK, _BLOCK), overlap=2 * reach, reach=reach):
        least_share, most_share = block.read(mask).aminmax()
        if least_share > 0.5 or most_share <= 0.5:
            continue
        told = (block.read(x).to(raw_rgb) for x in (mask, gain))
        least = model.least_level(block.read(raw_rgb), *told)
        for raw in (raw_rgb, *mosaics):
            block.paste(least.raised(block.read(raw))[..., *block.used], raw)
