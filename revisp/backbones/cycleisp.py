"""The RGB-to-RAW network of CycleISP (Zamir et al., CVPR 2020, arXiv 2003.07761, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import ChannelAttention, SpatialAttention, check_input
from revisp.backbones.blocks.residual import conv3x3
from revisp.errors import ConfigError

__all__ = ["CycleISP"]


class CycleISP(nn.Module):
    """Recursive residual groups of dual-attention blocks at full resolution, up to the demosaiced RAW.

    The published network ends with Bayer sampling; here the pipeline does it. With its default arguments it has
    3,143,109 parameters and costs about 3100 GMAC a megapixel. Its channel attention averages over the whole
    image: results of tiles depend on the tiling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of all feature maps.
        groups: number of recursive residual groups.
        blocks: dual-attention blocks in each group.
        reduction: channel attention narrows ``width`` by this factor.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, any H and W.

    Raises:
        ConfigError: an argument is less than 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 96,
        groups: int = 3,
        blocks: int = 5,
        reduction: int = 8,
    ) -> None:
        super().__init__()
        if min(width, groups, blocks, reduction) < 1:
            raise ConfigError(
                "cycleisp: width, groups, blocks and reduction must be at least 1, got "
                f"width={width}, groups={groups}, blocks={blocks}, reduction={reduction}"
            )
        self.in_channels = in_channels
        self.slope = nn.Parameter(torch.full((width,), 0.25))
        """Negative slopes ``[width]`` of the one PReLU that all layers share."""
        self.stem = conv3x3(in_channels, width)
        self.groups = nn.ModuleList(_ResidualGroup(width, blocks, reduction) for _ in range(groups))
        self.fuse = conv3x3(width, width)
        self.head = conv3x3(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count or an integer input.
        """
        check_input(x, self.in_channels, 1, "cycleisp")
        x = self.stem(x)
        for group in self.groups:
            x = group(x, self.slope)
        output: Tensor = self.head(F.prelu(self.fuse(x), self.slope))
        return output


class _ResidualGroup(nn.Module):
    """Dual-attention blocks and a convolution, plus the input (equation 1 of the paper): ``[B, C, H, W]``."""

    def __init__(self, width: int, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_DualAttentionBlock(width, reduction) for _ in range(blocks))
        self.conv = conv3x3(width, width)

    def forward(self, x: Tensor, slope: Tensor) -> Tensor:
        residual = x
        for block in self.blocks:
            residual = block(residual, slope)
        return x + self.conv(residual)


class _DualAttentionBlock(nn.Module):
    """Two convolutions, spatial and channel attention in parallel, 1x1 fusion, plus the input."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(width, width)
        self.conv2 = conv3x3(width, width)
        self.spatial = SpatialAttention()
        self.channel = ChannelAttention(width, reduction)
        self.fuse = nn.Conv2d(2 * width, width, kernel_size=1)

    def forward(self, x: Tensor, slope: Tensor) -> Tensor:
        residual = self.conv2(F.prelu(self.conv1(x), slope))
        return x + self.fuse(torch.cat([self.spatial(residual), self.channel(residual)], dim=1))
