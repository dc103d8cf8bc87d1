"""A measured camera on disk: its profile, fitted rendering, noise and ceilings, as JSON.

`revisp-prepare` writes one for each camera of a data set, so that photos and scenes can be sent through that
camera.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter

from revisp.camera.fitted import FittedCamera
from revisp.camera.json_file import json_of
from revisp.camera.noise import NoiseLevels, amplified
from revisp.camera.profile import CameraProfile, Profile
from revisp.camera.simulate import SimulatedCamera
from revisp.errors import ConfigError
from revisp.io.atomic import write_text
from revisp.schema import Number, Numbers, Whole, build, check_fields, part, validated

__all__ = ["IsoNoise", "MeasuredCamera", "load_camera", "load_curve", "load_profile", "read_camera", "save_camera"]

CAMERA_FILE = "a camera file of revisp-prepare"
"""What a file that cannot be read should have been, in messages."""


_FARTHEST = 8
"""Factor by which an ISO speed may lie beyond those at which noise was measured."""

_CURVE = TypeAdapter(Numbers)

Ceiling = Annotated[Number, Field(gt=0, le=4)] | None
Side = Annotated[Whole, Field(ge=16, le=2**20)]


@dataclass(frozen=True)
class _Noise:
    """Noise of a camera file, as `NoiseLevels`."""

    shot: Annotated[Number, Field(ge=0, le=1)]
    read: Annotated[Number, Field(ge=0, le=1)]

    def __post_init__(self) -> None:
        check_fields(self, "noise", ConfigError)


Variance = Annotated[Number, Field(ge=0, le=1)]


@dataclass(frozen=True)
class IsoNoise:
    """Noise at one ISO speed: the median over pictures.

    Attributes:
        iso: the ISO speed; None if the files do not tell.
        shot: as in `NoiseLevels`.
        read: as in `NoiseLevels`.
        spread: standard deviation of ``shot`` over the pictures; None for one picture.
        pictures: number of pictures.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> IsoNoise(iso=100, shot=2e-4, read=1e-6).pictures
        1
    """

    iso: Whole | None
    shot: Variance
    read: Variance
    spread: Number | None = None
    pictures: Whole = 1

    def __post_init__(self) -> None:
        check_fields(self, "noise by ISO", ConfigError)

    @property
    def levels(self) -> NoiseLevels:
        """Shot and read noise."""
        return NoiseLevels(self.shot, self.read)


@dataclass(frozen=True)
class MeasuredCamera:
    """The content of a camera file.

    Attributes:
        profile: CFA, levels and colour.
        fitted: the fitted rendering, with its standard errors (`revisp.camera.fitted.FitErrors`).
        noise: noise of the normalised RAW, the median of all pictures.
        noise_by_iso: the same for each ISO speed.
        ceilings: where R, Gr, Gb, B really saturate, normalised (black 0, white 1); None for a colour that
            saturates too rarely to tell.
        size: height and width of the camera's photos in pixels; None if they may be cut.

    Raises:
        ConfigError: a value has the wrong type or is outside its range.
    """

    profile: Profile
    fitted: Annotated[FittedCamera, part(FittedCamera, "fitted camera", ConfigError)]
    noise: Annotated[_Noise, part(_Noise, "noise", ConfigError)]
    noise_by_iso: tuple[Annotated[IsoNoise, part(IsoNoise, "noise by ISO", ConfigError)], ...] = ()
    ceilings: tuple[Ceiling, Ceiling, Ceiling, Ceiling] = (None, None, None, None)
    size: tuple[Side, Side] | None = None

    def __post_init__(self) -> None:
        check_fields(self, "camera file of revisp-prepare", ConfigError)

    def noise_at(self, iso: float) -> NoiseLevels:
        """Return the noise at an ISO speed: interpolated between measured ones in the logarithm, or amplified.

        Raises:
            ConfigError: the speed is over three stops from those that were measured.
        """
        known = sorted((each.iso, each.levels) for each in self.noise_by_iso if each.iso is not None)
        if not known or not known[0][0] / _FARTHEST <= iso <= known[-1][0] * _FARTHEST:
            measured = ", ".join(str(speed) for speed, _ in known) or "no ISO speed"
            raise ConfigError(f"{self.profile.name}: no noise at ISO {iso:g}; measured: {measured}")
        near = min(max(iso, known[0][0]), known[-1][0])
        speeds, levels = np.log([speed for speed, _ in known]), np.array([each for _, each in known])
        shot, read = (float(np.interp(np.log(near), speeds, column)) for column in levels.T)
        return amplified(NoiseLevels(shot, read), iso / near)

    @property
    def simulated(self) -> SimulatedCamera:
        """The camera as one to simulate, with the median of its noise."""
        shot, read = self.noise.shot, self.noise.read
        return SimulatedCamera(self.profile, shot_noise=shot, read_noise=read, rendering=self.fitted)


def save_camera(
    path: str | Path,
    profile: CameraProfile,
    fitted: FittedCamera,
    noise: NoiseLevels,
    *,
    noise_by_iso: Sequence[IsoNoise] = (),
    ceilings: Sequence[float | None] = (None,) * 4,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a camera file.

    Args:
        path: the JSON file.
        profile: CFA, levels and colour.
        fitted: the fitted rendering of the camera.
        noise: noise of its normalised RAW.
        noise_by_iso: as `MeasuredCamera.noise_by_iso`.
        ceilings: as `MeasuredCamera.ceilings`.
        size: as `MeasuredCamera.size`.

    Raises:
        OutputError: the file cannot be written.
    """
    values = {
        "profile": profile.to_dict(),
        "fitted": fitted.to_dict(),
        "noise": noise._asdict(),
        "noise_by_iso": [dataclasses.asdict(each) for each in noise_by_iso],
        "ceilings": list(ceilings),
        "size": size,
    }
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def read_camera(path: str | Path) -> MeasuredCamera:
    """Read a camera file.

    Raises:
        ConfigError: the file is missing, not JSON, or not a camera file; the message names it.
    """
    with json_of(path, CAMERA_FILE) as values:
        return build(MeasuredCamera, values, "camera file of revisp-prepare", ConfigError)


def load_camera(path: str | Path) -> SimulatedCamera:
    """Read a camera file as a camera to simulate.

    Raises:
        ConfigError: as `read_camera`.
    """
    return read_camera(path).simulated


def load_profile(path: str | Path) -> CameraProfile:
    """Read a camera profile from its own JSON file, or from a camera file.

    Raises:
        ConfigError: the file is missing, not JSON, holds no profile, or is a camera file with a damaged part; the
            message names it.
    """
    with json_of(path, "a camera profile") as values:
        if not isinstance(values, dict) or "profile" not in values:
            return CameraProfile.from_dict(values)
        if len(values) == 1:
            return CameraProfile.from_dict(values["profile"])
        return build(MeasuredCamera, values, "camera file of revisp-prepare", ConfigError).profile


def load_curve(path: str | Path) -> tuple[float, ...]:
    """Read a tone curve: that of a camera file's fitted camera, or a list of numbers.

    Returns:
        Linear light at evenly spaced sRGB values, as `FittedCamera.curve`.

    Raises:
        ConfigError: the file is missing, not JSON, or holds neither; the message names it.
    """
    with json_of(path, f"{CAMERA_FILE}, nor a list of numbers") as values:
        if isinstance(values, dict):
            return FittedCamera.from_dict(values.get("fitted")).curve
        return validated(_CURVE, values, "a tone curve", ConfigError)
