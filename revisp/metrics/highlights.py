"""How well the light is restored that the photo clipped, by the number of its clipped channels.

Where one channel is clipped, the other two tell nearly all; where all three are, only the surroundings tell. A
mean over both says nothing about either, so each number of channels is scored alone, and beside the *oracle
constant*, which paints all its pixels with their true median: a method that does not beat it restores a level at
most.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.metrics.blind import fit_colour, green_stops

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.metrics.blind import BlindTruth

__all__ = ["HighlightErrors", "highlight_errors", "oracle_constant"]

LEAST = 200
"""Pixels without which a photo says nothing of its highlights."""

NEAR = 0.5
"""Stops within which a pixel counts as restored."""


class HighlightErrors(NamedTuple):
    """Errors of green over pixels with the same number of clipped channels; NaN where there are fewer than 200.

    Attributes:
        bias: mean error in stops; negative where highlights come out too dark.
        mae: mean absolute error in stops.
        texture: the same after the median error is taken off: what is wrong beside the level.
        near: share of the pixels within half a stop.
        rank: Spearman's rank correlation with the truth; NaN of a constant.
        pixels: their number.

    Example:
        >>> few = torch.zeros(10)
        >>> errors = _errors(few, few)
        >>> errors.pixels, errors.mae  # too few pixels to say anything
        (10, nan)
    """

    bias: float
    mae: float
    texture: float
    near: float
    rank: float
    pixels: int


def highlight_errors(prediction: Tensor, truth: BlindTruth) -> dict[int, HighlightErrors]:
    """Score the pixels that the photo clipped in one, two and three channels, and the sensor in none.

    The colours are matched by the matrix that fits best where nothing is clipped.

    Args:
        prediction: as `revisp.metrics.blind.in_units_of_truth` returns it, ``[3, h, w]``.
        truth: of `revisp.metrics.blind.blind_truth`.

    Returns:
        By the number of clipped channels.

    Example:
        >>> from revisp.metrics.blind import blind_truth, in_units_of_truth
        >>> light = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 1.2
        >>> truth = blind_truth(light / 2, light.clamp(0, 1))  # the photo clips, the sensor does not
        >>> predicted = in_units_of_truth(light.clamp(0, 1), truth)
        >>> errors = highlight_errors(predicted, truth)[1]
        >>> errors.pixels, errors.bias < 0  # too dark where green is clipped
        (837, True)
    """
    matrix = fit_colour(prediction[:, truth.usable], truth.light[:, truth.usable])
    predicted, true = green_stops(torch.einsum("ij,jhw->ihw", matrix, prediction)), green_stops(truth.light)
    return {n: _errors(predicted[truth.clipped == n], true[truth.clipped == n]) for n in (1, 2, 3)}


def oracle_constant(truth: BlindTruth) -> dict[int, HighlightErrors]:
    """Score the answer that gives all pixels of one number of clipped channels their true median.

    Example:
        >>> from revisp.metrics.blind import blind_truth
        >>> light = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 1.2
        >>> truth = blind_truth(light / 2, light.clamp(0, 1))
        >>> sorted(oracle_constant(truth))
        [1, 2, 3]
    """
    found = {}
    for n in (1, 2, 3):
        true = green_stops(truth.light)[truth.clipped == n]
        found[n] = _errors(true.median().expand_as(true) if true.numel() else true, true)
    return found


def _errors(predicted: Tensor, true: Tensor) -> HighlightErrors:
    from scipy.stats import spearmanr  # takes a second to import

    if true.numel() < LEAST:
        return HighlightErrors(math.nan, math.nan, math.nan, math.nan, math.nan, true.numel())
    error = predicted - true
    constant = bool(predicted.max() == predicted.min() or true.max() == true.min())
    return HighlightErrors(
        bias=error.mean().item(),
        mae=error.abs().mean().item(),
        texture=(error - error.median()).abs().mean().item(),
        near=(error.abs() <= NEAR).double().mean().item(),
        rank=math.nan if constant else float(spearmanr(predicted.cpu(), true.cpu()).statistic),
        pixels=true.numel(),
    )
