"""Colour looks: changes of hue and saturation in linear light, and of the chroma of an encoded photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from revisp.camera.detail import LUMA_WEIGHTS
from revisp.camera.isp import apply_ccm
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.schema import Number, check_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ColourLook", "Waves", "apply_look", "chroma_matrix", "luminance", "scale_chroma"]

Waves = tuple[Number, Number, Number, Number, Number]


SHORTEST = 1e-30
"""Chroma below which a colour counts as grey, whose hue does not matter."""


_TO_CHROMA = np.array(
    [
        [math.sqrt(1 / 2), -math.sqrt(1 / 2), 0.0],
        [math.sqrt(1 / 6), math.sqrt(1 / 6), -2 * math.sqrt(1 / 6)],
        SRGB_TO_XYZ[1],
    ]
)
"""Two axes across grey, and the luminance."""

_FROM_CHROMA = np.linalg.inv(_TO_CHROMA)


@dataclass(frozen=True)
class ColourLook:
    r"""Turn and stretch colours about grey, by amounts that vary with the hue :math:`\theta`.

    Each is a constant and two waves around the circle of hues, which describe measured looks well:

    .. math:: w(\theta) = w_0 + w_1 \sin\theta + w_2 \cos\theta + w_3 \sin 2\theta + w_4 \cos 2\theta

    Attributes:
        hue: :math:`w` of the turn of the hue, in degrees.
        saturation: :math:`w` of the base 2 logarithm of the saturation's factor.

    Raises:
        ConfigError: not five finite numbers.

    Example:
        >>> ColourLook().neutral, ColourLook(hue=(10.0, 0.0, 0.0, 0.0, 0.0)).neutral
        (True, False)
    """

    hue: Waves = (0.0,) * 5
    saturation: Waves = (0.0,) * 5

    def __post_init__(self) -> None:
        check_fields(self, "colour look", ConfigError)

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing."""
        return not any(self.hue + self.saturation)


def apply_look(rgb: Tensor, look: ColourLook) -> Tensor:
    """Apply a colour look; luminance and greys stay.

    Args:
        rgb: colours ``[..., 3, H, W]`` of linear light, of any scale.
        look: the look.

    Returns:
        ``[..., 3, H, W]``, unclamped: strong saturation makes some channels negative.

    Raises:
        ShapeError: not a floating tensor of three channels.

    Example:
        >>> vivid = ColourLook(saturation=(1.0, 0.0, 0.0, 0.0, 0.0))
        >>> red = torch.tensor([0.5, 0.25, 0.25]).view(3, 1, 1)
        >>> bright, dark = apply_look(red, vivid)[:2, 0, 0].tolist()
        >>> round((bright - dark) / 0.25, 3)
        2.0
    """
    check_image(rgb, 3, "rgb")
    if look.neutral:
        return rgb
    across, along, grey = apply_ccm(rgb, _TO_CHROMA).unbind(-3)
    length = torch.hypot(across, along).clamp_min(SHORTEST)
    sine, cosine = along / length, across / length
    waves = (sine, cosine, 2 * sine * cosine, (cosine - sine) * (cosine + sine))
    turn, scale = _around(look.hue, waves) * (math.pi / 180), _around(look.saturation, waves).exp2()
    cos, sin = turn.cos() * scale, turn.sin() * scale
    turned = torch.stack([across * cos - along * sin, across * sin + along * cos, grey], dim=-3)
    return apply_ccm(turned, _FROM_CHROMA)


def _around(amount: Waves, waves: Sequence[Tensor]) -> Tensor:
    """Return an amount that varies with the hue, for given sines and cosines of it and of twice the hue."""
    constant, *weights = amount
    total = waves[0] * weights[0] + constant
    for wave, weight in zip(waves[1:], weights[1:], strict=True):
        total = torch.add(total, wave, alpha=weight)
    return total


def luminance(rgb: Tensor) -> Tensor:
    """Return the luminance ``[..., 1, H, W]`` of linear light ``[..., 3, H, W]`` in sRGB's primaries."""
    red, green, blue = rgb.unbind(-3)
    weights = SRGB_TO_XYZ[1].tolist()
    return (red * weights[0] + green * weights[1] + blue * weights[2]).unsqueeze(-3)


def scale_chroma(srgb: Tensor, gains: Tensor) -> Tensor:
    """Scale the colour differences Cr and Cb of photos, as cameras do after their tone curve; luma and greys stay.

    Args:
        srgb: encoded photos ``[..., 3, H, W]``.
        gains: factors ``[..., 2]`` of R - Y and of B - Y, with the luma Y of ITU-R BT.601. Their reciprocals undo
            the change.

    Returns:
        ``[..., 3, H, W]``, unclamped.

    Raises:
        ShapeError: not a floating tensor of three channels, or not two factors.

    Example:
        >>> photo = torch.rand(3, 4, 4)
        >>> vivid = scale_chroma(photo, torch.tensor([1.1, 1.3]))
        >>> torch.allclose(scale_chroma(vivid, 1 / torch.tensor([1.1, 1.3])), photo, atol=1e-6)
        True
    """
    check_image(srgb, 3, "srgb")
    return torch.einsum("...ij,...jhw->...ihw", chroma_matrix(gains), srgb)


def chroma_matrix(gains: Tensor) -> Tensor:
    """Return the matrices ``[..., 3, 3]`` by which `scale_chroma` multiplies pixels, for callers that join them.

    Raises:
        ShapeError: not two factors.
    """
    if gains.shape[-1:] != (2,):
        raise ShapeError(f"chroma needs two gains, of Cr and Cb, got a tensor of shape {list(gains.shape)}")
    luma, red, blue = (gains.new_tensor(row) for row in (LUMA_WEIGHTS, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    to_red, to_blue = gains[..., :1], gains[..., 1:]
    reds, blues = luma + to_red * (red - luma), luma + to_blue * (blue - luma)
    of_red, of_green, of_blue = LUMA_WEIGHTS
    return torch.stack([reds, (luma - of_red * reds - of_blue * blues) / of_green, blues], dim=-2)
