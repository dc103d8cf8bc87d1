"""A simulated camera: from a photo to the RAW and the JPEG that the camera would have stored of its scene.

The photo is decoded to linear light and taken for the scene. Its clipped highlights are expanded first, and the
JPEG clips a stop below the sensor, so that an overexposed JPEG pixel has something in the RAW to recover::

    photo ─▶ scene light ─▶ exposure ─▶ sensor: colour, clip, CFA, noise, quantisation ─┬─▶ RAW
                                                                                       └─▶ demosaic, ISP, JPEG
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image

from revisp.camera.isp import ISPSettings, apply_ccm, apply_gains, apply_isp, srgb_to_linear
from revisp.camera.noise import add_noise, noise_levels
from revisp.camera.profile import CameraProfile
from revisp.camera.unprocess import UPI_XYZ_TO_CAMERA
from revisp.cfa import CFA
from revisp.checks import check_image
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SIMULATED", "SimulatedCamera", "SimulatedPair", "compress_jpeg", "expand_highlights", "simulate"]


@dataclass(frozen=True)
class SimulatedCamera:
    """A sensor and its fixed rendering; white balance belongs to the camera, exposure to the shot.

    Attributes:
        profile: CFA, levels, colour matrix and white balance.
        headroom: sensor saturation over the level at which the JPEG reaches white, above or equal to 1: 2 is one
            EV.
        contrast: strength of the tone curve, in [0, 1] (`revisp.camera.isp.tone_curve`).
        shot_noise: variance of the noise per unit of normalised signal; read noise follows by `noise_levels`.
        expansion: brightest scene light over the photo's display white (`expand_highlights`), at least 1.
        jpeg_quality: of Pillow's encoder, 1 to 95; chroma is halved in both directions (4:2:0).

    Raises:
        ConfigError: a value outside its range.
    """

    profile: CameraProfile
    headroom: float = 2.0
    contrast: float = 0.5
    shot_noise: float = 1e-4
    expansion: float = 4.0
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        if min(self.headroom, self.expansion) < 1:
            raise ConfigError(f"headroom and expansion must be >= 1, got {self.headroom} and {self.expansion}")
        if not 1 <= self.jpeg_quality <= 95:
            raise ConfigError(f"jpeg_quality must lie in 1..95, got {self.jpeg_quality}")
        noise_levels(self.shot_noise)

    @property
    def settings(self) -> ISPSettings:
        """The rendering: exposure that puts the JPEG's white ``headroom`` below saturation, and contrast."""
        return ISPSettings(exposure=math.log2(self.headroom), contrast=self.contrast)


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
        bayer: the RAW ``[1, H, W]``: noisy, quantised, then (value - black) / (white - black); noise around black
            makes some values slightly negative.
    """

    srgb: Tensor
    bayer: Tensor


def simulate(
    photo: Tensor, camera: SimulatedCamera, *, exposure: float = 0.0, generator: torch.Generator
) -> SimulatedPair:
    """Photograph the scene of a photo with a simulated camera.

    The JPEG is made from the stored RAW itself, noise and all, as a camera does: balanced, demosaiced (Malvar),
    rendered, and compressed. The same seed gives the same pair on one platform.

    Args:
        photo: sRGB ``[3, H, W]`` in [0, 1], H and W at least 5.
        camera: the camera.
        exposure: exposure of this shot in EV; at 0 the photo's display white becomes the JPEG's.
        generator: source of the noise.

    Raises:
        ShapeError: not a floating tensor of three channels, or a batch.
    """
    check_image(photo, 3, "photo")
    if photo.ndim != 3:
        raise ShapeError(f"photo must be a single image [3, H, W], got {list(photo.shape)}")
    profile = camera.profile
    scene = expand_highlights(srgb_to_linear(photo.clamp(0, 1)), camera.expansion)
    light = apply_ccm(scene, profile.srgb_to_camera) * (2.0**exposure / camera.headroom)
    sensor = apply_gains(light, [1 / gain for gain in profile.gains]).clamp(0, 1)
    noisy = add_noise(mosaic(sensor, profile.cfa), noise_levels(camera.shot_noise), generator)
    stored = profile.quantise(noisy[0].cpu().numpy())
    bayer = torch.from_numpy(profile.normalise(stored)).unsqueeze(0)
    developed = demosaic(bayer, profile.cfa, "malvar", gains=profile.gains)
    srgb = apply_isp(developed, profile, camera.settings)
    return SimulatedPair(compress_jpeg(srgb, camera.jpeg_quality), bayer)


def expand_highlights(linear: Tensor, factor: float, knee: float = 0.7, spread: float = 12.0) -> Tensor:
    r"""Give highlights back the range that display white cut off (inverse tone mapping).

    With the brightest channel :math:`b`, :math:`t = \mathrm{smoothstep}((b - knee) / (1 - knee))` and a Gaussian
    blur :math:`G`, light is multiplied by

    .. math:: 1 + (factor - 1)\, t\, G(t)

    Values below the knee keep their light; the middle of a large clipped area becomes the brightest, its rim less
    so. The blurred map is the *expand map* of Banterle et al., "Inverse Tone Mapping" (GRAPHITE 2006).

    Args:
        linear: linear light ``[..., 3, H, W]`` in [0, 1].
        factor: light of the brightest place over display white; 1 changes nothing.
        knee: brightness from which values expand, in [0, 1).
        spread: standard deviation of the blur, in pixels.

    Returns:
        Linear light ``[..., 3, H, W]`` in [0, factor].

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    from kornia.filters import gaussian_blur2d

    check_image(linear, 3, "linear")
    t = ((linear.amax(dim=-3, keepdim=True) - knee) / (1 - knee)).clamp(0, 1)
    t = t.square() * (3 - 2 * t)
    taps = 2 * math.ceil(3 * spread) + 1
    flat = t.reshape(-1, 1, *t.shape[-2:])
    surround = gaussian_blur2d(flat, (taps, taps), (spread, spread), border_type="replicate").reshape(t.shape)
    return linear * (1 + (factor - 1) * t * surround)


def compress_jpeg(srgb: Tensor, quality: int) -> Tensor:
    """Round sRGB ``[3, H, W]`` in [0, 1] to 8 bits, pass it through a JPEG file (4:2:0), and return it decoded."""
    pixels = (srgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1).to(srgb.dtype) / 255
