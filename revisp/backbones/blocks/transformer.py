"""Blocks of Restormer (Zamir et al., CVPR 2022, arXiv 2111.09881): attention over channels, and its U-shape.

No layer here has a bias, so the blocks follow the input's level. Attention compares channels, each a vector of
all its pixels. Its cost grows with the number of pixels, not with the square of that number, and it sees the whole
image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks.whole_image import WholeImage
from revisp.errors import ConfigError

__all__ = [
    "BiasFreeLayerNorm2d",
    "Downsample",
    "GatedFeedForward",
    "TransformerUNet",
    "TransposedAttention",
    "Upsample",
    "bias_free_conv3x3",
    "check_sizes",
    "conv1x1",
]

_LEAST_LEVELS = 2


class BiasFreeLayerNorm2d(nn.Module):
    """Normalise the channels of each pixel to mean 0 and variance 1, then scale each: ``[B, C, H, W]``.

    Layer normalisation (arXiv 1607.06450) without its shift.

    Args:
        channels: number of channels C.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised ``[B, C, H, W]``."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, None, self.eps)
        return last.permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """Self-attention over channels (Restormer's equation 1), without its last 1x1 convolution: ``[B, C, H, W]``.

    A 1x1 and a depth-wise 3x3 convolution compute query, key and value. Within each head, the rows of q and k over
    all pixels are normalised to length 1, and ``y = softmax(t q kᵀ) v`` with a learned temperature t.

    Args:
        channels: number of channels C.
        heads: number of heads; divides C.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.likeness = WholeImage()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Sequential(conv1x1(channels, 3 * channels), _depthwise3x3(3 * channels))

    def forward(self, x: Tensor, value_gain: Tensor | None = None) -> Tensor:
        """Return the attended channels ``[B, C, H, W]``.

        Args:
            x: ``[B, C, H, W]``.
            value_gain: factors of the value's channels, ``[B, C, 1, 1]``; None: no factors.
        """
        q, k, v = self.qkv(x).chunk(3, dim=1)
        if value_gain is not None:
            v = v * value_gain
        heads = len(self.temperature)
        q, k, v = (part.flatten(2).unflatten(1, (heads, -1)) for part in (q, k, v))
        likeness = self.likeness(F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1))
        gathered: Tensor = (likeness * self.temperature).softmax(dim=-1) @ v
        return gathered.flatten(1, 2).unflatten(2, x.shape[-2:])


class GatedFeedForward(nn.Module):
    """``W gelu(a) · b``, a and b by 1x1 and depth-wise 3x3 convolutions (Restormer, equation 2): ``[B, C, H, W]``.

    Args:
        channels: number of channels C.
        expansion: a and b have ``int(expansion * C)`` channels, at least one.
    """

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = max(1, int(channels * expansion))
        self.expand = nn.Sequential(conv1x1(channels, 2 * hidden), _depthwise3x3(2 * hidden))
        self.project = conv1x1(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``[B, C, H, W]``; the input is not added."""
        a, b = self.expand(x).chunk(2, dim=1)
        projected: Tensor = self.project(F.gelu(a) * b)
        return projected


class Downsample(nn.Module):
    """3x3 convolution to half the channels, then pixel unshuffle: ``[B, C, H, W]`` to ``[B, 2C, H/2, W/2]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = bias_free_conv3x3(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, 2C, H/2, W/2]``."""
        return F.pixel_unshuffle(self.conv(x), 2)


class Upsample(nn.Module):
    """3x3 convolution to twice the channels, then pixel shuffle: ``[B, C, H, W]`` to ``[B, C/2, 2H, 2W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = bias_free_conv3x3(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C/2, 2H, 2W]``."""
        return F.pixel_shuffle(self.conv(x), 2)


class TransformerUNet(nn.Module):
    """Restormer's U-shape of any block, from an image to features.

    A 3x3 convolution is followed by levels of blocks. Each level below has half the sides, twice the channels and
    twice the heads. On the way up, features are joined with the skip connection, and a 1x1 convolution halves
    their channels. The first level has no such convolution: its blocks and the refinement have ``2 * width``
    channels.

    Args:
        in_channels: channels of the input.
        width: channels of the first level, even.
        blocks: number of blocks of each level, the same in encoder and decoder.
        refinement: number of blocks after the decoder.
        make_block: builds a block ``[B, C, H, W]`` to the same shape from C and a number of heads.

    Attributes:
        out_channels: ``2 * width``.
        multiple_of: ``2 ** (len(blocks) - 1)``.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, 2 * width, H, W]``.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        blocks: Sequence[int],
        refinement: int,
        make_block: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.out_channels = 2 * width
        self.multiple_of = 2 ** (len(blocks) - 1)
        widths = [width * 2**level for level in range(len(blocks))]
        self.stem = bias_free_conv3x3(in_channels, width)
        self.encoder = nn.ModuleList(
            _stack(channels, 2**level, blocks[level], make_block) for level, channels in enumerate(widths)
        )
        self.down = nn.ModuleList(Downsample(channels) for channels in widths[:-1])
        upwards = list(enumerate(widths[:-1]))[::-1]
        self.up = nn.ModuleList(Upsample(2 * channels) for _, channels in upwards)
        self.merge = nn.ModuleList(
            conv1x1(2 * channels, channels) if level else nn.Identity() for level, channels in upwards
        )
        self.decoder = nn.ModuleList(
            _stack(channels if level else 2 * width, 2**level, blocks[level], make_block)
            for level, channels in upwards
        )
        self.refinement = _stack(2 * width, 1, refinement, make_block)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, 2 * width, H, W]``; sides are multiples of ``multiple_of``."""
        x = self.stem(x)
        skips: list[Tensor] = []
        for level, stack in enumerate(self.encoder):
            if level:
                skips.append(x)
                x = self.down[level - 1](x)
            x = stack(x)
        for up, merge, stack in zip(self.up, self.merge, self.decoder, strict=True):
            x = stack(merge(torch.cat([up(x), skips.pop()], dim=1)))
        refined: Tensor = self.refinement(x)
        return refined


def check_sizes(name: str, width: int, blocks: Sequence[int], refinement: int, expansion: float) -> None:
    """Require valid arguments of a `TransformerUNet` in the network ``name``.

    Raises:
        ConfigError: ``width`` is odd or less than 2, there are fewer than two levels, a level has no blocks,
            ``refinement`` is negative, or ``expansion`` is not positive.
    """
    if width < 1 or width % 2:
        raise ConfigError(f"{name}: width must be even and at least 2, got {width}")
    if len(blocks) < _LEAST_LEVELS or min(blocks) < 1:
        raise ConfigError(f"{name}: blocks must be at least 1 on each of two or more levels, got {list(blocks)}")
    if refinement < 0:
        raise ConfigError(f"{name}: refinement must not be negative, got {refinement}")
    if not expansion > 0:
        raise ConfigError(f"{name}: expansion must be positive, got {expansion}")


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)


def bias_free_conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution without bias, padded by zeros."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


def _depthwise3x3(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False)


def _stack(channels: int, heads: int, count: int, make_block: Callable[[int, int], nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(make_block(channels, heads) for _ in range(count)))
