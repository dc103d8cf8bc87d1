"""A camera's forward processing: demosaiced RAW to display-referred sRGB, differentiable, and its inverse.

The order of the steps is that of most consumer cameras: lens shading, white balance, clip, colour matrix,
exposure, local tone, highlights, sRGB curve, tone curve, denoising, sharpening. It extends the model of Brooks et
al., "Unprocessing Images for Learned Raw Denoising" (CVPR 2019, arXiv 1811.11127), section 3. Each step is a
function of plain tensors, so that you can compose other orders. `CameraProfile` holds black and white levels.
Rounding to 8 bits and JPEG have no gradient; they are in `revisp.camera.jpeg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from revisp.camera.detail import check_detail, denoise, local_tone, sharpen
from revisp.camera.highlights import HighlightMode, check_highlights, inverse_roll_off, roll_off
from revisp.camera.place import Place
from revisp.camera.shading import apply_shading, check_shading, correct_shading
from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.camera.profile import CameraProfile

__all__ = [
    "ForwardISP",
    "ISPSettings",
    "Rendering",
    "apply_ccm",
    "apply_gains",
    "apply_isp",
    "inverse_tone_curve",
    "invert_isp",
    "linear_to_srgb",
    "srgb_to_linear",
    "tone_curve",
]


@dataclass(frozen=True)
class ISPSettings:
    """Settings of a rendering besides the `CameraProfile`. The defaults do white balance and colour only.

    Attributes:
        exposure: brightening between the colour matrix and display white, in EV (factor ``2**exposure``).
        contrast: strength of the S-shaped `tone_curve`, in [0, 1].
        gamma: exponent of the encoded values before the tone curve; below 1 brightens mid-tones.
        lift: encoded value of black, in [0, 1).
        highlights: ``"clip"``, ``"shoulder"`` or ``"desaturate"`` (`revisp.camera.highlights.roll_off`).
        knee: linear light at which the shoulder begins, relative to display white.
        rolloff: EV above display white at which the shoulder reaches white.
        local_tone: strength of the lift of dark places, in [0, 1) (`revisp.camera.detail.local_tone`).
        local_radius: radius of the local tone in pixels.
        denoise: standard deviation of the noise to smooth, in encoded units (`revisp.camera.detail.denoise`).
        sharpening: amount of the unsharp mask (`revisp.camera.detail.sharpen`).
        sharpening_radius: standard deviation of its blur in pixels.
        shading: coefficients of the lens shading to correct (`revisp.camera.shading.shading_gain`); empty: no
            correction.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> ISPSettings(contrast=0.5).highlights
        'clip'
        >>> ISPSettings(contrast=2.0)
        Traceback (most recent call last):
            ...
        revisp.errors.ConfigError: contrast must lie in [0, 1], got 2.0
    """

    exposure: float = 0.0
    contrast: float = 0.0
    gamma: float = 1.0
    lift: float = 0.0
    highlights: HighlightMode = "clip"
    knee: float = 0.7
    rolloff: float = 1.0
    local_tone: float = 0.0
    local_radius: int = 24
    denoise: float = 0.0
    sharpening: float = 0.0
    sharpening_radius: float = 1.0
    shading: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "shading", tuple(float(v) for v in self.shading))
        _check_curve(self.contrast, self.gamma, self.lift)
        check_highlights(self.highlights, self.knee, self.rolloff)
        check_shading(self.shading)
        if not (0 <= self.local_tone < 1 and self.local_radius >= 1):
            raise ConfigError(
                "local_tone must lie in [0, 1) and local_radius be >= 1, got "
                f"{self.local_tone} and {self.local_radius}"
            )
        check_detail(self.denoise, self.sharpening, self.sharpening_radius)


class Rendering(Protocol):
    """A map from RAW to a photo and back: a `ForwardISP`, or a camera fitted to its own pairs.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> rendering: Rendering = ForwardISP(SIMULATED.profile)
        >>> raw = torch.full((3, 8, 8), 0.1)
        >>> torch.allclose(rendering.unprocess(rendering.develop(raw)), raw)
        True
    """

    def develop(self, raw_rgb: Tensor, place: Place | None = None) -> Tensor:
        """Render demosaiced RAW ``[..., 3, H, W]`` as sRGB in [0, 1]."""

    def unprocess(self, srgb: Tensor, place: Place | None = None) -> Tensor:
        """Estimate the demosaiced RAW ``[..., 3, H, W]`` of an sRGB photo."""


def apply_isp(
    raw_rgb: Tensor, profile: CameraProfile, settings: ISPSettings | None = None, place: Place | None = None
) -> Tensor:
    r"""Render a demosaiced RAW as sRGB.

    .. math:: s = T\big(\gamma(H(2^e\, C\, \mathrm{clip}(g \odot D)))\big)

    with the white-balance gains :math:`g`, the camera-to-sRGB matrix :math:`C`, the exposure :math:`e`, the
    highlights' roll-off :math:`H` (a clip by default), the sRGB transfer function :math:`\gamma`, the tone curve
    :math:`T`, and all clips to [0, 1]. The clip of the balanced values keeps a saturated highlight white; without
    it the highlight would be magenta. If the settings ask for them, shading correction comes first, local tone
    before :math:`H`, denoising and sharpening after :math:`T`. Differentiable almost everywhere; clipped values
    have no gradient.

    Args:
        raw_rgb: demosaiced RAW ``[..., 3, H, W]``: camera RGB, linear, black 0, white 1, not white-balanced.
        profile: the camera: its white-balance gains and colour matrix.
        settings: all other settings; None renders with the defaults.
        place: where a crop lies in its frame, for the shading; None: it is the whole frame.

    Returns:
        Display-referred sRGB ``[..., 3, H, W]`` in [0, 1].

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> white = torch.tensor(SIMULATED.profile.as_shot_neutral).view(3, 1, 1)
        >>> [round(v, 2) for v in apply_isp(0.18 * white, SIMULATED.profile).flatten().tolist()]
        [0.46, 0.46, 0.46]
    """
    settings = settings or ISPSettings()
    if settings.shading:
        raw_rgb = correct_shading(raw_rgb, settings.shading, place)
    balanced = apply_gains(raw_rgb, profile.gains).clamp(0, 1)
    linear = apply_ccm(balanced, profile.camera_to_srgb) * 2.0**settings.exposure
    linear = local_tone(linear, settings.local_tone, settings.local_radius)
    display = roll_off(linear, settings.highlights, knee=settings.knee, rolloff=settings.rolloff)
    srgb = tone_curve(linear_to_srgb(display), settings.contrast, settings.gamma, settings.lift)
    if not (settings.denoise or settings.sharpening):
        return srgb
    return sharpen(denoise(srgb, settings.denoise), settings.sharpening, settings.sharpening_radius).clamp(0, 1)


def invert_isp(
    srgb: Tensor, profile: CameraProfile, settings: ISPSettings | None = None, place: Place | None = None
) -> Tensor:
    """Undo the invertible steps of `apply_isp`.

    * Exact up to rounding, for every pixel that no step clipped: tone curve, sRGB curve, highlight shoulder,
      exposure, colour matrix, white balance and shading.
    * Lost: values clipped at the sensor's white, display white or display black. A clipped channel comes back as
      the level of the clip.
    * Not undone, so that the result is an estimate: local tone, denoising, sharpening, 8 bits and JPEG.

    Args:
        srgb: photo ``[..., 3, H, W]`` in [0, 1].
        profile: the camera.
        settings: as for `apply_isp`.
        place: as for `apply_isp`.

    Returns:
        Demosaiced RAW ``[..., 3, H, W]``, unclamped: colours outside the camera's gamut are negative.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> settings = ISPSettings(exposure=1.0, contrast=0.5)
        >>> raw = torch.full((3, 8, 8), 0.1)
        >>> photo = apply_isp(raw, SIMULATED.profile, settings)
        >>> torch.allclose(invert_isp(photo, SIMULATED.profile, settings), raw)
        True
    """
    check_image(srgb, 3, "srgb")
    settings = settings or ISPSettings()
    display = srgb_to_linear(inverse_tone_curve(srgb, settings.contrast, settings.gamma, settings.lift))
    linear = inverse_roll_off(display, settings.highlights, knee=settings.knee, rolloff=settings.rolloff)
    balanced = apply_ccm(linear * 2.0**-settings.exposure, profile.srgb_to_camera)
    raw_rgb = apply_gains(balanced, [1 / gain for gain in profile.gains])
    return apply_shading(raw_rgb, settings.shading, place) if settings.shading else raw_rgb


class ForwardISP(nn.Module):
    """Module form of `apply_isp`, with `invert_isp` as its inverse; a `Rendering`.

    Args:
        profile: the camera.
        settings: how it renders.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 3, H, W]``.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> render = ForwardISP(SIMULATED.profile, ISPSettings(exposure=1.0))
        >>> render(torch.rand(1, 3, 16, 20)).shape
        torch.Size([1, 3, 16, 20])
    """

    def __init__(self, profile: CameraProfile, settings: ISPSettings | None = None) -> None:
        super().__init__()
        self.profile = profile
        self.settings = settings or ISPSettings()

    def forward(self, raw_rgb: Tensor) -> Tensor:
        """Apply `apply_isp`."""
        return apply_isp(raw_rgb, self.profile, self.settings)

    def develop(self, raw_rgb: Tensor, place: Place | None = None) -> Tensor:
        """Apply `apply_isp`."""
        return apply_isp(raw_rgb, self.profile, self.settings, place)

    def unprocess(self, srgb: Tensor, place: Place | None = None) -> Tensor:
        """Apply `invert_isp`."""
        return invert_isp(srgb, self.profile, self.settings, place)

    def extra_repr(self) -> str:
        """Show camera and settings."""
        return f"{self.profile.name}, {self.settings}"


def apply_gains(rgb: Tensor, gains: Sequence[float]) -> Tensor:
    """Multiply the channels of ``[..., 3, H, W]`` by three gains.

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    check_image(rgb, 3, "rgb")
    return rgb * torch.as_tensor(gains, dtype=rgb.dtype, device=rgb.device).view(3, 1, 1)


def apply_ccm(rgb: Tensor, matrix: Any) -> Tensor:
    """Multiply the colour of each pixel of ``[..., 3, H, W]`` by a 3x3 matrix (array or tensor), unclamped.

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    check_image(rgb, 3, "rgb")
    return torch.einsum("ij,...jhw->...ihw", torch.as_tensor(matrix, dtype=rgb.dtype, device=rgb.device), rgb)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Encode linear light in [0, 1] by the sRGB transfer function (IEC 61966-2-1); any shape.

    Example:
        >>> round(linear_to_srgb(torch.tensor(0.18)).item(), 3)  # mid grey
        0.461
    """
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved)


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """Decode sRGB in [0, 1] to linear light; undoes `linear_to_srgb`; any shape.

    Example:
        >>> round(srgb_to_linear(torch.tensor(0.5)).item(), 3)
        0.214
    """
    curved = ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curved)


def tone_curve(x: Tensor, contrast: float, gamma: float = 1.0, lift: float = 0.0) -> Tensor:
    r"""Bend encoded values by gamma, contrast and lift; the curve is monotone, and `inverse_tone_curve` undoes it.

    .. math:: T(x) = l + (1 - l)\,S_c(x^\gamma), \quad S_c(x) = (1 - c)\,x + c\,(3x^2 - 2x^3)

    :math:`S_c` blends the identity and the smoothstep function and fixes 0, 0.5 and 1. ``contrast=1`` alone is the
    tone curve of UPI (arXiv 1811.11127).

    Args:
        x: display-referred values of any shape, in [0, 1].
        contrast: the strength c, in [0, 1].
        gamma: the exponent, positive; below 1 brightens.
        lift: l, the toned value of black, in [0, 1).

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> tone_curve(torch.tensor([0.25, 0.5, 0.75]), contrast=1.0).tolist()
        [0.15625, 0.5, 0.84375]
    """
    _check_curve(contrast, gamma, lift)
    x = _power(x, gamma)
    toned = (1 - contrast) * x + contrast * x.square() * (3 - 2 * x)
    return toned if lift == 0 else lift + (1 - lift) * toned


def inverse_tone_curve(y: Tensor, contrast: float, gamma: float = 1.0, lift: float = 0.0) -> Tensor:
    r"""Undo `tone_curve` in closed form.

    .. math:: S_c^{-1}(y) = \tfrac12 - A \sin\left(\tfrac13 \arcsin\frac{\frac12 - y}{K}\right), \quad
              A = \sqrt{\frac{2 + c}{3c}}, \quad K = \frac{A(2 + c)}{6}

    At c = 1 this is UPI's inverse smoothstep, ``0.5 - sin(asin(1 - 2y) / 3)``. Its slope at 0 and 1 is infinite.

    Args:
        y: toned values of any shape; clamped to [lift, 1].
        contrast: the strength c, in [0, 1].
        gamma: the exponent, positive.
        lift: toned value of black, in [0, 1).

    Raises:
        ConfigError: a value out of range.
    """
    _check_curve(contrast, gamma, lift)
    y = (y if lift == 0 else (y - lift) / (1 - lift)).clamp(0, 1)
    if contrast < 1e-9:  # the identity to that precision; the formula overflows at 0
        return _power(y, 1 / gamma)
    amplitude = ((2 + contrast) / (3 * contrast)) ** 0.5
    scale = amplitude * (2 + contrast) / 6
    return _power(0.5 - amplitude * torch.sin(torch.asin((0.5 - y) / scale) / 3), 1 / gamma)


def _power(x: Tensor, exponent: float) -> Tensor:
    if exponent == 1:
        return x
    return torch.where(x > 0, x.clamp_min(1e-12) ** exponent, 0.0)  # the slope at 0 would be infinite, or NaN


def _check_curve(contrast: float, gamma: float, lift: float) -> None:
    if not 0 <= contrast <= 1:
        raise ConfigError(f"contrast must lie in [0, 1], got {contrast}")
    if not (0 < gamma < float("inf") and 0 <= lift < 1):
        raise ConfigError(f"gamma must be positive and lift lie in [0, 1), got {gamma} and {lift}")
