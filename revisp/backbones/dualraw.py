"""DualRAW, a baseline of the NTIRE 2025 challenge, implemented after its description (arXiv 2506.01947)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import ConvNormAct, DoubleConv, Head, RawHead, check_head, check_input
from revisp.backbones.blocks.photo import check_channels
from revisp.backbones.blocks.transformer import BiasFreeLayerNorm2d, TransposedAttention, conv1x1
from revisp.errors import ConfigError

__all__ = ["DualRAW"]

DISPLAY_GAMMA = 2.2
LEAST_LIGHT = 1e-8


class DualRAW(nn.Module):
    """Two embeddings, for over- and underexposed pixels, weighted by exposure masks that the network predicts.

    Only a description is published, inspired by RawHDR (Zou, Yan, Fu, ICCV 2023, arXiv 2309.02020). This network
    follows it. One U-Net encoder sees the sRGB, another the sRGB without its gamma. A Uformer-like branch computes
    global features. From all of these, two U-Net decoders compute an overexposed and an underexposed embedding.
    Small residual networks predict the exposure masks that weight the embeddings. The final decoder has separate
    residual connections for R and B, and for G, since their histograms differ. The predicted masks are a learned
    form of the overexposure masks of arXiv 2210.11511.

    **No sizes and no code are public: all sizes are ours,** and so are the details that the description leaves
    open. The network works at the RAW's resolution, with the pixels of each 2x2 tile as channels. The global
    branch sees the image at the resolution of the U-Nets' lowest level. Its attention is over channels (arXiv
    2111.09881), not in windows, so it is global at every size. The weighted embeddings are added. The residual
    connections are 1x1 convolutions of the linear photo's R and B, and of its G.

    Args:
        in_channels: 3 for sRGB, 4 for sRGB and the overexposure mask. The residual connections do not see the
            mask.
        out_channels: 4 with ``head="packed"``, 3 with ``head="raw_rgb"``, or a multiple of that number.
        head: ``"packed"``: Bayer planes R, Gr, Gb, B, as published; ``"raw_rgb"``: demosaiced RAW.
        width: channels of the first level; each level below has twice as many.
        depth: levels of the U-Nets, at least two.
        blocks: transformer blocks of the global branch.

    Attributes:
        multiple_of: ``2 ** depth``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or packed ``[B, out_channels, H/2, W/2]``.

    Raises:
        ConfigError: an argument is too small, the head is unknown, or a number of channels is not supported.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 24,
        depth: int = 4,
        blocks: int = 2,
    ) -> None:
        super().__init__()
        check_head(head, "dualraw")
        check_channels(in_channels, out_channels, "dualraw", planes=4 if head == "packed" else 3)
        if min(width, depth - 1, blocks) < 1:
            raise ConfigError(
                "dualraw: width and blocks must be at least 1, depth at least 2, got "
                f"width={width}, depth={depth}, blocks={blocks}"
            )
        self.in_channels = in_channels
        self.multiple_of = self.min_size = 2**depth
        widths = [width * 2**level for level in range(depth)]
        self.display_encoder = _Encoder(4 * in_channels, widths)
        self.linear_encoder = _Encoder(4 * in_channels, widths)
        self.context = _GlobalBranch(4 * in_channels, widths[-1], depth, blocks)
        self.over_decoder = _Decoder(widths)
        self.under_decoder = _Decoder(widths)
        self.over_mask = _ExposureMask(4 * in_channels, width)
        self.under_mask = _ExposureMask(4 * in_channels, width)
        self.output = _FinalDecoder(width, out_channels, head)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to the RAW, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        check_input(x, self.in_channels, self.multiple_of, "dualraw", self.min_size)
        linear = x[:, :3].clamp_min(LEAST_LIGHT) ** DISPLAY_GAMMA
        display = F.pixel_unshuffle(x, 2)
        skips = [
            torch.cat(pair, dim=1)
            for pair in zip(
                self.display_encoder(display),
                self.linear_encoder(F.pixel_unshuffle(torch.cat([linear, x[:, 3:]], dim=1), 2)),
                strict=True,
            )
        ]
        skips[-1] = torch.cat([skips[-1], self.context(display)], dim=1)
        over = self.over_mask(display) * self.over_decoder(skips)
        under = self.under_mask(display) * self.under_decoder(skips)
        output: Tensor = self.output(over + under, linear)
        return output


class _Encoder(nn.Module):
    """Two convolutions for each level, 2x2 max pooling between: ``[B, in, h, w]`` to a list of all levels."""

    def __init__(self, in_channels: int, widths: list[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            DoubleConv(before, after) for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        for level, block in enumerate(self.levels):
            x = block(F.max_pool2d(x, 2) if level else x)
            levels.append(x)
        return levels


class _Decoder(nn.Module):
    """From the lowest level, with three sets of features, up through skips with two sets: to ``[B, C, h, w]``."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        below = [*widths[1:-1], 3 * widths[-1]]
        levels = list(zip(below, widths[:-1], strict=True))[::-1]
        self.reduce = nn.ModuleList(ConvNormAct(before, channels) for before, channels in levels)
        self.merge = nn.ModuleList(DoubleConv(3 * channels, channels) for _, channels in levels)

    def forward(self, skips: list[Tensor]) -> Tensor:
        *skips, x = skips
        for reduce, merge, skip in zip(self.reduce, self.merge, reversed(skips), strict=True):
            x = reduce(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = merge(torch.cat([skip, x], dim=1))
        return x


class _GlobalBranch(nn.Module):
    """Transformer blocks on the photo, averaged to the lowest level: ``[B, in, h, w]`` to ``[B, C, h/f, w/f]``."""

    def __init__(self, in_channels: int, channels: int, depth: int, blocks: int) -> None:
        super().__init__()
        self.factor = 2 ** (depth - 1)
        self.stem = ConvNormAct(in_channels, channels)
        self.blocks = nn.Sequential(*(_TransformerBlock(channels, heads=self.factor) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(self.stem(F.avg_pool2d(x, self.factor)))
        return features


class _TransformerBlock(nn.Module):
    """Attention over channels and Uformer's feed-forward part with depth-wise convolution (arXiv 2106.03106)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = BiasFreeLayerNorm2d(channels)
        self.attention = TransposedAttention(channels, heads)
        self.project = conv1x1(channels, channels)
        self.norm2 = BiasFreeLayerNorm2d(channels)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, kernel_size=1),
            nn.GELU(),
            nn.Conv2d(2 * channels, 2 * channels, kernel_size=3, padding=1, groups=2 * channels),
            nn.GELU(),
            nn.Conv2d(2 * channels, channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(self.attention(self.norm1(x)))
        fed: Tensor = x + self.feed(self.norm2(x))
        return fed


class _ExposureMask(nn.Module):
    """The degree to which each pixel has one exposure: ``[B, in, h, w]`` to ``[B, 1, h, w]`` in (0, 1)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.stem = ConvNormAct(in_channels, width)
        self.residual = nn.Sequential(ConvNormAct(width, width), nn.Conv2d(width, width, kernel_size=3, padding=1))
        self.head = nn.Conv2d(width, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return torch.sigmoid(self.head(x + self.residual(x)))


class _FinalDecoder(nn.Module):
    """From the fused embedding ``[B, C, h, w]`` and the linear photo ``[B, 3, 2h, 2w]`` to the RAW.

    One pair of convolutions and one residual connection predict R and B of all predictions; another pair, G.
    """

    def __init__(self, width: int, out_channels: int, head: Head) -> None:
        super().__init__()
        planes = 4 if head == "packed" else 3
        self.predictions = out_channels // planes
        outer, inner = 2 * self.predictions, (planes - 2) * self.predictions
        self.fuse = ConvNormAct(width, width)
        self.red_blue = nn.Sequential(ConvNormAct(width, width), RawHead(width, outer, head))
        self.green = nn.Sequential(ConvNormAct(width, width), RawHead(width, inner, head))
        self.red_blue_residual = RawHead(8, outer, head, kernel_size=1)
        self.green_residual = RawHead(4, inner, head, kernel_size=1)

    def forward(self, x: Tensor, linear: Tensor) -> Tensor:
        x = self.fuse(x)
        red, green, blue = linear.split(1, dim=1)
        red_blue = self.red_blue(x) + self.red_blue_residual(F.pixel_unshuffle(torch.cat([red, blue], dim=1), 2))
        greens = self.green(x) + self.green_residual(F.pixel_unshuffle(green, 2))
        reds, blues = red_blue.chunk(2, dim=1)
        columns = [part.unflatten(1, (self.predictions, -1)) for part in (reds, greens, blues)]
        return torch.cat(columns, dim=2).flatten(1, 2)
