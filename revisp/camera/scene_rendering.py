"""A rendering of scene light as a photo, described by numbers, and the scene that belongs to the photo.

The order of the steps: exposure, matrix, noise, local tone, the clip and the tone curve, colour look,
chroma, denoising, sharpening, 8 bits and JPEG.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from revisp.camera.detail import MID_GREY, check_detail, denoise, local_tone, sharpen
from revisp.camera.fitted import plain_curve
from revisp.camera.isp import apply_ccm, linear_to_srgb, srgb_to_linear
from revisp.camera.jpeg import ChromaSubsampling, check_jpeg, compress_jpeg
from revisp.camera.looks import ColourLook, apply_look, luminance, scale_chroma
from revisp.camera.noise import NoiseLevels, add_noise
from revisp.camera.profile import MOST_COEFFICIENT
from revisp.camera.tables import read_tables
from revisp.checks import check_image
from revisp.errors import ConfigError
from revisp.schema import Matrix, Number, Numbers, Whole, build, check_fields, part

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MID_GREY", "SceneRendering", "luminance"]

HIGHLIGHT_QUANTILE = 0.99
"""Share of the pixels that metering for the highlights keeps below white."""

DARKEST_METERED = 1e-6
"""Luminance, relative to the picture's mean, that metering takes black for."""

TABLE_LIGHT = np.linspace(0, 1, 2049) ** 2
"""Light of the entries of a table: dense towards black, where encoded values rise steeply."""

SHARE_ENDS = {"protection": 1.0, "by_luminance": 1.0, "lift": 0.999, "shadows": 0.999, "lights": 0.999}
"""Fields that begin at 0, and where they end."""

Look = Annotated[ColourLook, part(ColourLook, "colour look", ConfigError)]

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class SceneRendering:
    """How a camera or a converter turns scene light into a photo. The defaults are sRGB encoding alone.

    Light is linear, in sRGB's primaries, balanced so that a neutral object is grey, and here scaled so that what
    becomes the photo's white is 1.

    Attributes:
        curve: linear light at evenly spaced sRGB values, from 0 to 1 and rising strictly, linear between: the
            inverse of the tone curve, as in `FittedCamera`.
        exposure: EV of the scene's geometric mean above what the curve renders as mid grey.
        protection: share, in [0, 1], of metering for the highlights: at 1 a hundredth of the pixels is clipped.
        matrix: light to the light that the curve is applied to: error of white balance and primaries, saturation.
        black: light that is taken off, as a share of mid grey's; negative adds a veil.
        lift: sRGB value of black, in [0, 1).
        by_luminance: share, in [0, 1], of applying the curve to the luminance and keeping ratios of channels; the
            rest is applied to each channel.
        light_look: colour look of the light, before the curve.
        photo_look: colour look of the photo, after the curve.
        chroma: factors of Cr and Cb in the photo, after that (`scale_chroma`).
        shadows: strength in [0, 1) of the lift of dark places (`local_tone`).
        lights: strength in [0, 1) of the lowering of bright places.
        local_radius: half the window of these, as a share of the photo's shorter side.
        shot_noise: variance per unit of light.
        read_noise: variance without light.
        denoise: deviation of the noise to smooth, in encoded units.
        sharpening: amount of the unsharp mask.
        sharpening_radius: its deviation in pixels.
        jpeg_quality: quality of the JPEG file; None: no file, values are not even rounded.
        jpeg_chroma: its chroma subsampling.
        sensor_headroom: EV of the sensor's white above the photo's; None: the sensor never clips. It changes the
            RAW alone (`revisp.camera.canonical.sensor_reading`).

    Raises:
        ConfigError: a value outside its range; the message names the field.

    Example:
        >>> from revisp.camera.fitted import decode
        >>> light = torch.rand(3, 16, 16)
        >>> photo = SceneRendering().render(light, gain=1.0)
        >>> torch.allclose(decode(photo, plain_curve().float()), light, atol=1e-5)
        True
    """

    curve: Numbers = field(default_factory=lambda: tuple(plain_curve().tolist()))
    exposure: Number = 0.0
    protection: Number = 0.0
    matrix: Matrix = IDENTITY
    black: Number = 0.0
    lift: Number = 0.0
    by_luminance: Number = 0.0
    light_look: Look = field(default_factory=ColourLook)
    photo_look: Look = field(default_factory=ColourLook)
    chroma: tuple[Number, Number] = (1.0, 1.0)
    shadows: Number = 0.0
    lights: Number = 0.0
    local_radius: Number = 0.05
    shot_noise: Number = 0.0
    read_noise: Number = 0.0
    denoise: Number = 0.0
    sharpening: Number = 0.0
    sharpening_radius: Number = 1.0
    jpeg_quality: Whole | None = None
    jpeg_chroma: ChromaSubsampling = "4:2:0"
    sensor_headroom: Number | None = None

    def __post_init__(self) -> None:
        check_fields(self, "scene rendering", ConfigError)
        curve = np.asarray(self.curve)
        if len(curve) < 2 or curve[0] != 0 or curve[-1] != 1 or not (np.diff(curve) > 0).all():
            raise ConfigError("scene rendering: curve must rise strictly from 0 to 1")
        if np.abs(self.matrix).max() > MOST_COEFFICIENT or np.linalg.cond(self.matrix) > 1e6:
            raise ConfigError("scene rendering: matrix must be an invertible 3x3 matrix")
        for name, end in SHARE_ENDS.items():
            if not 0 <= getattr(self, name) <= end:
                raise ConfigError(f"scene rendering: {name} must lie in [0, {end:g}], got {getattr(self, name)}")
        if not 0 < self.local_radius <= 1:
            raise ConfigError("scene rendering: local_radius must lie in (0, 1]")
        if min(self.chroma) <= 0:
            raise ConfigError(f"scene rendering: chroma must be two positive factors, got {list(self.chroma)}")
        if min(self.shot_noise, self.read_noise) < 0:
            raise ConfigError("scene rendering: shot_noise and read_noise must be >= 0")
        if self.sensor_headroom is not None and self.sensor_headroom < 0:
            raise ConfigError(f"scene rendering: sensor_headroom must be >= 0, got {self.sensor_headroom}")
        check_detail(self.denoise, self.sharpening, self.sharpening_radius)
        if self.jpeg_quality is not None:
            check_jpeg(self.jpeg_quality, self.jpeg_chroma)

    @cached_property
    def mid_grey(self) -> float:
        """Light that the curve renders as mid grey, white 1."""
        return float(np.interp(_srgb_grey(), np.linspace(0, 1, len(self.curve)), self.curve))

    @property
    def clean(self) -> SceneRendering:
        """The same rendering without noise, smoothing, sharpening and a file."""
        return dataclasses.replace(
            self, shot_noise=0.0, read_noise=0.0, denoise=0.0, sharpening=0.0, jpeg_quality=None
        )

    def meter(self, light: Tensor) -> float:
        """Return the factor that exposes a scene: light ``[..., 3, H, W]`` of any scale to white 1.

        Raises:
            ShapeError: not a floating tensor of three channels.
            ConfigError: the scene is black.
        """
        check_image(light, 3, "light")
        values = luminance(light)
        mean = values.mean().item()
        if not 0 < mean < math.inf:
            raise ConfigError(f"scene rendering: a scene of this mean luminance cannot be exposed: {mean}")
        key = values.clamp_min(DARKEST_METERED * mean).log2().mean().item()
        by_mean = math.log2(self.mid_grey) + self.exposure - key
        if self.protection == 0:
            return 2.0**by_mean
        bright = light.amax(dim=-3).flatten().float()
        rank = max(1, math.ceil(HIGHLIGHT_QUANTILE * bright.numel()))
        highlights = math.log2(max(bright.kthvalue(rank).values.item(), DARKEST_METERED * mean))
        return 2.0 ** ((1 - self.protection) * by_mean - self.protection * highlights)

    def scene(self, light: Tensor, gain: float | None = None) -> Tensor:
        """Return the scene's light on the scale that the photo tells: what it renders as mid grey is `MID_GREY`.

        Args:
            light: ``[..., 3, H, W]`` of any scale.
            gain: factor to white 1, for crops that `meter` should not judge alone; None meters the light.

        Raises:
            ShapeError: not a floating tensor of three channels.
            ConfigError: no gain is given and the scene is black.
        """
        check_image(light, 3, "light")
        return light * ((self.meter(light) if gain is None else gain) * MID_GREY / self.mid_grey)

    @torch.no_grad()
    def render(
        self,
        light: Tensor,
        gain: float | None = None,
        *,
        generator: torch.Generator | None = None,
        margin: int = 0,
    ) -> Tensor:
        """Make the photo of a scene.

        Args:
            light: ``[3, H, W]`` or ``[B, 3, H, W]``, linear sRGB primaries, of any scale.
            gain: as for `scene`.
            generator: source of the noise; None makes none.
            margin: pixels on each side that the photo is made without, a multiple of 16. They are only looked at.

        Returns:
            sRGB in [0, 1] of the same shape, without the margin; in steps of 1/255 with a JPEG quality.

        Raises:
            ShapeError: not a floating tensor of three channels.
            ConfigError: no gain is given and the scene is black.
        """
        check_image(light, 3, "light")
        exposed = light * (self.meter(light) if gain is None else gain)
        if generator is not None and max(self.shot_noise, self.read_noise) > 0:
            exposed = add_noise(exposed, NoiseLevels(self.shot_noise, self.read_noise), generator)
        height, width = light.shape[-2:]
        inside = (..., slice(margin, height - margin), slice(margin, width - margin))
        prepared = self._prepare(exposed)
        if self.jpeg_quality is None and self.denoise == self.sharpening == 0:
            return self._finish(self._tone(prepared[inside]))
        return self._store(self._finish(self._tone(prepared)))[inside]

    def to_dict(self) -> dict[str, Any]:
        """Return the rendering as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> SceneRendering:
        """Build a rendering from JSON values.

        Raises:
            ConfigError: a field is unknown or wrong.
        """
        return build(cls, values, "scene rendering", ConfigError)

    def _prepare(self, light: Tensor) -> Tensor:
        """Do all that comes before the curve."""
        if self.matrix != IDENTITY:
            light = apply_ccm(light, self.matrix)
        if not self.light_look.neutral:
            light = apply_look(light, self.light_look)
        mid = self.mid_grey
        light = (light - self.black * mid).clamp_min(0)
        radius = max(1, round(self.local_radius * min(light.shape[-2:])))
        return local_tone(light, self.shadows, radius, lights=self.lights, mid_grey=mid)

    def _tone(self, light: Tensor) -> Tensor:
        """Clip, apply the curve and the colour look of the photo: encoded values without lift."""
        encoded = torch.from_numpy(np.interp(TABLE_LIGHT, self.curve, np.linspace(0, 1, len(self.curve))))
        if self.photo_look.neutral and self.by_luminance == 0:
            return _read(encoded, light.clamp(0, 1))
        shown = srgb_to_linear(encoded)
        display = _read(shown, light.clamp(0, 1))
        if self.by_luminance:
            level = luminance(light).clamp_(1e-6, 1)
            ratio = _read(shown, level.clone()).div_(level)
            display = display.lerp_((light * ratio).clamp_(0, 1), self.by_luminance)
        if not self.photo_look.neutral:
            display = apply_look(display, self.photo_look).clamp_(0, 1)
        return _read(_srgb_table(), display)

    def _finish(self, srgb: Tensor) -> Tensor:
        """Do all that comes after the colour look, but the file."""
        if self.chroma != (1.0, 1.0):
            srgb = scale_chroma(srgb, srgb.new_tensor(self.chroma)).clamp_(0, 1)
        if self.lift:
            srgb = self.lift + (1 - self.lift) * srgb
        srgb = denoise(srgb, self.denoise)
        return sharpen(srgb, self.sharpening, self.sharpening_radius).clamp(0, 1)

    def _store(self, srgb: Tensor) -> Tensor:
        if self.jpeg_quality is None:
            return srgb
        if srgb.ndim == 3:
            return compress_jpeg(srgb, self.jpeg_quality, self.jpeg_chroma)
        photos = [compress_jpeg(photo, self.jpeg_quality, self.jpeg_chroma) for photo in srgb.flatten(0, -4)]
        return torch.stack(photos).view_as(srgb)


def _read(table: Tensor, light: Tensor) -> Tensor:
    """Read a table over `TABLE_LIGHT` at light in [0, 1] of any shape, which is overwritten."""
    read = read_tables(table.to(torch.float32)[None].to(light.device), light.sqrt_().float()[None])
    return read[0].to(light.dtype)


@cache
def _srgb_grey() -> float:
    return linear_to_srgb(torch.tensor(MID_GREY, dtype=torch.float64)).item()


@cache
def _srgb_table() -> Tensor:
    return linear_to_srgb(torch.from_numpy(TABLE_LIGHT))
