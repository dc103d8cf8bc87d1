"""A measured camera on disk: its profile, its fitted rendering and its noise, as JSON.

`revisp-prepare` writes one for each camera of a data set, so that plain photos can be sent through that camera.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from revisp.camera.fitted import FittedCamera
from revisp.camera.json_file import json_of
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SimulatedCamera
from revisp.errors import ConfigError
from revisp.io.atomic import atomic_write

__all__ = ["load_camera", "load_curve", "load_profile", "save_camera"]

CAMERA_FILE = "a camera file of revisp-prepare"
"""What a file that cannot be read should have been, in messages."""


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
        if not isinstance(values, dict) or set(values) != {"profile", "fitted", "noise"}:
            raise ConfigError("it must hold profile, fitted and noise")
        profile = CameraProfile.from_dict(values["profile"])
        fitted = FittedCamera.from_dict(values["fitted"])
        noise = _noise(values["noise"])
    return SimulatedCamera(profile, shot_noise=noise.shot, read_noise=noise.read, rendering=fitted)


def load_profile(path: str | Path) -> CameraProfile:
    """Read a camera profile from its own JSON file, or from a camera file.

    Raises:
        ConfigError: the file is missing, not JSON, or holds no profile; the message names it.
    """
    with json_of(path, "a camera profile") as values:
        if not isinstance(values, dict):
            raise ConfigError("it must be a JSON object")
        return CameraProfile.from_dict(values.get("profile", values))


def load_curve(path: str | Path) -> tuple[float, ...]:
    """Read a tone curve: that of a camera file's fitted camera, or a list of numbers.

    Returns:
        Linear light at evenly spaced sRGB values, as `FittedCamera.curve`.

    Raises:
        ConfigError: the file is missing, not JSON, or holds neither; the message names it.
    """
    with json_of(path, f"{CAMERA_FILE}, nor a list of numbers") as values:
        if isinstance(values, dict):
            return FittedCamera.from_dict(values["fitted"]).curve
        return tuple(float(value) for value in values)


def _noise(values: Any) -> NoiseLevels:
    if not isinstance(values, dict) or set(values) != {"shot", "read"}:
        raise ConfigError("noise must hold shot and read")
    levels = NoiseLevels(float(values["shot"]), float(values["read"]))
    if not all(math.isfinite(value) and value >= 0 for value in levels):
        raise ConfigError(f"noise must not be negative, got {levels}")
    return levels
