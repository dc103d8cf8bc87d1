"""Blocks without nonlinear activation functions (Chen et al., NAFNet, ECCV 2022, arXiv 2204.04676)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks.whole_image import WholeImage
from revisp.errors import ConfigError

__all__ = ["LayerNorm2d", "NAFBlock", "NAFBody", "SimpleGate", "check_levels"]


class LayerNorm2d(nn.Module):
    """Layer normalisation of each pixel over its channels (Ba et al., arXiv 1607.06450): ``[B, C, H, W]``.

    Args:
        channels: number of channels C; each has a scale and a shift.
        eps: added to the variance, so that a pixel with equal channels becomes the shift.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return pixels of mean 0 and variance 1, scaled and shifted, ``[B, C, H, W]``."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return last.permute(0, 3, 1, 2)


class SimpleGate(nn.Module):
    """The first half of the channels times the second: ``[B, 2 C, H, W]`` to ``[B, C, H, W]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, ``[B, C, H, W]``."""
        first, second = x.chunk(2, dim=1)
        return first * second


class _SimplifiedChannelAttention(nn.Module):
    """Each channel times a linear function of all channels' means over the image (equation 6 of the paper)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = WholeImage()
        self.conv = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.conv(self.mean(x.mean(dim=(-2, -1), keepdim=True)))
        return weighed


class NAFBlock(nn.Module):
    """Gated depth-wise convolution with channel attention, then a gated pixel-wise layer, each plus its input.

    A learned factor for each channel scales both. It starts at zero, so a new block is the identity.

    Args:
        channels: channels of input and output.

    Shape:
        ``[B, channels, H, W]`` to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        double = 2 * channels
        self.spatial = nn.Sequential(
            LayerNorm2d(channels),
            nn.Conv2d(channels, double, kernel_size=1),
            nn.Conv2d(double, double, kernel_size=3, padding=1, groups=double),
            SimpleGate(),
            _SimplifiedChannelAttention(channels),
            nn.Conv2d(channels, channels, kernel_size=1),
        )
        self.pixelwise = nn.Sequential(
            LayerNorm2d(channels),
            nn.Conv2d(channels, double, kernel_size=1),
            SimpleGate(),
            nn.Conv2d(channels, channels, kernel_size=1),
        )
        self.beta = nn.Parameter(torch.zeros(channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined features ``[B, channels, H, W]``."""
        x = x + self.spatial(x) * self.beta
        refined: Tensor = x + self.pixelwise(x) * self.gamma
        return refined


class NAFBody(nn.Module):
    """A U-Net of `NAFBlock`: convolutions of stride 2 down, sub-pixel convolutions up, sums as skip connections.

    Args:
        width: channels of input and output; each level below has twice as many.
        encoder: blocks of each level on the way down, the first level first.
        middle: blocks at the bottom.
        decoder: blocks of each level on the way up, the lowest level first; as many levels as ``encoder``.

    Shape:
        ``[B, width, H, W]`` to the same; H and W are multiples of ``2 ** len(encoder)``.
    """

    def __init__(self, width: int, encoder: Sequence[int], middle: int, decoder: Sequence[int]) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(len(encoder))]
        self.encoder = nn.ModuleList(map(_blocks, widths, encoder))
        self.downs = nn.ModuleList(
            nn.Conv2d(channels, 2 * channels, kernel_size=2, stride=2) for channels in widths
        )
        self.middle = _blocks(width * 2 ** len(encoder), middle)
        self.ups = nn.ModuleList(_up(2 * channels) for channels in reversed(widths))
        self.decoder = nn.ModuleList(map(_blocks, reversed(widths), decoder))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``[B, width, H, W]``."""
        skips: list[Tensor] = []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, blocks in zip(self.ups, self.decoder, strict=True):
            x = blocks(up(x) + skips.pop())
        return x


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(channels) for _ in range(count)))


def _up(channels: int) -> nn.Sequential:
    """Return the layers from ``[B, C, h, w]`` to ``[B, C / 2, 2h, 2w]``."""
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, kernel_size=1, bias=False), nn.PixelShuffle(2))


def check_levels(width: int, encoder: Sequence[int], middle: int, decoder: Sequence[int], name: str) -> None:
    """Require valid arguments of a `NAFBody` in the network ``name``.

    Raises:
        ConfigError: ``width`` or a number of blocks is less than 1, or ``encoder`` and ``decoder`` have different
            numbers of levels.
    """
    if min(width, middle, *encoder, *decoder) < 1 or len(encoder) != len(decoder):
        raise ConfigError(
            f"{name}: width and all numbers of blocks must be at least 1, encoder and decoder equally long, got "
            f"width={width}, encoder={list(encoder)}, middle={middle}, decoder={list(decoder)}"
        )
