"""The U-Net of Overexposure Mask Fusion (Kim, Jiang, Gu, AIM 2022, arXiv 2210.11511)."""

from __future__ import annotations

import itertools
from typing import cast

from torch import Tensor, nn

from revisp.backbones.blocks import DoubleConv, Norm, check_input
from revisp.backbones.blocks.blockconv import BlockConv
from revisp.backbones.blocks.shuffle import pixel_shuffle
from revisp.backbones.blocks.upconv import UpConv
from revisp.backbones.blocks.ushape import UShape, reach
from revisp.errors import ConfigError

__all__ = ["UNet"]


class UNet(UShape):
    """Encoder and decoder of ``depth`` levels with skip connections (Ronneberger et al., arXiv 1505.04597).

    Each encoder level has two 3x3 convolutions with normalisation and ReLU. 2x2 max pooling connects the levels.
    Each decoder level doubles the size by nearest neighbour, halves the channels by a 3x3 convolution, appends the
    result to the skip connection and applies two more convolutions. The last layer is a 1x1 convolution. The
    borders of each 3x3 convolution are padded by zeros; the input is not padded, the output not clamped.

    With its default arguments and four inputs this is the published network: 34,527,747 parameters. With
    ``block=2`` the network works at half of the photo's size, at a quarter of the arithmetic. The four pixels of
    each 2x2 tile enter as channels. Sub-pixel convolution (Shi et al., arXiv 1609.05158) arranges the output
    channels as pixels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the first level; each level below has twice as many.
        depth: number of levels; the input's sides must be multiples of ``block * 2 ** (depth - 1)``.
        norm: ``"batch"`` as published, ``"group"``, or ``"none"``.
        block: side in pixels of the tiles that the first level takes as one; 1 as published.

    Attributes:
        multiple_of: ``block * 2 ** (depth - 1)``.
        receptive_field: side in pixels of the input square, centred on an output pixel, that this pixel depends
            on; None with ``norm="group"``, which averages over the whole image.
        global_context: whether an output pixel depends on the whole image: true with ``norm="group"``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: ``width``, ``depth`` or ``block`` is less than 1, or ``norm`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        depth: int = 5,
        norm: Norm = "batch",
        block: int = 1,
    ) -> None:
        if min(width, depth, block) < 1:
            raise ConfigError(
                f"unet: width, depth and block must be at least 1, got width={width}, depth={depth}, block={block}"
            )
        widths = [width * 2**level for level in range(depth)]
        super().__init__(
            [DoubleConv(*pair, norm) for pair in itertools.pairwise([in_channels * block**2, *widths])],
            [_Up(channels, norm) for channels in reversed(widths[1:])],
            growth=3,
        )
        self.in_channels = in_channels
        self.block = block
        self.multiple_of = self.min_size = block * 2 ** (depth - 1)
        self.global_context = norm == "group"
        pixels = block * reach(depth, self.growth) + block - 1  # to the far side of the farthest tile
        self.receptive_field = None if self.global_context else 2 * pixels + 1
        if block > 1:
            self._first.conv = BlockConv(self._first.conv, block)  # type: ignore[arg-type]
        self.head = nn.Conv2d(width, out_channels * block**2, kernel_size=1)

    @property
    def _first(self) -> nn.Module:
        """The first convolution, with its normalisation and ReLU."""
        return self.encoder[0].get_submodule("0")

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "unet")
        output = self.head(self.features(x))
        return pixel_shuffle(output, self.block)

    def forward_part(self, x: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return ``forward(x)[..., rows, columns]`` at less cost: only the pixels that it needs are computed.

        Args:
            x: ``[B, in_channels, H, W]``.
            rows: first row and one past the last row, in 0 to H.
            columns: first column and one past the last column, in 0 to W.

        Raises:
            ShapeError: as `forward`.
        """
        if self.global_context:
            return cast("Tensor", self(x))[..., rows, columns]
        check_input(x, self.in_channels, self.multiple_of, "unet")
        block = self.block
        tiles = [slice(part.start // block, -(-part.stop // block)) for part in (rows, columns)]
        output = self.head(self.features_part(x, *tiles, block=block))
        top, left = (part.start % block for part in (rows, columns))
        height, width = (part.stop - part.start for part in (rows, columns))
        return pixel_shuffle(output, block)[..., top : top + height, left : left + width]

    def join_blocks(self) -> None:
        """Make the first convolution, in place, a plain one of single pixels. The function stays the same.

        An exported graph then holds its weights as they are used. They no longer fit other networks of its kind.
        """
        if isinstance(conv := self._first.conv, BlockConv):
            self._first.conv = conv.pixel_conv()


class _Up(nn.Module):
    """One decoder level: ``[B, C, H, W]`` and a skip ``[B, C/2, 2H, 2W]`` to ``[B, C/2, 2H, 2W]``."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.reduce = UpConv(channels, channels // 2, norm)
        self.merge = DoubleConv(channels, channels // 2, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        merged: Tensor = self.merge(self.reduce.append_to(skip, x))
        return merged
