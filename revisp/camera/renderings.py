"""Random renderings of scenes, drawn from measured ones: one scene, many photos of it.

``renderings.json`` beside this module holds tone curves measured on cameras, and statistics of their colour looks
and noise, each with its source. A draw mixes some of the curves and bends the mixture, so that cameras between and
beyond the measured ones occur; flat and plain renderings join by formulas.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from revisp.camera.cameras import JPEG_QUALITY, SHARPENING, SHARPENING_RADIUS
from revisp.camera.draw import Draw
from revisp.camera.fitted import INTERVALS, as_tuples, plain_curve
from revisp.camera.isp import inverse_tone_curve, linear_to_srgb, srgb_to_linear
from revisp.camera.jpeg import ChromaSubsampling
from revisp.camera.looks import ColourLook, Waves
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from revisp.schema import Matrix

__all__ = ["curve_basis", "curve_coordinates", "measured_curves", "random_curve", "random_rendering"]

Array = np.ndarray[Any, Any]

MIXED = 3
"""Curves that a random one is mixed from."""

FORMULA_SHARE = 0.15
"""Share of the curves in which a formula stands in for one of the measured curves."""

BENDS = (0.10, 0.12, 0.08, 0.05, 0.03)
"""Deviation of the cosines, from the constant on, that bend the logarithm of a curve's slope."""

SHOULDER, TOE = 0.45, 0.30
"""Deviation of what is added to the logarithm of the slope towards white, and towards black. The measured cameras
have a long shoulder; action cameras and converters with a plain curve have hardly any."""

WIDE_SHARE, WIDE, NARROW = 0.3, 1.2, 0.5
"""Share of the curves that are bent widely, and the factors of these deviations: wide and narrow. Most cameras'
curves are much alike; some are not."""

CUT_SHARE, CUT = 0.15, (0.85, 1.0)
"""Share of the curves that are cut off below their white, and the sRGB value that becomes white."""

EXPOSURE_EV = (-0.4, 0.9)
"""Mean and deviation of the scene's geometric mean above mid grey: half of it is often shadow."""

BALANCE_EV = 0.12
"""Deviation of the white balance's error in red and in blue."""

CROSSTALK = 0.05
"""Deviation of a camera's colour matrix from the ideal one, each entry."""

CHROMA_LN = ((0.08, 0.10), (0.22, 0.14))
"""Mean and deviation of the logarithm of the factors of Cr and Cb. Cameras saturate the encoded photo, blue more
than red: six photos of a Canon PowerShot S40 and one of an EOS D30, each with its RAW, ask for 1.1 and 1.3."""

BLACK = 0.015
"""Deviation of the light taken off or added by a veil, as a share of mid grey's."""

LIFT = (0.0, 0.03)
SHADOWS = (0.0, 0.4)
LIGHTS = (0.0, 0.3)
LOCAL_RADIUS = (0.02, 0.2)
DENOISE = (0.3, 2.0)
"""Smoothing in units of the noise's deviation at mid grey."""

ENDLESS_SHARE, SENSOR_HEADROOM = 0.15, (0.0, 3.0)
"""Share of the sensors that never clip, as of merged exposures, and EV of the others' white above the photo's.
Cameras use their sensor up: those of a Canon PowerShot S40 and an EOS D30 clip 0.2 EV above the photo. Modes for
highlights keep a stop or two, and so do converters that brighten."""


@cache
def measured_curves() -> dict[str, tuple[float, ...]]:
    """Return the measured tone curves by name: light at the sRGB values 0, 1/64, ..., 1, as `FittedCamera`'s.

    Example:
        >>> curve = measured_curves()["Nikon D750"]
        >>> len(curve), curve[0], curve[-1]
        (65, 0.0, 1.0)
    """
    return {curve["name"]: tuple(curve["light"]) for curve in _data()["curves"]}


@cache
def curve_basis() -> tuple[Array, Array]:
    """Return the mean of random curves, and the ways in which they differ most from it.

    They describe a curve by the logarithm of its slope: first ln of the light at the first knot above black, mid
    grey 0.18, then ln of the steps of ln light from knot to knot.

    Returns:
        The mean ``[64]``, and the bends ``[10, 64]``, each one standard deviation.
    """
    basis = _data()["curve_basis"]
    return np.array(basis["mean"]), np.array(basis["bends"])


def curve_coordinates(curves: Array) -> Array:
    """Describe curves as `curve_basis` does.

    Args:
        curves: light at the sRGB values 0, 1/64, ..., 1, rising strictly, mid grey 0.18: ``[..., 65]``.

    Returns:
        ``[..., 64]``.

    Example:
        >>> curve = np.linspace(0, 1, 65)
        >>> first, *steps = curve_coordinates(curve)
        >>> np.allclose(np.exp(np.cumsum([first, *np.exp(steps)])), curve[1:])
        True
    """
    logarithms = np.log(np.maximum(curves[..., 1:], 1e-9))
    steps = np.log(np.maximum(np.diff(logarithms, axis=-1), 1e-4))
    return np.concatenate([logarithms[..., :1], steps], axis=-1)


def random_rendering(generator: torch.Generator) -> SceneRendering:
    """Draw a rendering: any camera's, or a converter's.

    Args:
        generator: source of randomness, on the CPU. The same state gives the same rendering.

    Example:
        >>> rendering = random_rendering(torch.Generator().manual_seed(0))
        >>> photo = rendering.render(torch.rand(3, 32, 32))
        >>> scene = rendering.scene(torch.rand(3, 32, 32))
    """
    draw = Draw(generator)
    curve = random_curve(generator)
    shot, read = _noise(draw)
    mean, deviation = EXPOSURE_EV
    return SceneRendering(
        curve=tuple(curve.tolist()),
        exposure=draw.normal(mean, deviation),
        protection=draw.maybe(0.6, lambda: draw.uniform(0, 1)),
        matrix=_matrix(draw),
        black=draw.maybe(0.5, lambda: draw.normal(0, BLACK)),
        lift=draw.maybe(0.3, lambda: draw.uniform(*LIFT)),
        by_luminance=draw.maybe(0.25, lambda: draw.uniform(0, 0.7)),
        light_look=_look(draw) if draw.uniform(0, 1) < 0.7 else ColourLook(),
        photo_look=_look(draw) if draw.uniform(0, 1) < 0.5 else ColourLook(),
        chroma=_chroma(draw),
        shadows=draw.maybe(0.25, lambda: draw.uniform(*SHADOWS)),
        lights=draw.maybe(0.15, lambda: draw.uniform(*LIGHTS)),
        local_radius=draw.uniform(*LOCAL_RADIUS),
        shot_noise=shot,
        read_noise=read,
        denoise=_grain(curve, shot, read) * draw.uniform(*DENOISE),
        sharpening=draw.uniform(*SHARPENING),
        sharpening_radius=draw.uniform(*SHARPENING_RADIUS),
        jpeg_quality=draw.integer(*JPEG_QUALITY),
        jpeg_chroma=draw.choice(get_args(ChromaSubsampling)),
        sensor_headroom=None if draw.uniform(0, 1) < ENDLESS_SHARE else draw.uniform(*SENSOR_HEADROOM),
    )


def random_curve(generator: torch.Generator) -> Array:
    """Draw a tone curve: measured ones mixed and bent.

    Curves are mixed by the logarithm of their slope in EV per sRGB value, so that each mixture rises strictly.

    Args:
        generator: source of randomness, on the CPU.

    Returns:
        Light at the sRGB values 0, 1/64, ..., 1: from 0 to 1, rising strictly, ``[65]`` float64.

    Example:
        >>> curve = random_curve(torch.Generator().manual_seed(0))
        >>> curve.shape, bool((np.diff(curve) > 0).all())
        ((65,), True)
    """
    draw = Draw(generator)
    parts = [draw.choice(tuple(measured_curves().values())) for _ in range(MIXED)]
    if draw.uniform(0, 1) < FORMULA_SHARE:
        parts[0] = _formula(draw)
    shares = np.array([-(math.log(draw.uniform(1e-9, 1)) ** 2) for _ in parts])  # uneven: one curve often leads
    slopes = np.average([_log_slopes(np.asarray(part)) for part in parts], axis=0, weights=shares)
    curve = _from_log_slopes(slopes + (WIDE if draw.uniform(0, 1) < WIDE_SHARE else NARROW) * _bend(draw))
    if draw.uniform(0, 1) < CUT_SHARE:
        knots = np.linspace(0, 1, INTERVALS + 1)
        curve = np.interp(knots * draw.uniform(*CUT), knots, curve)
    return _rising(curve)


def _formula(draw: Draw) -> Array:
    """Draw a curve that no camera was measured to have, but that converters and flat modes use."""
    srgb = torch.linspace(0, 1, INTERVALS + 1, dtype=torch.float64)
    kind = draw.integer(0, 3)
    if kind == 0:
        return plain_curve().numpy()
    if kind == 1:
        return srgb_to_linear(inverse_tone_curve(srgb, draw.uniform(0.2, 1))).numpy()
    if kind == 2:  # logarithmic, as of flat profiles: (base ** x - 1) / (base - 1)
        base = math.exp(draw.uniform(math.log(15), math.log(200)))
        return np.expm1(srgb.numpy() * math.log(base)) / (base - 1)
    beta, gamma = max(0.1, draw.normal(0.6, 0.1)), min(1.5, max(0.5, draw.normal(0.9, 0.1)))
    light = np.linspace(0, 1, 20 * INTERVALS) ** 2  # tone (1 + b) E^g / (b + E^g): RawGen, arXiv 2604.00093
    toned = (1 + beta) * light**gamma / (beta + light**gamma)
    return np.interp(srgb.numpy(), linear_to_srgb(torch.from_numpy(toned)).numpy(), light)


def _bend(draw: Draw) -> Array:
    """Draw what is added to the logarithm of the slope between knots."""
    x = (np.arange(1, INTERVALS) + 0.5) / INTERVALS
    bend = sum(draw.normal(0, deviation) * np.cos(k * math.pi * x) for k, deviation in enumerate(BENDS))
    return bend + draw.normal(0, SHOULDER) * _step(x, 0.5, 1.0) + draw.normal(0, TOE) * (1 - _step(x, 0.0, 0.4))


def _step(x: Array, start: float, end: float) -> Array:
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _log_slopes(curve: Array) -> Array:
    """Return ln of the EV between neighbouring knots but the first, which is black: ``[n - 1]``."""
    return np.log(np.maximum(np.diff(np.log2(_rising(curve)[1:])), 1e-4))


def _from_log_slopes(slopes: Array) -> Array:
    light = np.exp2(np.concatenate([[0.0], np.cumsum(np.exp(slopes))]))
    return np.concatenate([[0.0], light / light[-1]])


def _rising(curve: Array) -> Array:
    """Return a curve from 0 to 1 with steps large enough for single precision."""
    curve = curve + np.linspace(0, 1e-5, len(curve))
    return curve / curve[-1]


def _matrix(draw: Draw) -> Matrix:
    """Draw the error of white balance and primaries; greys stay grey but for the balance."""
    matrix = np.eye(3) + np.array([[draw.normal(0, CROSSTALK) for _ in range(3)] for _ in range(3)])
    matrix /= matrix.sum(axis=1, keepdims=True)
    balance = [2 ** draw.normal(0, BALANCE_EV), 1.0, 2 ** draw.normal(0, BALANCE_EV)]
    drawn: Matrix = as_tuples(np.array(balance)[:, None] * matrix)
    return drawn


def _look(draw: Draw) -> ColourLook:
    measured = _data()["colour_looks"]
    return ColourLook(_waves(draw, *measured["hue_degrees"]), _waves(draw, *measured["saturation_log2"]))


def _chroma(draw: Draw) -> tuple[float, float]:
    red, blue = (math.exp(draw.normal(*normal)) for normal in CHROMA_LN)
    return red, blue


def _waves(draw: Draw, constant: float, once: float, twice: float) -> Waves:
    """Draw the five numbers of a `ColourLook`, given the deviation of each wave's amplitude."""
    half = math.sqrt(0.5)
    level = draw.normal(0, constant)
    sine, cosine, sine_2, cosine_2 = (draw.normal(0, half * value) for value in (once, once, twice, twice))
    return level, sine, cosine, sine_2, cosine_2


def _noise(draw: Draw) -> tuple[float, float]:
    level = draw.choice(tuple(_data()["noise"]))
    shot = math.exp(draw.normal(*level["ln_shot"]))
    return shot, draw.choice(tuple(level["read"]))


def _grain(curve: Array, shot: float, read: float) -> float:
    """Return the noise's deviation at mid grey in sRGB values."""
    knot = int(linear_to_srgb(torch.tensor(MID_GREY)).item() * INTERVALS)
    slope = 1 / (INTERVALS * (curve[knot + 1] - curve[knot]))
    return slope * math.sqrt(shot * curve[knot] + read)


@cache
def _data() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path(__file__).with_name("renderings.json").read_text(encoding="utf-8"))
    if len(values["curves"][0]["light"]) != INTERVALS + 1:
        raise ConfigError("renderings.json has curves of another number of knots")
    return values
