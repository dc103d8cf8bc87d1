"""A measured camera on disk: its profile, its fitted rendering and its noise, as JSON.

`revisp-prepare` writes one for each camera of a data set, so that plain photos can be sent through that camera.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from revisp.camera.fitted import FittedCamera
from revisp.camera.json_file import json_of
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile, Profile
from revisp.camera.simulate import SimulatedCamera
from revisp.errors import ConfigError
from revisp.io.atomic import atomic_write
from revisp.schema import Number, Numbers, build, check_fields, part, validated

__all__ = ["load_camera", "load_curve", "load_profile", "save_camera"]

CAMERA_FILE = "a camera file of revisp-prepare"
"""What a file that cannot be read should have been, in messages."""


_CURVE = TypeAdapter(Numbers)


@dataclass(frozen=True)
class _Noise:
    """Noise of a camera file, as `NoiseLevels`."""

    shot: Annotated[Number, Field(ge=0, le=1)]
    read: Annotated[Number, Field(ge=0, le=1)]

    def __post_init__(self) -> None:
        check_fields(self, "noise", ConfigError)


@dataclass(frozen=True)
class _CameraFile:
    """The content of a camera file."""

    profile: Profile
    fitted: Annotated[FittedCamera, part(FittedCamera, "fitted camera", ConfigError)]
    noise: Annotated[_Noise, part(_Noise, "noise", ConfigError)]

    def __post_init__(self) -> None:
        check_fields(self, "camera file of revisp-prepare", ConfigError)


def save_camera(path: str | Path, profile: CameraProfile, fitted: FittedCamera, noise: NoiseLevels) -> None:
    """Write a camera file.

    Args:
        path: the JSON file.
        profile: CFA, levels and colour.
        fitted: the fitted rendering of the camera.
        noise: noise of its normalised RAW.

    Raises:
        OutputError: the file cannot be written.
    """
    values = {"profile": profile.to_dict(), "fitted": fitted.to_dict(), "noise": noise._asdict()}
    with atomic_write(path) as file:
        file.write((json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def load_camera(path: str | Path) -> SimulatedCamera:
    """Read a camera file as a camera to simulate.

    Raises:
        ConfigError: the file is missing, not JSON, or not a camera file; the message names it.
    """
    with json_of(path, CAMERA_FILE) as values:
        measured = build(_CameraFile, values, "camera file of revisp-prepare", ConfigError)
    shot, read = measured.noise.shot, measured.noise.read
    return SimulatedCamera(measured.profile, shot_noise=shot, read_noise=read, rendering=measured.fitted)


def load_profile(path: str | Path) -> CameraProfile:
    """Read a camera profile from its own JSON file, or from a camera file.

    Raises:
        ConfigError: the file is missing, not JSON, or holds no profile; the message names it.
    """
    with json_of(path, "a camera profile") as values:
        whole = isinstance(values, dict) and "profile" in values
        return CameraProfile.from_dict(values["profile"] if whole else values)


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
