"""Means over the pictures that were taken under like conditions: by ISO, amount of light, and its colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from revisp.data.conditions import Conditions
from revisp.evaluation.scores import ImageScores, mean_scores

__all__ = ["Group", "group_images", "labels_of"]

STOPS = tuple(100.0 * 2**stop for stop in range(-1, 12))
"""Limits of the groups by ISO."""

LIGHT_VALUES = (3.0, 8.0, 12.0)
"""Limits of the groups by amount of light: night, indoors, dull weather, sun."""

TEMPERATURES = (3500.0, 4500.0, 6000.0)
"""Limits of the groups by colour of the light in kelvin: lamps, mixed light, daylight, shade."""


class Group(NamedTuple):
    """Pictures that were taken under like conditions.

    Attributes:
        condition: name of the condition, a field of `Conditions`.
        low: least value.
        high: the value from which the next group begins; infinite for the last.
        images: number of pictures, or of tiles.
        mean: mean figures by name.

    Example:
        >>> Group("iso", 200, 400, 3, {"psnr": 40.0}).name
        'iso_200_to_400'
    """

    condition: str
    low: float
    high: float
    images: int
    mean: Mapping[str, float]

    @property
    def name(self) -> str:
        """Its name in `scores.json`."""
        if math.isinf(self.high):
            return f"{self.condition}_from_{self.low:g}"
        if math.isinf(self.low):
            return f"{self.condition}_below_{self.high:g}"
        return f"{self.condition}_{self.low:g}_to_{self.high:g}"


def labels_of(conditions: Conditions) -> dict[str, str]:
    """Return the conditions that are known, as labels of a picture (`ImageScores.labels`)."""
    digits = {"iso": 0, "light_value": 1, "temperature": 0}
    return {name: f"{value:.{digits[name]}f}" for name, value in conditions._asdict().items() if value is not None}


def group_images(images: Sequence[ImageScores]) -> list[Group]:
    """Return the groups of pictures, in order; those of one condition follow each other.

    ISO is grouped by stops from 100 on. A condition that is alike for all pictures makes no groups.

    Args:
        images: figures of pictures, whose labels are those of `labels_of`; a picture without a label is in no
            group of that condition.
    """
    limits = {"iso": STOPS, "light_value": LIGHT_VALUES, "temperature": TEMPERATURES}
    groups = []
    for condition in Conditions._fields:
        known = [(float(image.labels[condition]), image) for image in images if condition in image.labels]
        found = []
        for low, high in pairwise((-math.inf, *limits[condition], math.inf)):
            inside = [image for value, image in known if low <= value < high]
            if inside:
                found.append(Group(condition, low, high, len(inside), mean_scores(inside)))
        groups += found if len(found) > 1 else []
    return groups
