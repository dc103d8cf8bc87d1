"""Linearity of a prediction: its deviation from proportionality to light, which only a curve could correct."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Linearity", "linearity"]

DARKEST_BIN = -6
"""Start of the first bin, in stops relative to the unit. The last bin ends at the unit."""

BINS_A_STOP = 4
LEAST_PIXELS = 200
"""Least number of pixels in a bin that counts."""

END_BINS = 4
"""Bins at each end that are averaged for the shadow-highlight bias."""


class Linearity(NamedTuple):
    """Predicted green against true green, both in stops; NaN where too few bins are filled.

    Attributes:
        slope: stops of the prediction per true stop, by least squares over the bins; ideal 1. Below 1 the
            prediction has too little contrast, like gamma-encoded values.
        departure: RMS over the bins of the distance from the nearest line of slope 1, in stops; ideal 0.
        shadow_highlight: mean error of the four darkest bins minus that of the four brightest, in stops; ideal 0,
            positive if shadows are too bright relative to highlights.

    Example:
        >>> linearity(torch.zeros(10), torch.zeros(10)).slope  # too few pixels
        nan
    """

    slope: float
    departure: float
    shadow_highlight: float


def linearity(predicted: Tensor, true: Tensor) -> Linearity:
    """Measure linearity over bins of a quarter of a stop of the *true* value, so that all methods share the bins.

    The point of a bin is the median of its true values and the median of its predicted values. Bins from -6 to 0
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
    ends = (
        (distance[:END_BINS].mean() - distance[-END_BINS:].mean()).item()
        if len(places) >= 2 * END_BINS
        else math.nan
    )
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
        if int(inside.sum()) >= LEAST_PIXELS:
            places.append(true[inside].median())
            values.append(predicted[inside].median())
    return places, values
