"""Means over cameras, and paired differences of two methods with confidence intervals for small sets."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Difference", "camera_mean", "paired_difference"]

BOOTSTRAP_DRAWS = 4000
"""Resamplings of the bootstrap."""

INTERVAL_PERCENTILES = (2.5, 97.5)
"""Percentiles between which the difference lies in 95 % of the resamplings."""


class Difference(NamedTuple):
    """The difference of a method to a baseline.

    Attributes:
        mean: mean difference over the exposures of a camera, then over cameras.
        low: lower end of its 95 % interval; NaN for a single exposure, which has none.
        high: upper end of its 95 % interval.
        above: number of exposures in which the method is above the baseline.
        exposures: number of exposures; with few of them the interval is wide.

    Example:
        >>> found = Difference(mean=0.6, low=0.2, high=1.1, above=9, exposures=10)
        >>> found.low > 0  # the interval excludes 0
        True
    """

    mean: float
    low: float
    high: float
    above: int
    exposures: int


def camera_mean(values: Sequence[float], cameras: Sequence[str]) -> float:
    """Return the mean over photos within a camera, then over cameras; NaN and infinite values do not count.

    Args:
        values: a figure of each photo.
        cameras: the camera of each photo.

    Example:
        >>> camera_mean([1.0, 3.0, 8.0], ["one", "one", "other"])
        5.0
    """
    found = defaultdict(list)
    for value, camera in zip(values, cameras, strict=True):
        if math.isfinite(value):
            found[camera].append(value)
    means = [math.fsum(those) / len(those) for those in found.values()]
    return math.fsum(means) / len(means) if means else math.nan


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], cameras: Sequence[str], exposures: Sequence[str]
) -> Difference:
    """Compare a method with a baseline on the same photos, by a paired bootstrap over exposures.

    Renderings of one exposure are no new evidence: their mean counts, and exposures are drawn with replacement.

    Args:
        values: a figure of each photo by the method.
        baseline: the same by the baseline.
        cameras: the camera of each photo.
        exposures: the exposure of each photo: photos of one name are renderings of one RAW.

    Example:
        >>> paired_difference([2.0, 3.0], [1.0, 2.0], ["one", "one"], ["a", "b"])
        Difference(mean=1.0, low=1.0, high=1.0, above=2, exposures=2)
    """
    by_exposure = defaultdict(list)
    for value, other, camera, exposure in zip(values, baseline, cameras, exposures, strict=True):
        if math.isfinite(value - other):
            by_exposure[camera, exposure].append(value - other)
    if not by_exposure:
        return Difference(math.nan, math.nan, math.nan, 0, 0)
    differences = np.array([np.mean(those) for those in by_exposure.values()])
    names = sorted({camera for camera, _ in by_exposure})
    member = np.array([[camera == name for name in names] for camera, _ in by_exposure], float)
    count = len(differences)
    mean, above = float(_means(np.ones((1, count)), differences, member)[0]), int((differences > 0).sum())
    if count < 2:
        return Difference(mean, math.nan, math.nan, above, count)
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, size=BOOTSTRAP_DRAWS)
    low, high = np.percentile(_means(drawn, differences, member), INTERVAL_PERCENTILES)
    return Difference(mean, float(low), float(high), above, count)


def _means(times: np.ndarray, differences: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the mean over cameras of each draw, in which each exposure occurs ``times[draw, exposure]`` times."""
    occurrences = times @ member
    sums = times @ (differences[:, None] * member)
    present = occurrences > 0
    means: np.ndarray = np.where(present, sums / np.maximum(occurrences, 1), 0).sum(1) / present.sum(1)
    return means
