"""Restormer (Zamir et al., CVPR 2022, arXiv 2111.09881), at a smaller size for reverse ISP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.transformer import (
    BiasFreeLayerNorm2d,
    GatedFeedForward,
    TransformerUNet,
    TransposedAttention,
    bias_free_conv3x3,
    check_sizes,
    conv1x1,
)

__all__ = ["Restormer"]


class Restormer(nn.Module):
    """A U-shape of transformer blocks whose attention is over channels, hence over the whole image.

    The published network restores sRGB images and adds its input to the output. Here the output is RAW, of another
    domain, so nothing is added. The defaults are our small version. The published size is ``width=48``,
    ``blocks=(4, 6, 6, 8)``, ``refinement=4``. With the shift-free normalisation used here it has 26,111,668
    parameters and costs 154.9 GMAC at 256x256; 13.9 of these are attention's matrix products, which the paper does
    not count. Results of tiles depend on the tiling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the first level, even; each level below has twice as many, and twice the heads.
        blocks: transformer blocks of each level, from the first down, the same in encoder and decoder.
        refinement: transformer blocks after the decoder, at ``2 * width`` channels and full resolution.
        expansion: the feed-forward parts widen the channels by this factor.

    Attributes:
        multiple_of: ``2 ** (len(blocks) - 1)``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: ``width`` is odd or less than 2, there are fewer than two levels, a level has no blocks,
            ``refinement`` is negative, or ``expansion`` is not positive.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 16,
        blocks: Sequence[int] = (1, 1, 2),
        refinement: int = 1,
        expansion: float = 2.66,
    ) -> None:
        super().__init__()
        check_sizes("restormer", width, blocks, refinement, expansion)
        self.in_channels = in_channels
        make_block = partial(_Block, expansion=expansion)
        self.trunk = TransformerUNet(in_channels, width, blocks, refinement, make_block)
        self.multiple_of = self.min_size = self.trunk.multiple_of
        self.head = bias_free_conv3x3(self.trunk.out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "restormer", self.min_size)
        output: Tensor = self.head(self.trunk(x))
        return output


class _Block(nn.Module):
    """Attention over channels and a gated feed-forward part, each on normalised input and added to the input.

    ``[B, C, H, W]`` to the same.
    """

    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = BiasFreeLayerNorm2d(channels)
        self.attention = TransposedAttention(channels, heads)
        self.project = conv1x1(channels, channels)
        self.norm2 = BiasFreeLayerNorm2d(channels)
        self.feed = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(self.attention(self.norm1(x)))
        fed: Tensor = x + self.feed(self.norm2(x))
        return fed
