"""The network of team HIT-IIL for the P20 track of AIM 2022 (Conde et al., arXiv 2210.11153)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, RawHead, check_head, check_input
from revisp.backbones.blocks.naf import NAFBody, check_levels
from revisp.backbones.blocks.preview import linearize
from revisp.backbones.blocks.residual import conv3x3
from revisp.errors import ConfigError

__all__ = ["HITNAFNet"]


class HITNAFNet(nn.Module):
    """NAFNet at the RAW's resolution, on the linearised photo averaged over 2x2 pixels.

    The U-Net of Chen et al. (NAFNet, ECCV 2022, arXiv 2204.04676) stands between two convolutions. A 1x1
    convolution of the first one's features bypasses the U-Net and is added. With ``head="packed"`` and four
    outputs it has 116,024,580 parameters. Our reading has one 3x3 convolution between the U-Net and the sum, and
    another after the sum that predicts the planes; the published counts (116.02 M parameters, 66.0 GMAC) confirm
    it.

    The network is trained on pairs that do not match exactly: its authors warp the RAW by optical flow. Channel
    attention averages over the whole image, and the authors feed whole photos: results of tiles depend on the
    tiling.

    Args:
        in_channels: channels of the input; the first three are the photo.
        out_channels: channels of the output.
        head: ``"raw_rgb"``, or ``"packed"`` as published.
        width: channels of the first level; each level below has twice as many.
        encoder: blocks of each level on the way down, the first level first.
        middle: blocks at the bottom.
        decoder: blocks of each level on the way up, the lowest level first.

    Attributes:
        multiple_of: ``2 ** (len(encoder) + 1)``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or to ``[B, out_channels, H/2, W/2]`` if packed;
        H and W are multiples of ``multiple_of``.

    Raises:
        ConfigError: ``in_channels`` less than 3, ``width`` or a number of blocks less than 1, ``encoder`` and
            ``decoder`` of different lengths, or an unknown ``head``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 64,
        encoder: Sequence[int] = (2, 2, 4, 8),
        middle: int = 12,
        decoder: Sequence[int] = (2, 2, 2, 2),
    ) -> None:
        super().__init__()
        check_head(head, "hit_nafnet")
        check_levels(width, encoder, middle, decoder, "hit_nafnet")
        if in_channels < 3:
            raise ConfigError(f"hit_nafnet: in_channels must be at least 3, got {in_channels}")
        self.in_channels = in_channels
        self.multiple_of = self.min_size = 2 ** (len(encoder) + 1)
        self.stem = conv3x3(in_channels, width)
        self.body = NAFBody(width, encoder, middle, decoder)
        self.fuse = conv3x3(width, width)
        self.skip = nn.Conv2d(width, width, kernel_size=1)
        self.head = RawHead(width, out_channels, head)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to the RAW, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "hit_nafnet", self.min_size)
        x = self.stem(F.avg_pool2d(linearize(x), 2))
        output: Tensor = self.head(self.fuse(self.body(x)) + self.skip(x))
        return output
