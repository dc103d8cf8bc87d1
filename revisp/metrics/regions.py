"""The samples of a RAW that count in a score, and the names of regions: one rule for trainings and evaluations.

Invalid pixels count nowhere. The prediction takes the true value there, so that SSIM windows next to them contain
no error. Regions are always those of the hard luma mask of Overexposure Mask Fusion (Kim, Jiang, Gu, arXiv
2210.11511), even if a model uses another mask: overexposed pixels of the photo (OE), and all others (NOE).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from revisp.cfa import CFA, pack
from revisp.mask import overexposure_mask

__all__ = ["REGIONS", "ScoredPlanes", "scored_planes", "split_regions"]

REGIONS = ("", "_oe", "_noe")
"""Suffix of a score over all pixels, over the overexposed ones, and over the rest."""


class ScoredPlanes(NamedTuple):
    """A reconstruction in the form that scores take.

    Attributes:
        prediction: packed RAW ``[..., 4, h, w]``.
        truth: packed RAW ``[..., 4, h, w]``.
        regions: packed weights in [0, 1] by suffix: all of `REGIONS`, or only ``""`` without a photo.
    """

    prediction: Tensor
    truth: Tensor
    regions: Mapping[str, Tensor]


def scored_planes(
    prediction: Tensor,
    truth: Tensor,
    srgb: Tensor | None = None,
    valid: Tensor | None = None,
    cfa: CFA | str = CFA.RGGB,
) -> ScoredPlanes:
    """Apply the module's rule to packed RAW.

    Args:
        prediction: packed RAW ``[..., 4, h, w]``.
        truth: packed RAW of the same shape.
        srgb: the photo ``[..., 3, 2h, 2w]`` in [0, 1]; None: no regions.
        valid: ``[..., 1, 2h, 2w]``, 0 where a pixel does not count; None: all count.
        cfa: Bayer phase of both mosaics; mask and validity are packed with it.

    Raises:
        ShapeError: a photo without three channels.

    Example:
        >>> truth = torch.rand(4, 16, 16)
        >>> list(scored_planes(truth, truth, torch.rand(3, 32, 32)).regions)
        ['', '_oe', '_noe']
    """
    counts = torch.ones_like(truth) if valid is None else pack(valid.to(truth), cfa)
    mask = None if srgb is None else pack(overexposure_mask(srgb).to(truth), cfa)
    return ScoredPlanes(torch.where(counts > 0, prediction, truth), truth, split_regions(counts, mask))


def split_regions(counts: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """Return the weight of each region by its suffix; without a mask only that of all samples."""
    if mask is None:
        return {"": counts}
    return dict(zip(REGIONS, (counts, mask * counts, (1 - mask) * counts), strict=True))
