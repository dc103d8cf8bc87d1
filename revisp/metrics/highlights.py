"""Errors of the restored light where the photo is clipped, by the number of clipped channels.

If one channel is clipped, the other two nearly determine it. If all three are, only the surroundings give
evidence. A mean over both cases describes neither, so each number of channels is scored separately. The *oracle
constant* gives all pixels of one case their true median. A method that is not better than it restores no more than
a level.
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

LEAST_PIXELS = 200
"""Least number of pixels for a score."""

NEAR_STOPS = 0.5
"""Error in stops up to which a pixel counts as restored."""


class HighlightErrors(NamedTuple):
    """Errors of green over pixels with the same number of clipped channels; NaN where there are fewer than 200.

    Attributes:
        bias: mean error in stops; negative where highlights are too dark.
        mae: mean absolute error in stops.
        texture: mean absolute error in stops after the median error is subtracted; an error of the level has no
            effect.
        near: share of the pixels within half a stop.
        rank: Spearman's rank correlation with the truth; NaN for a constant.
        pixels: number of pixels.

    Example:
        >>> from revisp.metrics.blind import blind_truth
        >>> unclipped = torch.rand(3, 64, 64) * 0.9
        >>> errors = oracle_constant(blind_truth(unclipped, unclipped))[3]
        >>> errors.pixels, errors.mae  # fewer than 200 pixels have no error
        (0, nan)
    """

    bias: float
    mae: float
    texture: float
    near: float
    rank: float
    pixels: int


def highlight_errors(prediction: Tensor, truth: BlindTruth) -> dict[int, HighlightErrors]:
    """Score the pixels that the photo clipped in one, two and three channels, and the sensor in none.

    Before the comparison the colours are matched by the matrix that fits best on unclipped pixels.

    Args:
        prediction: as `revisp.metrics.blind.in_units_of_truth` returns it, ``[3, h, w]``.
        truth: of `revisp.metrics.blind.blind_truth`.

    Returns:
        The errors by the number of clipped channels.

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
    """Score the oracle constant: all pixels with one number of clipped channels get their true median.

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

    if true.numel() < LEAST_PIXELS:
        return HighlightErrors(math.nan, math.nan, math.nan, math.nan, math.nan, true.numel())
    error = predicted - true
    constant = bool(predicted.max() == predicted.min() or true.max() == true.min())
    return HighlightErrors(
        bias=error.mean().item(),
        mae=error.abs().mean().item(),
        texture=(error - error.median()).abs().mean().item(),
        near=(error.abs() <= NEAR_STOPS).double().mean().item(),
        rank=math.nan if constant else float(spearmanr(predicted.cpu(), true.cpu()).statistic),
        pixels=true.numel(),
    )
