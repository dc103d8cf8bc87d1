"""Colour looks: what a rendering does to hue and saturation, differently for each hue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from revisp.camera.profile import SRGB_TO_XYZ
from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ColourLook", "Waves", "apply_look"]

Waves = tuple[float, float, float, float, float]


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
        for name in ("hue", "saturation"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 5 or not all(map(math.isfinite, values)):
                raise ConfigError(f"colour look: {name} must be five finite numbers, got {list(values)}")
            object.__setattr__(self, name, values)

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
    red, green, blue = rgb.unbind(-3)
    weights = SRGB_TO_XYZ[1].tolist()
    luminance = red * weights[0] + green * weights[1] + blue * weights[2]
    across = (red - green) * math.sqrt(0.5)
    along = (red + green - 2 * blue) * math.sqrt(1 / 6)
    theta = torch.atan2(along, across)
    waves = torch.stack(
        [torch.ones_like(theta), theta.sin(), theta.cos(), (2 * theta).sin(), (2 * theta).cos()], -1
    )
    turn = waves @ rgb.new_tensor(look.hue) * (math.pi / 180)
    scale = torch.exp2(waves @ rgb.new_tensor(look.saturation))
    cos, sin = turn.cos() * scale, turn.sin() * scale
    across, along = across * cos - along * sin, across * sin + along * cos
    # Chroma without its share of grey, then the grey that restores the luminance.
    chroma = (
        across * math.sqrt(0.5) + along * math.sqrt(1 / 6),
        along * math.sqrt(1 / 6) - across * math.sqrt(0.5),
        along * -2 * math.sqrt(1 / 6),
    )
    grey = luminance - sum(value * weight for value, weight in zip(chroma, weights, strict=True))
    return torch.stack([grey + value for value in chroma], dim=-3)
