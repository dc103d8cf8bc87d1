"""Consistency over styles: a method that undoes the style predicts one RAW from all renderings of a RAW."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.errors import ConfigError
from revisp.metrics.blind import fit_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.metrics.blind import BlindTruth

__all__ = ["StyleConsistency", "style_consistency"]


class StyleConsistency(NamedTuple):
    """PSNR over all ordered pairs of two styles, in dB.

    Attributes:
        cross: PSNR of a style with the matrix fitted on another style, and its own exposure.
        drop: PSNR of the styles with their own matrices minus `cross`; ideal 0.

    Example:
        >>> StyleConsistency(cross=38.0, drop=0.5).cross + 0.5  # PSNR of styles with matrices of their own
        38.5
    """

    cross: float
    drop: float


def style_consistency(predictions: Sequence[Tensor], truths: Sequence[BlindTruth]) -> StyleConsistency:
    """Compare the predictions from several renderings of one RAW.

    Args:
        predictions: ``[3, h, w]`` from `revisp.metrics.blind.in_units_of_truth`, one for each style. Take eight or
            more: fewer styles are too similar to distinguish methods.
        truths: from `revisp.metrics.blind.blind_truth`, one for each style; their clipped pixels differ.

    Raises:
        ConfigError: fewer than two styles.

    Example:
        >>> from revisp.metrics.blind import blind_truth, in_units_of_truth
        >>> light = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.9
        >>> truth = blind_truth(light, light)
        >>> linear, tinted, bent = (in_units_of_truth(x, truth) for x in (light, 0.5 * light, light**0.5))
        >>> style_consistency([linear, tinted], [truth, truth]).drop < 0.01
        True
        >>> style_consistency([linear, bent], [truth, truth]).drop > 1
        True
    """
    if len(predictions) < 2:
        raise ConfigError(f"the consistency of styles needs at least 2 renderings, got {len(predictions)}")
    seen = [
        (given[:, truth.usable], truth.light[:, truth.usable])
        for given, truth in zip(predictions, truths, strict=True)
    ]
    matrices = [fit_colour(given, true) for given, true in seen]
    rows = [[_psnr(matrix @ given, true) for given, true in seen] for matrix in matrices]
    psnr = torch.tensor(rows, dtype=torch.float64)
    same = psnr.diagonal().mean()
    cross = (psnr.sum() - psnr.diagonal().sum()) / (psnr.numel() - len(psnr))
    return StyleConsistency(cross.item(), (same - cross).item())


def _psnr(matched: Tensor, true: Tensor) -> float:
    """Return the PSNR after one gain."""
    error = (fit_colour(matched, true, "e1") @ matched - true).square().mean().item()
    return -10 * math.log10(error) if error else math.inf
