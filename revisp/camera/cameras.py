"""Random cameras, drawn from the published colour matrices of real ones.

``color_matrices.json`` in this folder holds two facts for each camera, with their sources: the ColorMatrix2 (CIE
XYZ to camera RGB under D65) that Adobe DNG Converter publishes, and the black and white levels. A random camera
mixes the matrices of two of them, is balanced for a random illuminant, and renders with random settings in the
ranges of real cameras.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from revisp.camera.draw import Draw
from revisp.camera.highlights import HighlightMode
from revisp.camera.isp import ISPSettings
from revisp.camera.jpeg import ChromaSubsampling
from revisp.camera.noise import NoiseLevels, random_noise_levels
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SimulatedCamera
from revisp.cfa import CFA
from revisp.errors import ConfigError, UnknownNameError, near_miss
from revisp.schema import Matrix

__all__ = [
    "EXPOSURES",
    "KnownCamera",
    "camera_neutral",
    "illuminant_xy",
    "known_cameras",
    "known_profile",
    "random_camera_profile",
    "random_simulated_camera",
    "typical_profile",
]

EXPOSURES = (-0.7, 1.3)
"""Range of the exposure of a shot in EV, drawn uniformly: from hardly overexposed to washed out."""

TEMPERATURES = (2700.0, 8000.0)
"""Range of the light's correlated colour temperature in kelvin, drawn uniformly in mired: from household lamps to
open shade."""

HEADROOM_EV = (0.3, 2.0)
"""EV from the JPEG's white to the sensor's. Cameras keep about 1 EV, and more in their extended-range modes."""

ABOVE_SENSOR_EV = (0.5, 2.5)
"""EV by which the brightest place of the scene exceeds the sensor's white: suns and lamps always do."""

FULL_WELL = (1.2, 4.0)
"""Full well over the converter's white. It is 1 and a small reserve at base ISO, and doubles with ISO."""

CONTRAST = (0.0, 0.7)
GAMMA = (0.85, 1.1)
LIFT = (0.0, 0.02)
"""Tone curve. Contrast 1 is UPI's smoothstep, steeper than consumer renderings; black lies within 5 of 255."""

ROLLOFF_START = (0.5, 0.9)
"""Linear light at which highlights begin to roll off."""

ROLLOFF = (0.2, 1.0)
"""Share of the headroom, in EV, that the roll-off compresses below white."""

LOCAL_TONE = (0.0, 0.35)
"""Lift of shadows. The strongest dynamic range modes of cameras raise 4 EV below mid grey by about 1.5 EV."""

SHARPENING = (0.0, 0.8)
SHARPENING_RADIUS = (0.5, 1.5)
"""Unsharp mask: the range of amounts and radii in cameras' menus."""

DENOISE = (0.3, 2.0)
"""Smoothing in units of the noise's deviation at mid grey."""

FALLOFF_EV = (0.0, 1.5)
"""Light loss in the corners in EV: natural falloff and vignetting of common lenses at open apertures."""

JPEG_QUALITY = (80, 95)
"""From a phone's economy setting to a camera's finest, in libjpeg's scale."""

DAYLIGHT = 5500.0
"""Colour temperature in kelvin of the light that a known camera's profile is balanced for, unless it is given."""

GREY_SLOPE = 1.2
"""Slope of the sRGB curve at mid grey: converts noise of linear light to noise of encoded values."""


class KnownCamera(NamedTuple):
    """A real camera's constants.

    Attributes:
        make: manufacturer.
        model: camera model.
        kind: dslr, mirrorless, medium format, compact, phone or action.
        bits: bits of the stored values.
        black: black level in stored units.
        white: white level in stored units.
        color_matrix: CIE XYZ (D65) to camera RGB, as Adobe DNG's ColorMatrix2.
    """

    make: str
    model: str
    kind: str
    bits: int
    black: float
    white: float
    color_matrix: Matrix

    def profile(self, temperature: float = DAYLIGHT) -> CameraProfile:
        """Return the camera's profile, RGGB, whose neutral is that of a light of this temperature in kelvin.

        Raises:
            ConfigError: a temperature outside `illuminant_xy`'s range.
        """
        return CameraProfile(
            make=self.make,
            model=self.model,
            cfa=CFA.RGGB,
            black_level=(float(self.black),) * 4,
            white_level=float(self.white),
            bits=self.bits,
            color_matrix=self.color_matrix,
            as_shot_neutral=camera_neutral(self.color_matrix, temperature),
        )


@cache
def known_cameras() -> tuple[KnownCamera, ...]:
    """Return the real cameras that random cameras are mixed from.

    Example:
        >>> camera = known_cameras()[0]
        >>> camera.make, camera.kind, camera.bits, camera.white
        ('Canon', 'dslr', 14, 16383)
    """
    return _table("cameras")


def _table(part: str) -> tuple[KnownCamera, ...]:
    text = Path(__file__).with_name("color_matrices.json").read_text(encoding="utf-8")
    return tuple(KnownCamera(**camera) for camera in json.loads(text)[part])


def known_profile(name: str, *, temperature: float = DAYLIGHT) -> CameraProfile:
    """Return the profile of a real camera of the table, RGGB.

    The table does not tell where a camera's Bayer pattern begins, which depends on how its maker crops the sensor.

    Args:
        name: make and model, as ``"Canon EOS 5D Mark II"``, in any case.
        temperature: colour temperature in kelvin of the light that the neutral is for (`camera_neutral`); daylight
            by default, as for the canonical sensor.

    Raises:
        UnknownNameError: no such camera; the message suggests similar names.
        ConfigError: a temperature outside `illuminant_xy`'s range.

    Example:
        >>> profile = known_profile("nikon d750")
        >>> profile.name, profile.white_level, [round(gain, 2) for gain in profile.gains]
        ('Nikon D750', 15520.0, [2.02, 1.0, 1.36])
    """
    profiles = [camera.profile(temperature) for camera in (*known_cameras(), *_table("targets"))]
    for profile in profiles:
        if profile.name.lower() == " ".join(name.split()).lower():
            return profile
    raise UnknownNameError(near_miss("camera", name, [profile.name for profile in profiles]))


def illuminant_xy(temperature: float) -> tuple[float, float]:
    """Return the CIE 1931 chromaticity of a light of a correlated colour temperature.

    Daylight from 4000 K (CIE 15:2004, equations 3.2 to 3.4). Below that, a black body by the cubic of Kang et al.,
    "Design of Advanced Color-Temperature Control System for HDTV Applications" (J. Korean Physical Society 41(6),
    2002).

    Args:
        temperature: in kelvin, from 1667 to 25000.

    Raises:
        ConfigError: a temperature outside the formulas' range.
    """
    if not 1667 <= temperature <= 25000:
        raise ConfigError(f"colour temperature must lie in 1667..25000 K, got {temperature}")
    t = 1e3 / temperature
    if temperature < 4000:
        x = float(np.polyval([-0.2661239, -0.2343589, 0.8776956, 0.179910], t))
        low = (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
        mid = (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        return x, float(np.polyval(low if temperature < 2222 else mid, x))
    cool = (-2.0064, 1.9018, 0.24748, 0.237040)
    warm = (-4.6070, 2.9678, 0.09911, 0.244063)
    x = float(np.polyval(warm if temperature <= 7000 else cool, t))
    return x, -3.0 * x * x + 2.870 * x - 0.275


def camera_neutral(color_matrix: Any, temperature: float) -> tuple[float, float, float]:
    """Return the camera's RGB of a white object under a light, green = 1: the matrix times the light's XYZ.

    Args:
        color_matrix: CIE XYZ to camera RGB ``[3, 3]``. The matrix for D65 is accurate enough under other lights.
        temperature: correlated colour temperature of the light in kelvin (`illuminant_xy`).

    Raises:
        ConfigError: a temperature outside `illuminant_xy`'s range.
    """
    x, y = illuminant_xy(temperature)
    red, green, blue = np.asarray(color_matrix) @ [x / y, 1.0, (1 - x - y) / y]
    return float(red / green), 1.0, float(blue / green)


@cache
def typical_profile() -> CameraProfile:
    """Return the mean of the random cameras, which stands for all of them in a model.

    Its colour matrix is the mean over the known cameras. Its light is the middle of the range, and its levels are
    those of many cameras of 14 bits. A model trained on random cameras guesses the camera from the photo, so this
    profile develops its RAW plausibly, not exactly.
    """
    cameras = known_cameras()
    matrix = np.mean([camera.color_matrix for camera in cameras], axis=0)
    temperature = 2 / sum(1 / value for value in TEMPERATURES)
    return CameraProfile(
        make="revisp",
        model=f"Mean of {len(cameras)} cameras at {temperature:.0f} K",
        cfa=CFA.RGGB,
        black_level=(512.0, 512.0, 512.0, 512.0),
        white_level=16383.0,
        bits=14,
        color_matrix=matrix.tolist(),
        as_shot_neutral=camera_neutral(matrix, temperature),
    )


def random_camera_profile(generator: torch.Generator, *, cfa: CFA | str | None = None) -> CameraProfile:
    """Draw a sensor: a mix of two real cameras' matrices, a light, a Bayer phase, and the first camera's levels.

    Args:
        generator: source of randomness, on the CPU.
        cfa: Bayer phase; None draws one of the four.

    Raises:
        ConfigError: not a Bayer phase.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> profile = random_camera_profile(generator, cfa="GRBG")
        >>> profile.model
        '0.71 PowerShot G7 X Mark II + 0.29 DMC-GX85 at 4207 K'
        >>> profile.cfa.value
        'GRBG'
    """
    draw = Draw(generator)
    cameras = known_cameras()
    first, second = draw.integer(0, len(cameras) - 1), draw.integer(0, len(cameras) - 2)
    one, other = cameras[first], cameras[second + (second >= first)]
    share = draw.uniform(0, 1)
    matrix = share * np.asarray(one.color_matrix) + (1 - share) * np.asarray(other.color_matrix)
    temperature = 1e6 / draw.uniform(1e6 / TEMPERATURES[1], 1e6 / TEMPERATURES[0])
    drawn = draw.choice(tuple(CFA))
    return CameraProfile(
        make="revisp",
        model=f"{share:.2f} {one.model} + {1 - share:.2f} {other.model} at {temperature:.0f} K",
        cfa=drawn if cfa is None else CFA.parse(cfa),
        black_level=(float(one.black),) * 4,
        white_level=float(one.white),
        bits=one.bits,
        color_matrix=matrix.tolist(),
        as_shot_neutral=camera_neutral(matrix, temperature),
    )


def random_simulated_camera(generator: torch.Generator, *, cfa: CFA | str | None = None) -> SimulatedCamera:
    """Draw a camera: `random_camera_profile`, noise by `random_noise_levels`, and a random rendering.

    Its scenes exceed the white of the JPEG and that of the sensor. The rendering is inverted on the photo
    (``invert``), so that the JPEG looks like a photo and not like a photo rendered twice.

    Args:
        generator: source of randomness, on the CPU.
        cfa: Bayer phase; None draws one of the four.

    Raises:
        ConfigError: not a Bayer phase.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> camera = random_simulated_camera(generator)
        >>> camera.develop(torch.rand(3, 64, 64)).shape
        torch.Size([3, 64, 64])
    """
    profile = random_camera_profile(generator, cfa=cfa)
    noise = random_noise_levels(generator)
    draw = Draw(generator)
    headroom_ev = draw.uniform(*HEADROOM_EV)
    falloff, isp = _random_look(draw, headroom_ev, noise)
    return SimulatedCamera(
        profile,
        headroom=2**headroom_ev,
        contrast=draw.uniform(*CONTRAST),
        shot_noise=noise.shot,
        read_noise=noise.read,
        full_well=draw.uniform(*FULL_WELL),
        expansion=2 ** (headroom_ev + draw.uniform(*ABOVE_SENSOR_EV)),
        jpeg_quality=draw.integer(*JPEG_QUALITY),
        jpeg_chroma=draw.choice(get_args(ChromaSubsampling)),
        shading=falloff,
        isp=isp,
        invert=True,
    )


def _random_look(draw: Draw, headroom_ev: float, noise: NoiseLevels) -> tuple[tuple[float, ...], ISPSettings]:
    """Draw the lens's falloff, and a rendering that corrects a random share of it."""
    loss, bend = 2 ** draw.uniform(*FALLOFF_EV) - 1, draw.uniform(0.3, 1.0)
    falloff = (loss * bend, loss * (1 - bend))
    corrected = draw.uniform(0, 1)
    headroom = 2**headroom_ev
    grain = GREY_SLOPE * headroom * math.sqrt(noise.shot * 0.18 / headroom + noise.read)
    return falloff, ISPSettings(
        gamma=draw.uniform(*GAMMA),
        lift=draw.uniform(*LIFT),
        highlights=draw.choice(get_args(HighlightMode)),
        knee=draw.uniform(*ROLLOFF_START),
        rolloff=headroom_ev * draw.uniform(*ROLLOFF),
        local_tone=draw.uniform(*LOCAL_TONE),
        denoise=grain * draw.uniform(*DENOISE),
        sharpening=draw.uniform(*SHARPENING),
        sharpening_radius=draw.uniform(*SHARPENING_RADIUS),
        shading=tuple(corrected * value for value in falloff),
    )
