"""Unprocessing (UPI): sRGB to RAW by fixed formulas, without learning.

Brooks et al., "Unprocessing Images for Learned Raw Denoising" (CVPR 2019, arXiv 1811.11127), section 3. It is
the baseline that a learned reverse ISP must beat. Its random cameras serve for synthetic training data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from revisp.camera.isp import apply_ccm, inverse_tone_curve
from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.checks import check_image, check_same_size
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "UPI_XYZ_TO_CAMERA",
    "UPICamera",
    "UPIUnprocess",
    "fit_rgb_gain",
    "mean_camera",
    "random_camera",
    "safe_inverse_gains",
    "unprocess",
]

UPI_XYZ_TO_CAMERA: np.ndarray[Any, Any] = np.array(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.613, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.838, -0.263, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.097, 0.1581, 0.5181]],
    ]
)
"""CIE XYZ to camera RGB of the four cameras ``[4, 3, 3]`` that UPI mixes."""

RED_GAIN = (1.9, 2.4)
BLUE_GAIN = (1.5, 1.9)
INVERSE_GAIN = (0.8, 0.1)
"""UPI's distributions: ranges of the red and blue white-balance gains; mean and deviation of 1 / rgb_gain."""


class UPICamera(NamedTuple):
    """The constants of a camera that UPI needs.

    Attributes:
        srgb_to_camera: linear sRGB to white-balanced camera RGB ``[3, 3]``, rows summing to 1.
        rgb_gain: digital gain of the camera's processing on all channels; unprocessing divides by it.
        red_gain: white-balance gain of red, green = 1.
        blue_gain: white-balance gain of blue, green = 1.

    Example:
        >>> camera = mean_camera()
        >>> round(camera.red_gain, 2), round(camera.blue_gain, 2), camera.rgb_gain
        (2.15, 1.7, 1.25)
    """

    srgb_to_camera: np.ndarray[Any, Any]
    rgb_gain: float
    red_gain: float
    blue_gain: float


def random_camera(generator: torch.Generator) -> UPICamera:
    """Draw a camera as UPI does: a random convex mix of four colour matrices, and random gains.

    1 / rgb_gain ~ N(0.8, 0.1), red_gain ~ U(1.9, 2.4), blue_gain ~ U(1.5, 1.9).

    Args:
        generator: source of randomness, on the CPU.

    Example:
        >>> camera = random_camera(torch.Generator().manual_seed(0))
        >>> 1.9 <= camera.red_gain <= 2.4
        True
    """
    draws = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    brightness = (
        INVERSE_GAIN[0] + INVERSE_GAIN[1] * torch.randn(1, generator=generator, dtype=torch.float64).item()
    )
    return UPICamera(
        _mixed_matrix(np.array(draws[:4])),
        1 / brightness,
        RED_GAIN[0] + (RED_GAIN[1] - RED_GAIN[0]) * draws[4],
        BLUE_GAIN[0] + (BLUE_GAIN[1] - BLUE_GAIN[0]) * draws[5],
    )


def mean_camera() -> UPICamera:
    """Return the centre of the distribution of `random_camera`: equal mix, gains 2.15 and 1.7, rgb_gain 1 / 0.8.

    Example:
        >>> mean_camera().srgb_to_camera.sum(axis=1).round(6).tolist()
        [1.0, 1.0, 1.0]
    """
    return UPICamera(_mixed_matrix(np.ones(4)), 1 / INVERSE_GAIN[0], sum(RED_GAIN) / 2, sum(BLUE_GAIN) / 2)


def unprocess(srgb: Tensor, *, srgb_to_camera: Any, rgb_gain: float, red_gain: float, blue_gain: float) -> Tensor:
    """Turn sRGB into demosaiced RAW by UPI's five steps.

    Inverse smoothstep; gamma ``max(t, 1e-8) ** 2.2``; colour matrix; inverse gains with protected highlights
    (`safe_inverse_gains`); clip to [0, 1]. UPI's forward processing for training has no tone curve, so
    this is not its inverse.

    Args:
        srgb: photo ``[..., 3, H, W]`` in [0, 1].
        srgb_to_camera: linear sRGB to white-balanced camera RGB ``[3, 3]``, rows summing to 1.
        rgb_gain: digital gain to divide by; above 1 leaves headroom over display white.
        red_gain: white-balance gain of red, to divide by.
        blue_gain: white-balance gain of blue, to divide by.

    Returns:
        Demosaiced RAW ``[..., 3, H, W]`` in [0, 1], not white-balanced.

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    camera_rgb = _to_camera_rgb(srgb, srgb_to_camera)
    return safe_inverse_gains(camera_rgb, rgb_gain, red_gain, blue_gain).clamp(0, 1)


def safe_inverse_gains(camera_rgb: Tensor, rgb_gain: float, red_gain: float, blue_gain: float) -> Tensor:
    r"""Divide by the gains, with less effect near white.

    A clipped white pixel stays white; plain division would make it a coloured grey:

    .. math:: m = \left(\frac{\max(\bar g - 0.9, 0)}{0.1}\right)^2, \quad
              D = I \cdot \max(m + (1 - m)\, a,\; a)

    with :math:`\bar g` the mean of R, G, B and :math:`a` the inverse gains.

    Args:
        camera_rgb: white-balanced camera RGB ``[..., 3, H, W]``, linear.
        rgb_gain: gain of all channels.
        red_gain: gain of red.
        blue_gain: gain of blue.

    Raises:
        ShapeError: not a floating tensor of three channels.
    """
    check_image(camera_rgb, 3, "camera_rgb")
    inverse = camera_rgb.new_tensor([1 / red_gain, 1.0, 1 / blue_gain]).view(3, 1, 1) / rgb_gain
    mask = ((camera_rgb.mean(dim=-3, keepdim=True) - 0.9).clamp_min(0) / 0.1).square()
    return camera_rgb * torch.maximum(mask + (1 - mask) * inverse, inverse)


def fit_rgb_gain(srgb: Tensor, raw_rgb: Tensor, profile: CameraProfile, region: Tensor | None = None) -> float:
    """Fit the ``rgb_gain`` that brings UPI nearest to the RAW of a pair, by least squares.

    The fit ignores highlight protection, so give a region without clipped pixels.

    Args:
        srgb: photo ``[..., 3, H, W]`` in [0, 1].
        raw_rgb: its demosaiced RAW ``[..., 3, H, W]``.
        profile: the camera: its colour matrix and white-balance gains.
        region: weight ``[..., 1, H, W]`` of each pixel; None counts all.

    Raises:
        ShapeError: wrong channels or dtype, or different sizes.
        ConfigError: the pair is black within the region, so no gain can be measured.
    """
    check_image(raw_rgb, 3, "raw_rgb")
    check_same_size(srgb, raw_rgb, ("srgb", "raw_rgb"))
    gains = raw_rgb.new_tensor(profile.gains).view(3, 1, 1)
    base = _to_camera_rgb(srgb, profile.srgb_to_camera) / gains
    weight = torch.ones_like(raw_rgb[..., :1, :, :]) if region is None else region
    match = (weight * base * raw_rgb).sum().item()
    if match <= 0:
        raise ConfigError("the gain of UPI cannot be fitted: the pair is black within the region")
    return (weight * base.square()).sum().item() / match


class UPIUnprocess(nn.Module):
    """Module form of `unprocess` for one camera: the baseline of every benchmark.

    With a profile it knows the camera's true colour matrix and white balance, so it is stronger than UPI's random
    cameras. A profile holds no digital gain: 1 / 0.8 is UPI's mean, and `fit_rgb_gain` measures the gain of a data
    set.

    Args:
        profile: the camera; None takes `mean_camera`.
        rgb_gain: digital gain; None takes UPI's mean, 1 / 0.8.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 3, H, W]``.

    Raises:
        ConfigError: the gain is not positive.

    Example:
        >>> raw = UPIUnprocess()(torch.full((1, 3, 4, 4), 0.5))
        >>> [round(v, 3) for v in raw[0, :, 0, 0].tolist()]
        [0.081, 0.174, 0.102]
    """

    def __init__(self, profile: CameraProfile | None = None, rgb_gain: float | None = None) -> None:
        super().__init__()
        camera = mean_camera()
        if profile is not None:
            red, _, blue = profile.gains
            camera = camera._replace(srgb_to_camera=profile.srgb_to_camera, red_gain=red, blue_gain=blue)
        if rgb_gain is not None:
            if rgb_gain <= 0:
                raise ConfigError(f"rgb_gain must be positive, got {rgb_gain}")
            camera = camera._replace(rgb_gain=rgb_gain)
        self.camera = camera

    def forward(self, srgb: Tensor) -> Tensor:
        """Apply `unprocess`."""
        return unprocess(srgb, **self.camera._asdict())

    def extra_repr(self) -> str:
        """Show the gains."""
        _, rgb_gain, red_gain, blue_gain = self.camera
        return f"rgb_gain={rgb_gain:.3f}, red_gain={red_gain:.3f}, blue_gain={blue_gain:.3f}"


def _to_camera_rgb(srgb: Tensor, srgb_to_camera: Any) -> Tensor:
    """Undo tone curve, gamma and colour matrix: white-balanced camera RGB, relative to display white."""
    check_image(srgb, 3, "srgb")
    linear = inverse_tone_curve(srgb, 1.0).clamp_min(1e-8) ** 2.2
    return apply_ccm(linear, srgb_to_camera)


def _mixed_matrix(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    mixed = np.tensordot(weights / weights.sum(), UPI_XYZ_TO_CAMERA, axes=1)
    matrix: np.ndarray[Any, Any] = mixed @ SRGB_TO_XYZ
    return matrix / matrix.sum(axis=1, keepdims=True)
