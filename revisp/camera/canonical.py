"""One sensor for all scenes: the RAW that a photo of an unknown camera is turned into.

A photo tells neither its camera's colours nor its exposure. So the target is a sensor that is always the same,
under light that is always the same, with what the photo shows as mid grey always at the same value: it is decided
by the scene alone. DNG matrices take it from there to any other camera.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from revisp.camera.cameras import DAYLIGHT, camera_neutral, known_cameras
from revisp.camera.isp import apply_ccm, apply_gains
from revisp.camera.profile import CameraProfile
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.cfa import CFA

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "HEADROOM_EV",
    "TEMPERATURE",
    "canonical_profile",
    "light_matrix",
    "light_to_raw",
    "raw_to_light",
    "sensor_reading",
]

HEADROOM_EV = 5.0
"""EV from mid grey to the sensor's white. Cameras have 3 or a little more; the rest is for the light of highlights
that the photo has lost."""

TEMPERATURE = DAYLIGHT
"""Colour temperature in kelvin of the light that the sensor is balanced for: daylight."""

RAW_OF_LIGHT = 2.0**-HEADROOM_EV / MID_GREY
"""RAW of green over light, for a grey."""


@cache
def canonical_profile() -> CameraProfile:
    """Return the canonical sensor: the mean colours of the known cameras in daylight, RGGB, 16 bits.

    Example:
        >>> profile = canonical_profile()
        >>> profile.bits, [round(gain, 2) for gain in profile.gains]
        (16, [2.19, 1.0, 1.59])
    """
    matrix = np.mean([camera.color_matrix for camera in known_cameras()], axis=0)
    return CameraProfile(
        make="revisp",
        model=f"Canonical sensor in daylight of {TEMPERATURE:.0f} K",
        cfa=CFA.RGGB,
        black_level=(1024.0,) * 4,
        white_level=65535.0,
        bits=16,
        color_matrix=matrix.tolist(),
        as_shot_neutral=camera_neutral(matrix, TEMPERATURE),
    )


@cache
def light_matrix() -> np.ndarray[Any, Any]:
    """Return the 3x3 matrix of `light_to_raw`, for callers that join it with their own."""
    profile = canonical_profile()
    return RAW_OF_LIGHT * profile.srgb_to_camera / np.asarray(profile.gains)[:, None]


def light_to_raw(light: Tensor) -> Tensor:
    """Put scene light on the canonical sensor.

    Args:
        light: ``[..., 3, H, W]``: linear, in sRGB's primaries, balanced so that a neutral object is grey, on the
            scale of `revisp.camera.scene_rendering.SceneRendering.scene`: mid grey is 0.18.

    Returns:
        Demosaiced RAW ``[..., 3, H, W]``, black 0, white 1, unclamped, not white-balanced; the green of mid grey
        is 1/32.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> import torch
        >>> grey = torch.full((3, 1, 1), 0.18)
        >>> [round(32 * v, 2) for v in light_to_raw(grey).flatten().tolist()]
        [0.46, 1.0, 0.63]
    """
    return apply_ccm(light, light_matrix())


def raw_to_light(raw_rgb: Tensor) -> Tensor:
    """Undo `light_to_raw`.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> import torch
        >>> light = torch.rand(3, 8, 8)
        >>> torch.allclose(raw_to_light(light_to_raw(light)), light, atol=1e-5)
        True
    """
    profile = canonical_profile()
    return apply_ccm(apply_gains(raw_rgb, profile.gains), profile.camera_to_srgb / RAW_OF_LIGHT)


def sensor_reading(rendering: SceneRendering, light: Tensor, gain: float | None = None) -> Tensor:
    """Return what the canonical sensor reads of a scene when a camera takes a photo of it.

    No light above the white of the camera's sensor (``rendering.sensor_headroom``) reaches its RAW. A neutral
    highlight stays neutral: each colour is clipped where green is, after white balance, as converters clip.

    Args:
        rendering: how the camera makes its photo.
        light: ``[..., 3, H, W]`` of any scale, as `light_to_raw` takes it.
        gain: factor to the photo's white, as for `SceneRendering.scene`.

    Returns:
        Demosaiced RAW ``[..., 3, H, W]`` in [0, 1], not white-balanced, without noise.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: no gain is given and the scene is black.

    Example:
        >>> import torch
        >>> sun = torch.full((3, 1, 1), 100.0)
        >>> photo_white, stop_above = (
        ...     sensor_reading(SceneRendering(sensor_headroom=ev), sun, gain=1.0) for ev in (0.0, 1.0)
        ... )
        >>> torch.allclose(stop_above, 2 * photo_white)
        True
    """
    raw_rgb = light_to_raw(rendering.scene(light, gain))
    headroom = HEADROOM_EV if rendering.sensor_headroom is None else rendering.sensor_headroom
    white = min(1.0, 2.0 ** (headroom - HEADROOM_EV) / rendering.mid_grey)
    most = raw_rgb.new_tensor([white / gain for gain in canonical_profile().gains]).view(3, 1, 1)
    return raw_rgb.clamp_min(0).minimum(most)
