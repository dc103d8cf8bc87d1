"""RGB2RAWCoordNet (NTIRE 2025 RAW reconstruction challenge, arXiv 2506.01947): a coordinate network in context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, RawHead, check_head, check_input
from revisp.backbones.blocks.cbam import CBAM
from revisp.backbones.blocks.whole_image import GroupNorm, WholeImage
from revisp.errors import ConfigError

__all__ = ["CoordNet"]

_SINE_FREQUENCY = 30.0
_REFED_LAYER = 2


class CoordNet(nn.Module):
    """A perceptron for each RAW pixel: from its position, its colour, and features of the photo around it.

    A small convolutional network computes features of each pixel; their mean, mapped linearly, is one vector for
    the photo. For each RAW pixel a perceptron with sine activations (SIREN, Sitzmann et al., arXiv 2006.09661)
    takes the position in [-1, 1] with sines and cosines of its octaves (NeRF, arXiv 2003.08934), the features and
    the colour at that position, and the vector. The vector also scales and shifts each hidden layer (FiLM, Perez
    et al., arXiv 1709.07871). With its default arguments it has 183,269 parameters, as published.

    Differences from the released code, all without effect on the parameters:

    - Features and colour of a RAW pixel are the mean of its 2x2 pixels, and its position is that of its centre.
      The released sampling grid is built for aligned corners but read without them: its samples drift by a pixel
      across the image.
    - FiLM is constant over an image. It is computed once for each image instead of once for each pixel: 10.1
      instead of 11.8 GMAC at 504x504.
    - The layer normalisations start at a scale of 1/30, so that ``sin(30 x)`` starts with the unit variance that
      SIREN intends.

    Two properties are kept as released. Positions are relative to the image's size, so scales differ between crops
    and photos, and results of tiles depend on the tiling. The highest octaves (``k >= 8`` where the RAW has 512
    pixels a side) alternate faster than its pixels; fewer ``octaves`` avoid this.

    Our reading: ReLU in the context network after each normalisation; normalisation after the depthwise and the
    pointwise convolution; the octaves' frequencies are ``2**k pi``; the position is fed again to the third hidden
    layer.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"packed"`` as published, or ``"raw_rgb"``: the last layer has four times the channels, which a
            pixel shuffle arranges as pixels.
        width: units of each hidden layer, published 200.
        depth: hidden layers, published 4, at least 3.
        context: channels of the context network, published 28.
        vector: length of the vector that describes the photo, published 16.
        octaves: sines and cosines of each coordinate, published 12.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]``, or to ``[B, out_channels, H, W]``; H and W
        even.

    Raises:
        ConfigError: an argument is too small, or ``head`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 200,
        depth: int = 4,
        context: int = 28,
        vector: int = 16,
        octaves: int = 12,
    ) -> None:
        super().__init__()
        check_head(head, "coordnet")
        if min(width, context, vector, octaves) < 1 or depth <= _REFED_LAYER:
            raise ConfigError(
                f"coordnet: depth must be at least {_REFED_LAYER + 1}, width, context, vector and octaves at "
                f"least 1, got {depth=}, {width=}, {context=}, {vector=}, {octaves=}"
            )
        self.in_channels = in_channels
        self.octaves = octaves
        code = 2 + 4 * octaves
        self.context = _Context(in_channels, context)
        self.mean = WholeImage()
        self.vector = nn.Linear(context, vector)
        inputs = [code + context + in_channels + vector] + [width] * (depth - 1)
        inputs[_REFED_LAYER] += code
        self.layers = nn.ModuleList(_SineLayer(size, width, vector) for size in inputs)
        self.head = RawHead(width, out_channels, head, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]`` or ``[..., H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or odd sides.
        """
        check_input(x, self.in_channels, 2, "coordnet")
        features = self.context(x)
        vector = self.vector(self.mean(features.mean(dim=(-2, -1))))
        local = F.avg_pool2d(torch.cat([features, x], dim=1), 2).permute(0, 2, 3, 1)
        size = local.shape[:3]
        code = _position_code(size[1], size[2], self.octaves, x).expand(*size, -1)
        hidden = torch.cat([code, local, vector[:, None, None].expand(*size, -1)], dim=-1)
        for index, layer in enumerate(self.layers):
            if index == _REFED_LAYER:
                hidden = torch.cat([hidden, code], dim=-1)
            hidden = layer(hidden, vector)
        output: Tensor = self.head(hidden.permute(0, 3, 1, 2))
        return output


class _SineLayer(nn.Module):
    """Linear map, layer normalisation, scale and shift by the photo's vector, ``sin(30 x)``: ``[B, h, w, in]``."""

    def __init__(self, inputs: int, width: int, vector: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(vector, 2 * width)
        nn.init.constant_(self.norm.weight, 1 / _SINE_FREQUENCY)
        nn.init.normal_(self.film.weight, std=1e-2 / _SINE_FREQUENCY)
        with torch.no_grad():
            self.film.bias.zero_()
            self.film.bias[:width] = 1

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        scale, shift = self.film(vector)[:, None, None].chunk(2, dim=-1)
        return torch.sin(_SINE_FREQUENCY * (scale * self.norm(self.linear(x)) + shift))


class _Context(nn.Module):
    """Three depthwise-separable convolutions, the first and third with attention; the result is their sum.

    ``[B, in, H, W]`` to ``[B, width, H, W]``.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_Separable(in_channels, width), CBAM(width, reduction=8))
        self.rest = nn.Sequential(_Separable(width, width), _Separable(width, width), CBAM(width, reduction=8))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        output: Tensor = first + self.rest(first)
        return output


class _Separable(nn.Sequential):
    """3x3 convolution of each channel, then 1x1 convolution, each with normalisation over the image and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels, bias=False),
            GroupNorm(1, in_channels),
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            GroupNorm(1, out_channels),
            nn.ReLU(),
        )


def _position_code(height: int, width: int, octaves: int, like: Tensor) -> Tensor:
    """Return coordinates of pixel centres in (-1, 1), and their sines and cosines: ``[h, w, 2 + 4 octaves]``."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    x = (2 * torch.arange(width, device=like.device, dtype=dtype) + 1) / width - 1
    y = (2 * torch.arange(height, device=like.device, dtype=dtype) + 1) / height - 1
    position = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    frequency = math.pi * 2.0 ** torch.arange(octaves, device=like.device, dtype=dtype)
    phase = (position[..., None] * frequency).flatten(-2)
    return torch.cat([position, phase.sin(), phase.cos()], dim=-1).to(like.dtype)
