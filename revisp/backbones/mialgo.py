"""The network of team MiAlgo, winner of the P20 track of AIM 2022 (Conde et al., arXiv 2210.11153)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import ChannelAttention, Head, RawHead, check_head, check_input
from revisp.backbones.blocks.liteisp import LiteISPBody
from revisp.backbones.blocks.residual import conv3x3
from revisp.errors import ConfigError

__all__ = ["MiAlgo"]


class MiAlgo(nn.Module):
    """LiteISPNet-s: a wavelet U-Net at RAW resolution that ends with learned gains and shading.

    A convolution of stride 2 first reduces the photo to the RAW's resolution. Three levels of residual groups with
    channel and spatial attention follow, joined by Haar wavelets and sums (LiteISPNet, Zhang et al., ICCV 2021,
    arXiv 2108.08119). Two factors in (0, 1) then scale the predicted planes, as a camera does: a gain for each
    plane, from the planes' means (white balance), and a gain for each pixel, from the last features (lens
    shading). With ``head="raw_rgb"`` they scale the planes before sub-pixel convolution arranges them as pixels.

    With ``head="packed"`` and four outputs it has 4,533,106 parameters. The published 4,537,202 include 4096 fixed
    wavelet values, which are arithmetic here. In our reading all convolutions have biases, the shading's hidden
    layer is as wide as the features, and the gains' hidden layer has one channel; the published count confirms it.
    The shading starts near 1 and the gains' hidden channel above 0. This is our choice and stabilises the first
    steps.

    Attention and gains average over the whole image; the authors feed whole photos. Results of tiles depend on
    the tiling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"raw_rgb"``, or ``"packed"`` as published.
        width: channels of the first level.
        blocks: attention blocks in each residual group.

    Attributes:
        gains: the gains of the planes, as a function of the planes.
        shading: convolutions whose sigmoid is the gain of each pixel.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or to ``[B, out_channels, H/2, W/2]`` if packed;
        H and W are multiples of 16.

    Raises:
        ConfigError: ``width`` or ``blocks`` is less than 1, or ``head`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 32,
        blocks: int = 4,
    ) -> None:
        super().__init__()
        check_head(head, "mialgo")
        if min(width, blocks) < 1:
            raise ConfigError(f"mialgo: width and blocks must be at least 1, got width={width}, blocks={blocks}")
        self.in_channels = in_channels
        self.stem = nn.Conv2d(in_channels, width, kernel_size=3, stride=2, padding=1)
        self.body = LiteISPBody((width, width, 2 * width, 4 * width), blocks, spatial=True)
        self.tail = RawHead(width, out_channels, head)
        self.gains = ChannelAttention(self.tail.conv.out_channels, reduction=16)
        nn.init.constant_(self.gains.squeeze.bias, 0.5)  # type: ignore[arg-type]
        shading = nn.Conv2d(width, 1, kernel_size=3, padding=1)
        nn.init.constant_(shading.bias, 2.0)  # type: ignore[arg-type]
        self.shading = nn.Sequential(conv3x3(width, width), nn.ReLU(), shading)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to the RAW, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of 16.
        """
        check_input(x, self.in_channels, 16, "mialgo", 16)
        features = self.body(self.stem(x))
        planes = self.gains(self.tail.conv(features)) * torch.sigmoid(self.shading(features))
        return F.pixel_shuffle(planes, self.tail.scale)
