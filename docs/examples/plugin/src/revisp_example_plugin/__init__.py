"""A backbone that another distribution brings to revisp, by the entry point in its ``pyproject.toml``."""

from typing import ClassVar

from torch import Tensor, nn

from revisp.backbones import BackboneSpec
from revisp.checks import check_image
from revisp.errors import ConfigError

__all__ = ["Pointwise"]


class Pointwise(nn.Module):
    """A small network of each pixel by itself: two hidden layers of 1x1 convolutions.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the hidden layers.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

    Raises:
        ConfigError: ``width`` is less than 1.
    """

    spec: ClassVar[BackboneSpec] = BackboneSpec(
        receptive_field=1,
        parameters=1283,
        gmac=0.3,
        small={"width": 16},
        license="Apache-2.0",
        paper="An example of a plugin",
    )

    def __init__(self, in_channels: int = 3, out_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"pointwise: width must be at least 1, got {width}")
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=1),
            nn.SiLU(),
            nn.Conv2d(width, width, kernel_size=1),
            nn.SiLU(),
            nn.Conv2d(width, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map photos to demosaiced RAW.

        Raises:
            ShapeError: wrong channel count, or an integer input.
        """
        check_image(x, self.in_channels, "input of pointwise")
        y: Tensor = self.layers(x)
        return y
