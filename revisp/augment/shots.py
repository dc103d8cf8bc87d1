"""The random draws for one photo: camera, exposure and noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from revisp.camera.cameras import random_simulated_camera
from revisp.camera.draw import Draw
from revisp.camera.noise import NoiseLevels, amplified, random_noise_levels
from revisp.camera.simulate import SimulatedCamera
from revisp.cfa import CFA
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Generator

__all__ = ["MOST_EV", "Noise", "Range", "Shot", "check_range", "draw_shot", "with_phase"]

Noise = NoiseLevels | Literal["camera", "random"] | None
Range = tuple[float, float]

MOST_EV = 8.0
"""Limit of the exposure of a shot in EV, in both directions, as for ``data=simulated``."""


class Shot(NamedTuple):
    """The drawn settings by which one photo becomes RAW.

    Attributes:
        camera: the simulated camera; None: a model predicts the RAW.
        exposure: of the shot in EV; 0 keeps the brightness of the photo.
        noise: variances to add, at the drawn gain; None adds no noise.

    Example:
        >>> import torch
        >>> from revisp.augment import RGBToRAW
        >>> shot = RGBToRAW(exposures=(0, 0), noise="random").make_params([torch.rand(1, 3, 32, 48)])["shots"][0]
        >>> shot.exposure, shot.camera.profile.cfa, shot.noise.shot > 0
        (0.0, <CFA.RGGB: 'RGGB'>, True)
    """

    camera: SimulatedCamera | None
    exposure: float
    noise: NoiseLevels | None


def draw_shot(
    generator: Generator,
    *,
    cameras: Sequence[SimulatedCamera] | None,
    cfa: CFA,
    exposures: Range,
    noise: Noise,
    gain: Range,
) -> Shot:
    """Draw a shot.

    Args:
        generator: source of randomness, on the CPU.
        cameras: cameras to choose from; empty: random cameras (`random_simulated_camera`); None: a model predicts.
        cfa: Bayer phase of a random camera.
        exposures: least and most exposure in EV, drawn uniformly.
        noise: as for `RGBToRAW`.
        gain: least and most amplification of the noise, drawn uniformly in EV.
    """
    draw = Draw(generator)
    exposure = 0.0 if cameras is None else draw.uniform(*exposures)
    camera = None
    if cameras is not None:
        camera = draw.choice(tuple(cameras)) if cameras else random_simulated_camera(generator, cfa=cfa)
    levels = noise if isinstance(noise, NoiseLevels) else None
    if noise == "random":
        levels = random_noise_levels(generator)
    elif noise == "camera" and camera is not None:
        levels = camera.noise
    if levels is None:
        return Shot(camera, exposure, None)
    factor = 2 ** draw.uniform(*(math.log2(bound) for bound in gain))
    return Shot(camera, exposure, amplified(levels, factor))


def with_phase(
    cameras: Sequence[SimulatedCamera], cfa: CFA | str | None
) -> tuple[tuple[SimulatedCamera, ...], CFA]:
    """Return cameras of one Bayer phase, and the phase.

    Args:
        cameras: the cameras; empty: random cameras, which can have any phase.
        cfa: the phase; None: the cameras' own phase, or RGGB for random cameras.

    Raises:
        ConfigError: ``cfa`` is not a Bayer phase, or it is None and the cameras have different phases.
    """
    if cfa is not None:
        phase = CFA.parse(cfa)
    elif len(phases := {camera.profile.cfa for camera in cameras}) > 1:
        raise ConfigError(f"the cameras have the Bayer phases {', '.join(sorted(phases))}: choose one by cfa=")
    else:
        phase = next(iter(phases), CFA.RGGB)
    return tuple(_replace_phase(camera, phase) for camera in cameras), phase


def check_range(name: str, values: Any, low: float, high: float) -> Range:
    """Require two numbers, the least and the most, within [low, high].

    Raises:
        ConfigError: there are not two numbers, they lie outside, or the least exceeds the most.
    """
    try:
        least, most = (float(value) for value in values)
    except (TypeError, ValueError):
        least, most = math.nan, math.nan
    if not low <= least <= most <= high:
        raise ConfigError(f"{name} must be least and most within [{low:g}, {high:g}], got {values}")
    return least, most


def _replace_phase(camera: SimulatedCamera, cfa: CFA) -> SimulatedCamera:
    if camera.profile.cfa is cfa:
        return camera
    return dataclasses.replace(camera, profile=camera.profile.replace(cfa=cfa))
