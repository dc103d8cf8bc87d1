"""How far a prediction is from proportional to the light: what a curve, and no matrix, would still put right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Linearity", "linearity"]

DARKEST_BIN = -6
"""Stops below the unit at which the first bin begins; the last one ends at the unit."""

BINS_A_STOP = 4
LEAST = 200
"""Pixels without which a bin says nothing."""

ENDS = 4
"""Bins at each end that the shadow-highlight bias takes the mean of."""


class Linearity(NamedTuple):
    """How green answers to the true green, in stops against stops; NaN where too few bins are filled.

    Attributes:
        slope: stops of the prediction for each true stop, by least squares over the bins; ideal 1. Below 1 the
            prediction has too little contrast, as code values that keep their gamma.
        departure: RMS over the bins of the distance from the nearest line of slope 1, in stops; ideal 0.
        shadow_highlight: distance of the four darkest bins less that of the four brightest, in stops; ideal 0,
            positive where shadows come out too bright against the highlights.

    Example:
        >>> linearity(torch.zeros(10), torch.zeros(10)).slope  # too few pixels
        nan
    """

    slope: float
    departure: float
    shadow_highlight: float


def linearity(predicted: Tensor, true: Tensor) -> Linearity:
    """Measure linearity over bins of a quarter of a stop of the *true* value, so that all methods share the bins.

    A bin stands at the median of its true values and is worth the median of its predicted ones; bins from -6 to 0
    stops with at least 200 pixels count.

    Args:
        predicted: log2 of green after the fit of E3, ``[n]`` (`revisp.metrics.blind.green_stops`).
        true: log2 of the true green ``[n]``, 0 at the unit.

    Example:
        >>> stops = torch.linspace(-6, 0, 24000, dtype=torch.float64)
        >>> [round(figure, 2) for figure in linearity(0.5 * stops, stops)]
        [0.5, 0.87, 2.5]
    """
    places, values = _medians(predicted, true)
    if len(places) < 2:
        return Linearity(math.nan, math.nan, math.nan)
    x, y = torch.stack(places), torch.stack(values)
    distance, centred = y - x, x - x.mean()
    ends = (distance[:ENDS].mean() - distance[-ENDS:].mean()).item() if len(places) >= 2 * ENDS else math.nan
    return Linearity(
        slope=((centred * y).sum() / centred.square().sum()).item(),
        departure=distance.std(correction=0).item(),
        shadow_highlight=ends,
    )


def _medians(predicted: Tensor, true: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the median true and predicted value of each bin that is filled, from dark to bright."""
    bins = ((true - DARKEST_BIN) * BINS_A_STOP).floor().long()
    places, values = [], []
    for index in range(-DARKEST_BIN * BINS_A_STOP):
        inside = bins == index
        if int(inside.sum()) >= LEAST:
            places.append(true[inside].median())
            values.append(predicted[inside].median())
    return places, values
