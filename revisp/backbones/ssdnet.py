"""SSDNet (Zou and Zhang, "Learned Reverse ISP with Soft Supervision", ECCV workshops 2022; AIM team CS^2U)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, check_head, check_input
from revisp.backbones.blocks.transformer import (
    BiasFreeLayerNorm2d,
    GatedFeedForward,
    TransformerUNet,
    TransposedAttention,
    bias_free_conv3x3,
    check_sizes,
    conv1x1,
)
from revisp.backbones.blocks.whole_image import WholeImage
from revisp.errors import ConfigError

__all__ = ["SSDNet"]

_RGB = 3
_PLANES = 4


class SSDNet(nn.Module):
    """Restormer's U-shape whose blocks join channel attention and a large depth-wise convolution.

    A 3x3 convolution to three channels and the U-shape compute features. A 3x3 convolution and GELU turn them into
    an image, to which the photo is added. A last 3x3 convolution maps this image to the mosaic, unshuffled into
    Bayer planes (``head="packed"``, as published), or to ``out_channels`` at full size. A second branch predicts
    the error of the prediction from the same image. Inference does not use it; the loss ``soft_supervision``
    trains it.

    With its defaults and ``head="packed"``, ``out_channels=4`` it has the released code's 35.56 M parameters at
    inference (35,563,936) and 36.24 M with the error branch (36,241,628), and costs 190.3 GMAC at 256x256. These
    counts decided our reading of the description: gates keep all channels, only the 7x7 convolution has a bias,
    attention has no 1x1 convolution of its own, and the error branch starts from the three-channel image.
    Attention sees the whole image: results of tiles depend on the tiling.

    Args:
        in_channels: channels of the input; the first three are the photo.
        out_channels: channels of the output; a multiple of 4 if packed.
        head: ``"raw_rgb"`` predicts at full size, ``"packed"`` Bayer planes of half the size.
        width: channels of the first level, even; each level below has twice as many, and twice the heads.
        blocks: blocks of each level, from the first down, the same in encoder and decoder.
        refinement: blocks after the decoder, at ``2 * width`` channels and full resolution.
        error_blocks: blocks of the error branch, as wide as the refinement.
        kernel_size: side of the depth-wise convolution, odd.
        expansion: the feed-forward parts widen the channels by this factor.

    Attributes:
        multiple_of: ``2 ** (len(blocks) - 1)``, even.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or ``[B, out_channels, H/2, W/2]`` if packed.

    Raises:
        ConfigError: ``width`` is odd or less than 2, there are fewer than two levels, a level or the error branch
            has no blocks, ``refinement`` is negative, ``kernel_size`` is even, ``expansion`` is not positive, or a
            number of channels is not supported.
    """

    auxiliary = ("error",)

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        error_blocks: int = 4,
        kernel_size: int = 7,
        expansion: float = 2.66,
    ) -> None:
        super().__init__()
        check_sizes("ssdnet", width, blocks, refinement, expansion)
        _check(in_channels, out_channels, head, error_blocks, kernel_size)
        self.in_channels = in_channels
        make_block = partial(_CrossBlock, kernel_size=kernel_size, expansion=expansion)
        self.stem = bias_free_conv3x3(in_channels, _RGB)
        self.trunk = TransformerUNet(_RGB, width, blocks, refinement, make_block)
        self.multiple_of = self.min_size = self.trunk.multiple_of
        self.image = bias_free_conv3x3(self.trunk.out_channels, _RGB)
        self.scale = 2 if head == "packed" else 1
        channels = out_channels // self.scale**2
        self.head = bias_free_conv3x3(_RGB, channels)
        wide = 2 * width
        self.error = nn.Sequential(
            bias_free_conv3x3(_RGB, wide),
            *(make_block(wide, 1) for _ in range(error_blocks)),
            bias_free_conv3x3(wide, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to the RAW, unclamped; the error branch is not computed.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``.
        """
        return F.pixel_unshuffle(self.head(self._restore(x)), self.scale)

    def forward_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the RAW and ``{"error": e}``, the predicted absolute error, unclamped, of the RAW's shape.

        Raises:
            ShapeError: as `forward`.
        """
        image = self._restore(x)
        error = F.pixel_unshuffle(self.error(image), self.scale)
        return F.pixel_unshuffle(self.head(image), self.scale), {"error": error}

    @torch.no_grad()
    def sample(self, x: Tensor, draws: int = 50, generator: torch.Generator | None = None) -> Tensor:
        """Average samples of a normal distribution ("test-resampling").

        Its mean is the RAW and its standard deviation the predicted error; a negative error counts as 0. Use it
        with a network trained by ``soft_supervision`` with ``resample=False``. The mean of many samples tends to
        `forward`.

        Args:
            x: ``[B, in_channels, H, W]``.
            draws: number of samples (the paper: 50).
            generator: source of randomness, on the device of ``x``; None: torch's default generator.

        Returns:
            The RAW, of the shape of `forward`, without gradient.

        Raises:
            ConfigError: ``draws`` is less than 1.
            ShapeError: as `forward`.
        """
        if draws < 1:
            raise ConfigError(f"ssdnet: draws must be at least 1, got {draws}")
        raw, auxiliary = self.forward_auxiliary(x)
        noise = torch.zeros_like(raw)
        for _ in range(draws):
            noise += torch.randn(raw.shape, generator=generator, dtype=raw.dtype, device=raw.device)
        return raw + auxiliary["error"].clamp_min(0) * noise / draws

    def _restore(self, x: Tensor) -> Tensor:
        """Return the restored image ``[B, 3, H, W]`` that both branches start from."""
        check_input(x, self.in_channels, self.multiple_of, "ssdnet", self.min_size)
        return x[:, :_RGB] + F.gelu(self.image(self.trunk(self.stem(x))))


class _CrossBlock(nn.Module):
    """Depth-wise convolution and channel attention in parallel, each gated by the other: ``[B, C, H, W]``.

    The convolution's result, averaged over the image, scales the channels of attention's value. The attention's
    result scales the convolution's result, pixel by pixel. A 1x1 convolution joins both; a gated feed-forward part
    follows. Both parts take normalised input and are added to the input.
    """

    def __init__(self, channels: int, heads: int, kernel_size: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = BiasFreeLayerNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.attention = TransposedAttention(channels, heads)
        self.mean = WholeImage()
        self.channel_gate = _gate(channels)
        self.spatial_gate = _gate(channels)
        self.fuse = conv1x1(2 * channels, channels)
        self.norm2 = BiasFreeLayerNorm2d(channels)
        self.feed = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        normal = self.norm1(x)
        local = self.conv(normal)
        mean = self.mean(local.mean(dim=(-2, -1), keepdim=True))
        distant = self.attention(normal, self.channel_gate(mean))
        local = local * self.spatial_gate(distant)
        x = x + self.fuse(torch.cat([local, distant], dim=1))
        fed: Tensor = x + self.feed(self.norm2(x))
        return fed


def _gate(channels: int) -> nn.Sequential:
    """Return 1x1 convolution, GELU, 1x1 convolution, sigmoid: factors in (0, 1)."""
    return nn.Sequential(conv1x1(channels, channels), nn.GELU(), conv1x1(channels, channels), nn.Sigmoid())


def _check(in_channels: int, out_channels: int, head: str, error_blocks: int, kernel_size: int) -> None:
    check_head(head, "ssdnet")
    if in_channels < _RGB:
        raise ConfigError(f"ssdnet: in_channels must be at least {_RGB}, got {in_channels}")
    if head == "packed" and out_channels % _PLANES:
        raise ConfigError(f"ssdnet: packed out_channels must be a multiple of {_PLANES}, got {out_channels}")
    if error_blocks < 1 or kernel_size < 1 or not kernel_size % 2:
        raise ConfigError(
            "ssdnet: error_blocks must be at least 1 and kernel_size odd, got "
            f"error_blocks={error_blocks}, kernel_size={kernel_size}"
        )
