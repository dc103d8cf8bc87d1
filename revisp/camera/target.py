"""Re-express the RAW of one camera as that of another, by the colour matrices of DNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from revisp.camera.isp import apply_ccm, apply_gains

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.profile import CameraProfile

__all__ = ["as_camera", "clipped_by_sensor"]

CLIP_START = 0.98
"""RAW value from which a sample counts as partly clipped by the sensor; at 1 it counts wholly."""


def as_camera(raw_rgb: Tensor, source: CameraProfile, target: CameraProfile) -> Tensor:
    r"""Return the RAW that another camera would have taken of the same scene.

    With the gains :math:`g_s` that balance the source, the neutral :math:`n_t` of the target, and the matrices
    :math:`M` from linear sRGB to each camera's balanced colours (`CameraProfile.srgb_to_camera`),

    .. math:: d_t = \mathrm{clip}\big(n_t \odot M_t M_s^{-1} (g_s \odot d_s)\big)

    Neutral objects stay neutral, green keeps its level, and the target's own profile develops the result to the
    colours to which the source's profile develops its RAW. The scene is lit as the target's neutral says. All
    channels of the target saturate at 1, as a sensor's do.

    A sample that the source clipped is only a lower bound: white light that saturates green alone would become
    magenta. Such a sample is raised to the brightest of the pixel's three balanced channels. So white highlights
    stay white.

    Args:
        raw_rgb: demosaiced RAW of the source ``[..., 3, H, W]``, black 0, white 1, not white-balanced.
        source: its camera.
        target: the other camera; its Bayer phase, levels and bits do not matter here.

    Returns:
        Demosaiced RAW of the target, of the same shape, in [0, 1], not white-balanced.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> from revisp.camera.cameras import known_profile
        >>> from revisp.camera.canonical import canonical_profile, light_to_raw
        >>> grey = light_to_raw(torch.full((3, 1, 1), 0.18))
        >>> raw = as_camera(grey, canonical_profile(), known_profile("Nikon D750"))
        >>> [round(32 * v, 2) for v in raw.flatten().tolist()]
        [0.5, 1.0, 0.74]
    """
    balanced = _raised(raw_rgb, apply_gains(raw_rgb, source.gains))
    colours = apply_ccm(balanced, target.srgb_to_camera @ source.camera_to_srgb)
    return apply_gains(colours, [1 / gain for gain in target.gains]).clamp(0, 1)


def clipped_by_sensor(raw: Tensor) -> Tensor:
    """Return how far each sample of a RAW counts as clipped by the sensor, in [0, 1]: only a lower bound of light.

    Args:
        raw: any shape, black 0, white 1.

    Example:
        >>> [round(v, 3) for v in clipped_by_sensor(torch.tensor([0.5, 0.97, 1.0, 1.2])).tolist()]
        [0.0, 0.0, 1.0, 1.0]
    """
    return ((raw - CLIP_START) / (1 - CLIP_START)).clamp(0, 1)


def _raised(raw_rgb: Tensor, balanced: Tensor) -> Tensor:
    """Raise clipped samples to the brightest channel of their pixel."""
    brightest = balanced.amax(dim=-3, keepdim=True).expand_as(balanced)
    return torch.lerp(balanced, brightest, clipped_by_sensor(raw_rgb))
