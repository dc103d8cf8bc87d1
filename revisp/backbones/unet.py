"""The U-Net of Overexposure Mask Fusion (Kim, Jiang, Gu, AIM 2022, arXiv 2210.11511)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import ConvNormAct, DoubleConv, Norm, check_input
from revisp.errors import ConfigError

__all__ = ["UNet"]


class UNet(nn.Module):
    """Encoder and decoder of ``depth`` levels with skip connections (Ronneberger et al., arXiv 1505.04597).

    Each encoder level is two 3x3 convolutions with normalisation and ReLU; 2x2 max pooling leads down. Each
    decoder level doubles the size by nearest neighbour, halves the channels by a 3x3 convolution, appends the
    result to the skip connection and applies two more convolutions. A 1x1 convolution ends it. The borders of each
    3x3 convolution are padded by zeros; the input is not padded, the output not clamped.

    With its default arguments and four inputs this is the published network: 34,527,747 parameters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the first level; each level below has twice as many.
        depth: number of levels; the input's sides must be multiples of ``2 ** (depth - 1)``.
        norm: ``"batch"`` as published, ``"group"``, or ``"none"``.

    Attributes:
        multiple_of: ``2 ** (depth - 1)``.
        receptive_field: side in pixels of the input square, centred on an output pixel, that it depends on.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: ``width`` or ``depth`` is less than 1, or ``norm`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        depth: int = 5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ConfigError(f"unet: width and depth must be at least 1, got width={width}, depth={depth}")
        self.in_channels = in_channels
        self.multiple_of = self.min_size = 2 ** (depth - 1)
        self.receptive_field = 2 * _reach(depth) + 1
        widths = [width * 2**level for level in range(depth)]
        self.encoder = nn.ModuleList(
            DoubleConv(before, after, norm)
            for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.decoder = nn.ModuleList(_Up(channels, norm) for channels in reversed(widths[1:]))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "unet")
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        output: Tensor = self.head(x)
        return output


class _Up(nn.Module):
    """One decoder level: ``[B, C, H, W]`` and a skip ``[B, C/2, 2H, 2W]`` to ``[B, C/2, 2H, 2W]``."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.reduce = ConvNormAct(channels, channels // 2, norm)
        self.merge = DoubleConv(channels, channels // 2, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.reduce(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        merged: Tensor = self.merge(torch.cat([skip, x], dim=1))
        return merged


def _reach(depth: int) -> int:
    """Return the farthest distance of an input pixel that an output pixel of a U-Net can depend on.

    The interval of pixels that matter is followed from the output back to the input: it grows by one pixel a side
    at each 3x3 convolution, halves through nearest-neighbour upsampling and doubles through pooling. What is lost
    by halving depends on the output's position, hence the maximum over the positions of one bottom cell.
    """
    reach = 0
    for position in range(2 ** (depth - 1)):
        low = high = position
        for _ in range(depth - 1):
            low, high = (low - 3) // 2, (high + 3) // 2
        low, high = low - 2, high + 2
        for _ in range(depth - 1):
            low, high = 2 * low - 2, 2 * high + 1 + 2
        reach = max(reach, position - low, high - position)
    return reach
