"""A small NAFNet (Chen et al., ECCV 2022, arXiv 2204.04676) from photo to demosaiced RAW."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.naf import NAFBody, check_levels
from revisp.backbones.blocks.photo import check_channels
from revisp.backbones.blocks.residual import conv3x3

__all__ = ["NAFNet"]


class NAFNet(nn.Module):
    """A U-Net without nonlinear activation functions between two convolutions; the photo is added.

    The paper's networks restore photos, with widths of 32 and 64 and 36 blocks. The default here is much smaller,
    for CPUs: 438,387 parameters, 4.8 GMAC for 504 x 504 pixels. Its channel attention averages over the whole
    image: results of tiles depend on the tiling.

    Args:
        in_channels: 3 for sRGB, 4 for sRGB and the overexposure mask.
        out_channels: 3, or a multiple of 3; the photo is added to each group of three.
        width: channels of the first level; each level below has twice as many.
        encoder: blocks of each level on the way down, the first level first.
        middle: blocks at the bottom.
        decoder: blocks of each level on the way up, the lowest level first.

    Attributes:
        multiple_of: ``2 ** len(encoder)``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``; H and W are multiples of ``multiple_of``.

    Raises:
        ConfigError: a number of channels is not supported, ``width`` or a number of blocks is less than 1, or
            ``encoder`` and ``decoder`` have different lengths.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 16,
        encoder: Sequence[int] = (1, 1, 2),
        middle: int = 2,
        decoder: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, "nafnet")
        check_levels(width, encoder, middle, decoder, "nafnet")
        self.in_channels = in_channels
        self.multiple_of = self.min_size = 2 ** len(encoder)
        self.copies = out_channels // 3
        self.stem = conv3x3(in_channels, width)
        self.body = NAFBody(width, encoder, middle, decoder)
        self.head = conv3x3(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "nafnet", self.min_size)
        photo = x[:, :3].repeat(1, self.copies, 1, 1)
        output: Tensor = self.head(self.body(self.stem(x))) + photo
        return output
