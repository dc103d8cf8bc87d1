"""Scores of one picture, overall and by region, and their mean over pictures.

The definitions are those of AIM 2022 (`revisp.metrics`): float64, peak 1, for each picture. The score of a set is
the arithmetic mean over its pictures, not the PSNR of their mean error. `revisp.metrics.regions` defines the
pixels that count, here and in the test of a training: all, the overexposed ones (OE), and all others (NOE).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from revisp.cfa import CFA
from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError
from revisp.mask import overexposure_mask
from revisp.metrics.by_region import psnr_ssim
from revisp.metrics.regions import ScoredPlanes, scored_planes, split_regions

__all__ = [
    "Evaluation",
    "ImageScores",
    "mean_scores",
    "score_pair",
    "score_srgb",
]

Figures = Callable[[ScoredPlanes], Mapping[str, float]]
"""Computes the figures of a picture by name."""


@dataclass(frozen=True)
class ImageScores:
    """The figures of a picture.

    Attributes:
        name: name of the picture or of its tile.
        scores: figures by name; NaN if a region is empty.
        labels: other facts about the picture by name, such as its camera.

    Example:
        >>> ImageScores("street", {"psnr": 31.5}, {"camera": "A"}).scores["psnr"]
        31.5
    """

    name: str
    scores: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The figures of a set.

    Attributes:
        images: the figures of each picture.
        notes: explanations of the figures, and lines on files that were left out.

    Example:
        >>> found = Evaluation((ImageScores("a", {"psnr": 30.0}), ImageScores("b", {"psnr": 40.0})))
        >>> found.mean, found.summary["images"]
        ({'psnr': 35.0}, 2)
    """

    images: tuple[ImageScores, ...]
    notes: tuple[str, ...] = ()

    def noting(self, *lines: str) -> Self:
        """Return the same figures with more notes."""
        return replace(self, notes=(*self.notes, *lines))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the figures, in the order of their first occurrence."""
        return tuple(mean_scores(self.images))

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each figure over the pictures that have it; NaN if no picture has it."""
        return mean_scores(self.images)

    @property
    def summary(self) -> dict[str, float | int | str | None]:
        """The mean figures (None for one that no picture has), the number of ``images``, and notes as ``note``."""
        values: dict[str, float | int | str | None] = {
            name: value if math.isfinite(value) else None for name, value in self.mean.items()
        }
        values["images"] = len(self.images)
        if self.notes:
            values["note"] = "; ".join(self.notes)
        return values


def mean_scores(images: Sequence[ImageScores]) -> dict[str, float]:
    """Return the mean of each figure over the pictures that have it; NaN if no picture has it."""
    found = {}
    for name in dict.fromkeys(name for image in images for name in image.scores):
        values = [value for image in images if not math.isnan(value := image.scores.get(name, math.nan))]
        found[name] = math.fsum(values) / len(values) if values else math.nan
    return found


def score_pair(
    prediction: Tensor,
    truth: Tensor,
    srgb: Tensor | None = None,
    *,
    cfa: CFA | str = CFA.RGGB,
    valid: Tensor | None = None,
    figures: Sequence[Figures] = (),
) -> dict[str, float]:
    """Score a RAW against the truth.

    Args:
        prediction: packed RAW ``[4, h, w]``, in [0, 1], h and w at least 11.
        truth: packed RAW ``[4, h, w]``.
        srgb: the photo ``[3, 2h, 2w]`` in [0, 1]; None: no figures by region.
        cfa: Bayer phase of the two mosaics, by which the mask is packed.
        valid: ``[1, 2h, 2w]``, 0 for a pixel that counts in no figure. There the prediction is replaced by the
            truth, so that the SSIM of neighbours does not depend on it. None: all pixels count.
        figures: the figures to compute; empty: PSNR and SSIM of AIM 2022.

    Returns:
        By default ``psnr`` and ``ssim``, and with a photo all of `revisp.metrics.by_region.SCORES`; NaN if a
        region is empty.

    Raises:
        ShapeError: shapes do not fit, the prediction is outside [0, 1], or values are not finite.

    Example:
        >>> truth = torch.full((4, 16, 24), 0.5)
        >>> scores = score_pair(truth + 0.1, truth)
        >>> round(scores["psnr"], 1), sorted(scores)
        (20.0, ['psnr', 'ssim'])
    """
    _check(prediction, truth, 4)
    _check_full_size(srgb, 3, truth, "srgb")
    _check_full_size(valid, 1, truth, "valid")
    planes = scored_planes(prediction, truth, srgb, valid, cfa)
    return {name: value for compute in figures or (psnr_ssim,) for name, value in compute(planes).items()}


def score_srgb(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """Score a picture against a photo by the same definitions, over three planes R, G, B instead of four.

    Args:
        prediction: sRGB ``[3, H, W]``, in [0, 1], H and W at least 11.
        truth: the photo ``[3, H, W]`` in [0, 1]; its overexposed pixels define the regions.

    Returns:
        All of `revisp.metrics.by_region.SCORES`; NaN if a region is empty.

    Raises:
        ShapeError: shapes do not fit, the prediction is outside [0, 1], or values are not finite.

    Example:
        >>> photo = torch.full((3, 16, 24), 0.5)
        >>> scores = score_srgb(photo - 0.01, photo)
        >>> round(scores["psnr"], 1), scores["psnr_oe"]  # no pixel is overexposed
        (40.0, nan)
    """
    _check(prediction, truth, 3)
    mask = overexposure_mask(truth)
    counts = torch.ones_like(truth)
    regions = split_regions(counts, mask.expand(3, -1, -1))
    return psnr_ssim(ScoredPlanes(prediction, truth, regions))


def _check(prediction: Tensor, truth: Tensor, channels: int) -> None:
    for x, name in ((prediction, "prediction"), (truth, "truth")):
        check_image(x, channels, name)
        if x.ndim != 3:
            raise ShapeError(f"{name} must be a single picture [{channels}, h, w], got {list(x.shape)}")
        if not x.isfinite().all():
            raise ShapeError(f"{name} holds values that are not finite numbers")
    check_same_size(prediction, truth, ("prediction", "truth"))
    low, high = prediction.min().item(), prediction.max().item()
    if not 0 <= low <= high <= 1:
        raise ShapeError(f"prediction must lie in [0, 1], got {low:g} to {high:g}: clamp it first")


def _check_full_size(x: Tensor | None, channels: int, planes: Tensor, name: str) -> None:
    if x is None:
        return
    check_image(x, channels, name)
    height, width = (2 * size for size in planes.shape[-2:])
    if x.shape != (channels, height, width):
        raise ShapeError(f"{name} must be [{channels}, {height}, {width}], got {list(x.shape)}")
