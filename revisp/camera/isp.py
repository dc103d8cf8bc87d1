"""A camera's forward processing: demosaiced RAW to display-referred sRGB, differentiable.

The order of the steps is that of most consumer cameras and of the model in Brooks et al., "Unprocessing Images for
Learned Raw Denoising" (CVPR 2019, arXiv 1811.11127), section 3: white balance, clip, colour matrix, exposure,
clip, gamma, tone curve. Each is a function of plain tensors, so that other orders can be composed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.camera.profile import CameraProfile

__all__ = [
    "ForwardISP",
    "ISPSettings",
    "apply_ccm",
    "apply_gains",
    "apply_isp",
    "inverse_tone_curve",
    "linear_to_srgb",
    "srgb_to_linear",
    "tone_curve",
]


@dataclass(frozen=True)
class ISPSettings:
    """How a camera renders, beyond what its `CameraProfile` holds.

    Attributes:
        exposure: brightening between the colour matrix and the clip to display white, in EV (factor
            ``2**exposure``).
        contrast: strength of the S-shaped `tone_curve`, in [0, 1].

    Raises:
        ConfigError: contrast outside [0, 1].
    """

    exposure: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        _check_contrast(self.contrast)


def apply_isp(raw_rgb: Tensor, profile: CameraProfile, settings: ISPSettings | None = None) -> Tensor:
    r"""Render a demosaiced RAW as sRGB.

    .. math:: s = T_c\big(\gamma(\mathrm{clip}(2^e\, C\, \mathrm{clip}(g \odot D)))\big)

    with the white-balance gains :math:`g`, the camera-to-sRGB matrix :math:`C`, the exposure :math:`e`, the sRGB
    transfer function :math:`\gamma`, the tone curve :math:`T_c`, and all clips to [0, 1]. Clipping the balanced
    values keeps a saturated highlight white rather than magenta.

    Args:
        raw_rgb: demosaiced RAW ``[..., 3, H, W]``: camera RGB, linear, black 0, white 1, not white-balanced.
        profile: the camera: its white-balance gains and colour matrix.
        settings: exposure and contrast; None renders with neither.

    Returns:
        Display-referred sRGB ``[..., 3, H, W]`` in [0, 1].

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    settings = settings or ISPSettings()
    balanced = apply_gains(raw_rgb, profile.gains).clamp(0, 1)
    linear = apply_ccm(balanced, profile.camera_to_srgb) * 2.0**settings.exposure
    return tone_curve(linear_to_srgb(linear.clamp(0, 1)), settings.contrast)


class ForwardISP(nn.Module):
    """Module form of `apply_isp`.

    Args:
        profile: the camera.
        settings: exposure and contrast.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 3, H, W]``.
    """

    def __init__(self, profile: CameraProfile, settings: ISPSettings | None = None) -> None:
        super().__init__()
        self.profile = profile
        self.settings = settings or ISPSettings()

    def forward(self, raw_rgb: Tensor) -> Tensor:
        """Apply `apply_isp`."""
        return apply_isp(raw_rgb, self.profile, self.settings)

    def extra_repr(self) -> str:
        """Show camera and settings."""
        return f"{self.profile.make} {self.profile.model}, {self.settings}"


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
    """Encode linear light in [0, 1] by the sRGB transfer function (IEC 61966-2-1); any shape."""
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved)


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """Decode sRGB in [0, 1] to linear light; undoes `linear_to_srgb`; any shape."""
    curved = ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curved)


def tone_curve(x: Tensor, contrast: float) -> Tensor:
    r"""Raise contrast by a blend of the identity and the smoothstep function.

    .. math:: T_c(x) = (1 - c)\,x + c\,(3x^2 - 2x^3)

    Monotone on [0, 1] with 0, 0.5 and 1 fixed. ``contrast=1`` is the tone curve of UPI (arXiv 1811.11127).

    Args:
        x: display-referred values of any shape, in [0, 1].
        contrast: the strength c, in [0, 1].

    Raises:
        ConfigError: contrast outside [0, 1].
    """
    _check_contrast(contrast)
    return (1 - contrast) * x + contrast * x.square() * (3 - 2 * x)


def inverse_tone_curve(y: Tensor, contrast: float) -> Tensor:
    r"""Undo `tone_curve` in closed form.

    .. math:: x = \tfrac12 - A \sin\left(\tfrac13 \arcsin\frac{\frac12 - y}{K}\right), \quad
              A = \sqrt{\frac{2 + c}{3c}}, \quad K = \frac{A(2 + c)}{6}

    which at c = 1 is UPI's inverse smoothstep, ``0.5 - sin(asin(1 - 2y) / 3)``, whose slope at 0 and 1 is
    infinite.

    Args:
        y: toned values of any shape; clamped to [0, 1].
        contrast: the strength c, in [0, 1].

    Raises:
        ConfigError: contrast outside [0, 1].
    """
    _check_contrast(contrast)
    y = y.clamp(0, 1)
    if contrast < 1e-9:  # the identity to that precision; the formula overflows at 0
        return y
    amplitude = ((2 + contrast) / (3 * contrast)) ** 0.5
    scale = amplitude * (2 + contrast) / 6
    return 0.5 - amplitude * torch.sin(torch.asin((0.5 - y) / scale) / 3)


def _check_contrast(contrast: float) -> None:
    if not 0 <= contrast <= 1:
        raise ConfigError(f"contrast must lie in [0, 1], got {contrast}")
