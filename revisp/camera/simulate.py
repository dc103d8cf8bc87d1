"""A simulated camera: from a photo to the RAW and the JPEG that the camera would have stored of its scene.

The photo is decoded to linear light and serves as the scene. Its clipped highlights are expanded first. The JPEG
clips one stop below the sensor, so that the RAW holds detail where the JPEG is overexposed. The brightest parts of
the scene also saturate the sensor::

    photo ─▶ scene light ─▶ exposure ─▶ sensor: colour, clip, CFA, noise, quantisation ─┬─▶ RAW
                                                                                       └─▶ demosaic, ISP, JPEG
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.camera.expansion import expand_highlights, highlight_gain
from revisp.camera.isp import ForwardISP, ISPSettings, Rendering, apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.jpeg import ChromaSubsampling, check_jpeg, compress_jpeg, round_to_8_bits
from revisp.camera.noise import NoiseLevels, add_noise, noise_levels
from revisp.camera.place import Place
from revisp.camera.profile import CameraProfile
from revisp.camera.shading import apply_shading, check_shading
from revisp.camera.unprocess import UPI_XYZ_TO_CAMERA
from revisp.cfa import CFA
from revisp.checks import check_image
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SIMULATED", "SimulatedCamera", "SimulatedPair", "expose", "sensor_light", "simulate"]


@dataclass(frozen=True)
class SimulatedCamera:
    """A sensor and its fixed rendering; white balance belongs to the camera, exposure to the shot.

    ``SimulatedCamera(profile, rendering=fitted)`` simulates a camera fitted to its own pairs: the camera's inverse
    turns the photo into the RAW, and its own processing turns that RAW into the JPEG.

    Attributes:
        profile: CFA, levels, colour matrix and white balance.
        headroom: sensor saturation over the level at which the JPEG reaches display white, at least 1; 2 is one
            EV.
        contrast: strength of the tone curve, in [0, 1] (`revisp.camera.isp.tone_curve`).
        shot_noise: variance of the noise per unit of normalised signal.
        expansion: brightest scene light over the photo's display white, at least 1
            (`revisp.camera.expansion.highlight_gain`); above ``headroom`` it also saturates the sensor.
        jpeg_quality: quality of Pillow's encoder, 1 to 95; None stores 8 bits without loss.
        jpeg_chroma: subsampling of the JPEG's chroma.
        read_noise: variance of the noise without light; None derives it from shot noise (`noise_levels`).
        full_well: light that fills a photosite over the light that reaches the white level, at least 1. At 1
            saturated samples keep their noise below white. Above 1 the converter clips that noise, as cameras do
            at all but their lowest ISO.
        shading: coefficients of the lens's falloff (`revisp.camera.shading.shading_gain`); the shading of ``isp``
            corrects it.
        isp: the other settings of the rendering. Its exposure and contrast must be 0, because `headroom` and
            `contrast` set them.
        invert: whether the inverse of the camera's own rendering turns the photo into the scene, so that the JPEG
            looks like the photo. Otherwise sRGB decoding does, and the camera's contrast adds to the photo's.
        rendering: replaces headroom, contrast and isp; it is always inverted.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> camera = SimulatedCamera(SIMULATED.profile, headroom=4.0)
        >>> camera.settings.exposure  # EV
        2.0
    """

    profile: CameraProfile
    headroom: float = 2.0
    contrast: float = 0.5
    shot_noise: float = 1e-4
    expansion: float = 4.0
    jpeg_quality: int | None = 95
    jpeg_chroma: ChromaSubsampling = "4:2:0"
    read_noise: float | None = None
    full_well: float = 1.0
    shading: tuple[float, ...] = ()
    isp: ISPSettings = field(default_factory=ISPSettings)
    invert: bool = False
    rendering: Rendering | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shading", tuple(float(v) for v in self.shading))
        if min(self.headroom, self.expansion, self.full_well) < 1:
            raise ConfigError(
                "headroom, expansion and full_well must be >= 1, got "
                f"{self.headroom}, {self.expansion} and {self.full_well}"
            )
        if self.isp.exposure or self.isp.contrast:
            raise ConfigError("isp must leave exposure and contrast at 0: set the camera's headroom and contrast")
        if self.read_noise is not None and self.read_noise < 0:
            raise ConfigError(f"read_noise must be >= 0, got {self.read_noise}")
        check_jpeg(95 if self.jpeg_quality is None else self.jpeg_quality, self.jpeg_chroma)
        check_shading(self.shading)
        noise_levels(self.shot_noise)

    @cached_property
    def settings(self) -> ISPSettings:
        """The rendering: exposure that puts the JPEG's white ``headroom`` below saturation, contrast, and isp."""
        return replace(self.isp, exposure=math.log2(self.headroom), contrast=self.contrast)

    @property
    def noise(self) -> NoiseLevels:
        """Shot and read noise."""
        levels = noise_levels(self.shot_noise)
        return levels if self.read_noise is None else NoiseLevels(self.shot_noise, self.read_noise)

    def develop(self, raw_rgb: Tensor, place: Place | None = None) -> Tensor:
        """Render demosaiced RAW ``[..., 3, H, W]`` as sRGB, before 8 bits and JPEG."""
        return (self.rendering or ForwardISP(self.profile, self.settings)).develop(raw_rgb, place)


SIMULATED = SimulatedCamera(
    CameraProfile(
        make="revisp",
        model="Simulated A",
        cfa=CFA.RGGB,
        black_level=(64.0, 64.0, 64.0, 64.0),
        white_level=1023.0,
        bits=10,
        color_matrix=UPI_XYZ_TO_CAMERA[0].tolist(),
        as_shot_neutral=(1 / 2.1, 1.0, 1 / 1.7),
    )
)
"""Camera of the embedded data set: the first of UPI's colour matrices, gains 2.1 and 1.7 within UPI's ranges."""


class SimulatedPair(NamedTuple):
    """One exposure, as the camera stores it.

    Attributes:
        srgb: the decoded JPEG ``[3, H, W]`` in [0, 1], in steps of 1/255.
        bayer: the RAW ``[1, H, W]``: noisy, quantised, then (value - black) / (white - black). Noise makes some
            values near black slightly negative.

    Example:
        >>> photo, generator = torch.rand(3, 32, 32), torch.Generator().manual_seed(0)
        >>> srgb, bayer = simulate(photo, SIMULATED, generator=generator)
        >>> srgb.shape, bayer.shape
        (torch.Size([3, 32, 32]), torch.Size([1, 32, 32]))
    """

    srgb: Tensor
    bayer: Tensor


def simulate(
    photo: Tensor,
    camera: SimulatedCamera,
    *,
    exposure: float = 0.0,
    place: Place | None = None,
    generator: torch.Generator,
) -> SimulatedPair:
    """Photograph the scene of a photo with a simulated camera.

    As in a camera, the JPEG is made from the stored, noisy RAW: white balance, demosaicing (Malvar), rendering,
    compression. The same seed gives the same pair on one platform.

    Args:
        photo: sRGB ``[3, H, W]`` in [0, 1], H and W at least 5.
        camera: the camera.
        exposure: exposure of this shot in EV; at 0 the photo's display white becomes that of the JPEG.
        place: where a crop lies in its photo, for the shading; None: it is the whole photo.
        generator: source of the noise.

    Raises:
        ShapeError: not a floating tensor of three channels, or a batch.

    Example:
        >>> photo, generator = torch.full((3, 32, 32), 0.5), torch.Generator().manual_seed(0)
        >>> bright = simulate(photo, SIMULATED, exposure=1.0, generator=generator)
        >>> dim = simulate(photo, SIMULATED, exposure=0.0, generator=generator)
        >>> round((bright.bayer.mean() / dim.bayer.mean()).item(), 1)
        2.0
    """
    check_image(photo, 3, "photo")
    if photo.ndim != 3:
        raise ShapeError(f"photo must be a single image [3, H, W], got {list(photo.shape)}")
    light = sensor_light(photo.clamp(0, 1), camera, exposure=exposure, place=place)
    return expose(light, camera, place=place, generator=generator)


def expose(
    light: Tensor, camera: SimulatedCamera, *, place: Place | None = None, generator: torch.Generator
) -> SimulatedPair:
    """Take a shot of light on the sensor: clip, filter array, noise and rounding, then the camera's rendering.

    Args:
        light: camera RGB ``[3, H, W]``, the sensor's saturation at 1, not white-balanced (`sensor_light`).
        camera: the camera.
        place: as for `simulate`.
        generator: source of the noise.

    Example:
        >>> light = torch.full((3, 32, 32), 0.25)
        >>> shot = expose(light, SIMULATED, generator=torch.Generator().manual_seed(0))
        >>> round(shot.bayer.mean().item(), 2)
        0.25
    """
    profile = camera.profile
    noisy = add_noise(mosaic(light.clamp(0, camera.full_well), profile.cfa), camera.noise, generator)
    stored = profile.quantise(noisy[0].cpu().numpy())
    bayer = torch.from_numpy(profile.normalise(stored)).unsqueeze(0).to(light.device)
    srgb = camera.develop(demosaic(bayer, profile.cfa, "malvar", gains=profile.gains), place)
    if camera.jpeg_quality is None:
        return SimulatedPair(round_to_8_bits(srgb), bayer)
    return SimulatedPair(compress_jpeg(srgb, camera.jpeg_quality, camera.jpeg_chroma), bayer)


def sensor_light(
    photo: Tensor, camera: SimulatedCamera, *, exposure: float = 0.0, place: Place | None = None
) -> Tensor:
    """Return the light of a photo's scene on the sensor, before clip, filter array and noise.

    Args:
        photo: sRGB ``[..., 3, H, W]`` in [0, 1].
        camera: the camera.
        exposure: as for `simulate`.
        place: as for `simulate`.

    Returns:
        Camera RGB ``[..., 3, H, W]``, the sensor's saturation at 1, not white-balanced.

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    light = _scene_on_sensor(photo, camera, exposure, place)
    return apply_shading(light, camera.shading, place) if camera.shading else light


def _scene_on_sensor(photo: Tensor, camera: SimulatedCamera, exposure: float, place: Place | None) -> Tensor:
    """Return the light on the sensor without the lens's falloff."""
    profile, linear = camera.profile, srgb_to_linear(photo)
    if camera.rendering is None and not camera.invert:
        scene = expand_highlights(linear, camera.expansion)
        light = apply_ccm(scene, profile.srgb_to_camera) * (2.0**exposure / camera.headroom)
        return apply_gains(light, [1 / gain for gain in profile.gains])
    # The scene has no shading, so none is undone here; the camera's lens adds its own.
    rendering = camera.rendering or ForwardISP(profile, replace(camera.settings, shading=()))
    return rendering.unprocess(photo, place) * highlight_gain(linear, camera.expansion) * 2.0**exposure
