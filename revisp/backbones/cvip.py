"""The network of team CVIP (Conde et al., Reversed ISP challenge report, AIM 2022, arXiv 2210.11153)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import ChannelAttention, check_input
from revisp.backbones.blocks.reflect import ReflectConv
from revisp.backbones.blocks.residual import conv3x3
from revisp.errors import ConfigError

__all__ = ["CVIP"]

DENSE_UNITS = 3
"""Units of a dense block, each of three convolutions."""

START_DEVIATION = 0.02 * 64**0.5
"""Standard deviation of the initial weights, times the square root of the channels: 0.02 at the published 64."""


class CVIP(nn.Module):
    """Dense residual blocks with channel and pixel attention at full resolution, up to the demosaiced RAW.

    The network follows the released code SayedNadim/RISP_ECCVW, which we attribute to this team. The released
    network ends with RGGB sampling and a clip to [0, 1]; here the pipeline does both. It has 2,850,203 parameters
    (260,492 more are stored in the released file and never used) and costs about 2800 GMAC a megapixel. Its
    channel attention averages over the whole image: results of tiles depend on the tiling.

    Weights are initialised from N(0, 0.02) as published, scaled so that another width keeps the size of the
    signal. The first two convolutions mirror the image at its borders. Zero padding in all others is our reading.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        channels: channels of all feature maps.
        blocks: number of dense residual blocks.
        reduction: channel attention narrows ``channels`` by this factor.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, H and W at least 2.

    Raises:
        ConfigError: an argument is less than 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        channels: int = 64,
        blocks: int = 6,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if min(channels, blocks, reduction) < 1:
            raise ConfigError(
                "cvip: channels, blocks and reduction must be at least 1, got "
                f"channels={channels}, blocks={blocks}, reduction={reduction}"
            )
        self.in_channels = in_channels
        self.stem = nn.Sequential(
            ReflectConv(in_channels, channels),
            nn.ReLU(inplace=True),
            ReflectConv(channels, channels),
            nn.ReLU(inplace=True),
        )
        self.body = nn.Sequential(*(_DenseBlock(channels, reduction) for _ in range(blocks)))
        self.tail = conv3x3(channels, out_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=START_DEVIATION / channels**0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or a side of one pixel.
        """
        check_input(x, self.in_channels, 1, "cvip", 2)
        x = self.stem(x)
        output: Tensor = self.tail(self.body(x) + x)
        return output


class _DenseBlock(nn.Module):
    """Densely connected units, fusion and attention; the input is added twice: ``[B, C, H, W]``."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(_Unit((1 + before) * channels, channels) for before in range(DENSE_UNITS))
        self.fuse = nn.Conv2d((1 + DENSE_UNITS) * channels, channels, kernel_size=1)
        self.attention = _Attention(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for unit in self.units:
            features = torch.cat([features, unit(features)], dim=1)
        attended: Tensor = self.attention(self.fuse(features) + x)
        return attended + x


class _Unit(nn.Module):
    """Three convolutions with leaky ReLU between them: ``[B, in, H, W]`` to ``[B, C, H, W]``."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(in_channels, channels)
        self.second = conv3x3(channels, channels)
        self.third = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), 0.01)
        x = F.leaky_relu(self.second(x), 0.01)
        output: Tensor = self.third(x)
        return output


class _Attention(nn.Module):
    """A 1x1 convolution, plus the input weighted by channel and then by pixel and channel: ``[B, C, H, W]``."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.straight = nn.Conv2d(channels, channels, kernel_size=1)
        self.channel = ChannelAttention(channels, reduction)
        self.pixel = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        weighed = self.channel(x)
        return self.straight(x) + weighed * torch.sigmoid(self.pixel(weighed))
