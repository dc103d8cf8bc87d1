"""Under which conditions the camera took a picture: ISO, amount of light, and its colour."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from revisp.camera.temperature import correlated_temperature
from revisp.io.header import metadata_of

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile
    from revisp.data.entry import Entry

__all__ = ["Conditions", "conditions_of"]


class Conditions(NamedTuple):
    """How a picture was taken; a field is None if its file does not tell.

    Attributes:
        iso: ISO speed.
        light_value: amount of light, as the exposure value at ISO 100: about 0 at night, 6 indoors, 15 in the sun.
        temperature: colour of the light by the camera's white balance, in kelvin.

    Example:
        >>> Conditions(iso=100, light_value=14.6).temperature is None
        True
    """

    iso: int | None = None
    light_value: float | None = None
    temperature: float | None = None


def conditions_of(entry: Entry) -> Conditions:
    """Return the conditions of an image of a prepared data set, by the tags of the file that it was made of.

    Nothing is known of an image whose file is gone, but its white balance.
    """
    taken = metadata_of(Path(entry.sources[0]["path"])) if entry.sources else None
    light = None
    if taken is not None and taken.iso and taken.exposure_time and taken.f_number:
        light = math.log2(float(taken.f_number) ** 2 / float(taken.exposure_time) * 100 / taken.iso)
    return Conditions(taken.iso if taken is not None else None, light, _temperature(entry.profile))


def _temperature(profile: CameraProfile) -> float | None:
    """Return the temperature of the white balance, as the matrix for D65 tells it; None without one."""
    neutral = np.asarray(profile.as_shot_neutral)
    if (neutral == neutral[0]).all():
        return None
    xyz = np.linalg.solve(np.asarray(profile.color_matrix), neutral)
    if not xyz.sum() > 0:
        return None
    found = correlated_temperature(xyz[0] / xyz.sum(), xyz[1] / xyz.sum())
    return found if math.isfinite(found) else None
