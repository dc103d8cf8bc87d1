"""The organisers' baseline of the Reversed ISP challenge (Conde et al., AIM 2022, arXiv 2210.11153)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, check_head, check_input
from revisp.backbones.blocks.join import join
from revisp.backbones.blocks.ushape import UShape, reach
from revisp.errors import ConfigError

__all__ = ["UNetAIM"]


class UNetAIM(UShape):
    """A small U-Net (Ronneberger et al., arXiv 1505.04597) at full size; every fourth output pixel is kept.

    Each level has two 3x3 convolutions without bias, each followed by ReLU. 2x2 max pooling leads down. A 2x2
    transposed convolution of stride 2 leads up; it halves the channels, and its output is concatenated before the
    skip connection. The last layer is a 1x1 convolution. The packed planes are its four outputs at full size,
    taken at every other row and column (nearest-neighbour resizing). As published (``head="packed"``, four
    outputs) it has 1,861,764 parameters. The published code clamps the results to [0, 1]; here the pipeline does
    so.

    Weights are initialised by He's rule for ReLU (arXiv 1502.01852), which is our choice. The borders of the
    convolutions are padded by zeros.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"raw_rgb"``, without the resizing, or ``"packed"`` as published.
        width: channels of the first level; each level below has twice as many.
        depth: number of levels.

    Attributes:
        multiple_of: ``2 ** (depth - 1)``, at least 2.
        receptive_field: side in pixels of the input square, centred on an output pixel, that this pixel depends
            on.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or packed to ``[B, out_channels, H/2, W/2]``.

    Raises:
        ConfigError: ``width`` or ``depth`` is less than 1, or ``head`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 64,
        depth: int = 3,
    ) -> None:
        check_head(head, "unet_aim")
        if width < 1 or depth < 1:
            raise ConfigError(f"unet_aim: width and depth must be at least 1, got width={width}, depth={depth}")
        widths = [width * 2**level for level in range(depth)]
        super().__init__(
            [_double_conv(*pair) for pair in itertools.pairwise([in_channels, *widths])],
            [_Up(channels) for channels in reversed(widths[1:])],
            growth=2,
        )
        self.in_channels = in_channels
        self.packed = head == "packed"
        self.multiple_of = self.min_size = max(2, 2 ** (depth - 1))
        self.receptive_field = 2 * reach(depth, self.growth, packed=self.packed) + 1
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, packed ``[B, out_channels, H/2, W/2]``.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "unet_aim")
        output: Tensor = self.head(self.features(x))
        return F.interpolate(output, scale_factor=0.5, mode="nearest") if self.packed else output

    def forward_part(self, x: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return ``forward(x)[..., rows, columns]`` at less cost: only the pixels that it needs are computed.

        Args:
            x: ``[B, in_channels, H, W]``.
            rows: first row and one past the last row, in 0 to H.
            columns: first column and one past the last column, in 0 to W.

        Raises:
            ShapeError: as `forward`.
            ConfigError: the head is ``"packed"``.
        """
        if self.packed:
            raise ConfigError("unet_aim: a part is computed of head 'raw_rgb' alone")
        check_input(x, self.in_channels, self.multiple_of, "unet_aim")
        part: Tensor = self.head(self.features_part(x, rows, columns))
        return part


class _Up(nn.Module):
    """One decoder level: ``[B, C, H, W]`` and a skip ``[B, C/2, 2H, 2W]`` to ``[B, C/2, 2H, 2W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2)
        self.merge = _double_conv(channels, channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        merged: Tensor = self.merge(join(self.enlarge(x), skip))
        return merged


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    first = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    second = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
    for conv in (first, second):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
