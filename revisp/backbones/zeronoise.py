"""The network of team 0noise (Conde et al., Reversed ISP challenge report, AIM 2022, arXiv 2210.11153)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, check_head, check_input
from revisp.backbones.blocks.reflect import ReflectConv
from revisp.errors import ConfigError

__all__ = ["ZeroNoise"]

HEAD_BIAS = 0.25
"""Value near which the output starts, so that the final ReLU passes a gradient everywhere."""


class ZeroNoise(nn.Module):
    r"""A camera's steps as learned gains: tone, colour shift and lens shading multiply the features.

    A 1x1 convolution embeds each pixel as :math:`p`. :math:`R_1` and :math:`R_2` are residual blocks. Three gains
    are computed from :math:`p`: :math:`T` from the pixel itself, :math:`C` and :math:`S \in (0, 1)` from
    neighbourhoods of 7x7 pixels. Then

    .. math:: y = \mathrm{ReLU}\Big(W\, \big(R_2\big(R_1(p\, T(p))\; C(p)\big)\; S(p)\big)\Big)

    :math:`W` is a 2x2 convolution of stride 2 to the four Bayer planes as published, or a 1x1 convolution to
    demosaiced RAW. All runs at the photo's resolution, with SiLU activations and mirrored borders. As published
    (``head="packed"``, four outputs) it has 171,112 parameters.

    The initialisation of the published network is unknown. Here weights start by He's rule, :math:`T` and
    :math:`C` near 1, and the output near 0.25, where the final ReLU passes gradients. In our reading of the
    description, a residual block adds its input before its last activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"raw_rgb"``, or ``"packed"`` as published.
        channels: channels of all feature maps.

    Attributes:
        multiple_of: 2, for either head.
        receptive_field: side in pixels of the input square, centred on an output pixel, that this pixel depends
            on: 11 for demosaiced RAW; 13 for packed planes, whose convolution also reads the neighbouring pixel.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or packed to ``[B, out_channels, H/2, W/2]``;
        H and W even. The output is at least 0 and has no upper limit.

    Raises:
        ConfigError: ``channels`` is less than 1, or ``head`` is unknown.
    """

    def __init__(
        self, in_channels: int = 3, out_channels: int = 3, head: Head = "raw_rgb", channels: int = 36
    ) -> None:
        super().__init__()
        check_head(head, "zeronoise")
        if channels < 1:
            raise ConfigError(f"zeronoise: channels must be at least 1, got channels={channels}")
        self.in_channels = in_channels
        self.multiple_of = self.min_size = 2
        self.receptive_field = 13 if head == "packed" else 11
        self.embed = nn.Sequential(_conv1x1(in_channels, channels), nn.SiLU())
        self.tone = _gain([_conv1x1(channels, channels) for _ in range(3)])
        self.residual1 = _Residual(channels)
        self.colour = _gain([ReflectConv(channels, channels) for _ in range(3)])
        self.residual2 = _Residual(channels)
        self.shading = _shading(channels)
        self.head = _head(channels, out_channels, head)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, packed ``[B, out_channels, H/2, W/2]``.

        Raises:
            ShapeError: wrong channel count, an integer input, or an odd side.
        """
        check_input(x, self.in_channels, self.multiple_of, "zeronoise", self.min_size)
        pixels = self.embed(x)
        x = self.residual1(pixels * self.tone(pixels))
        x = self.residual2(x * self.colour(pixels))
        return torch.relu(self.head(x * self.shading(pixels)))


class _Residual(nn.Module):
    """Two convolutions, with twice the channels between them, plus the input, then SiLU: ``[B, C, H, W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = ReflectConv(channels, 2 * channels)
        self.narrow = ReflectConv(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.narrow(F.silu(self.widen(x))) + x)


def _gain(convolutions: list[nn.Conv2d]) -> nn.Sequential:
    """Return a gain of any sign: convolutions with SiLU and a 1x1 convolution, whose output starts near 1."""
    channels = convolutions[-1].out_channels
    last = nn.Conv2d(channels, channels, kernel_size=1)
    nn.init.ones_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(*(nn.Sequential(conv, nn.SiLU()) for conv in convolutions), last)


def _shading(channels: int) -> nn.Sequential:
    """Return a gain in (0, 1): three 3x3 convolutions, SiLU between them, sigmoid after the last."""
    first, second, third = (ReflectConv(channels, channels) for _ in range(3))
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third, nn.Sigmoid())


def _head(channels: int, out_channels: int, head: Head) -> nn.Conv2d:
    side = 2 if head == "packed" else 1
    conv = nn.Conv2d(channels, out_channels, kernel_size=side, stride=side)
    nn.init.normal_(conv.weight, std=0.1 / (side * channels**0.5))
    nn.init.constant_(conv.bias, HEAD_BIAS)  # type: ignore[arg-type]
    return conv


def _conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
