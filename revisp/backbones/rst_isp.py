"""RST-ISP-Net (team OzU VGL, AIM 2022 challenge report, arXiv 2210.11153), which removes the ISP as a style."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, check_head, check_input
from revisp.backbones.blocks.cbam import CBAM
from revisp.backbones.blocks.whole_image import WholeImage
from revisp.errors import ConfigError

__all__ = ["RSTISP"]

_NEGATIVE_SLOPE = 0.2
_LEAST_VARIANCE = 1e-5


class RSTISP(nn.Module):
    """Six encoder blocks, each restyled by statistics of the whole input, and a decoder that mixes no pixels.

    An encoder block sets level and contrast of its channels by adaptive instance normalisation (Huang, Belongie,
    arXiv 1703.06868) from the Gram matrix of its input. The decoder has no skip connections and only 1x1
    convolutions before pixel shuffles, so one vector becomes a block of 8x8 RAW pixels. Only the 3x3 convolutions
    of the head mix these blocks. All statistics are of the whole image: results of tiles depend on the tiling.

    The released network has one variant for each challenge camera. Parameters used: 86,310,148 (``"s7"``) and
    86,300,932 (``"p20"``). The released file stores 6,920 more, in batch normalisations of the decoder that are
    never called; they are left out here. The released variants take different sizes. Here ``"s7"`` takes all
    multiples of 8: an even multiple is padded by 8 more pixels by reflection, and the result is cropped.

    Our own choices: the epsilon of the normalisation, since a black image gives NaN in the released code. The
    equalised convolutions start from N(0, 1), as their scale expects, and the styles near the identity (scale 1,
    shift 0); the released code draws all from N(0, 0.02). Our reading: only the 3x3 and 5x5 convolutions of the
    encoder are equalised; its skips, the decoder and the head have ordinary convolutions.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"packed"`` as published, or ``"raw_rgb"``: the last convolution has four times the channels, which
            a pixel shuffle arranges as pixels.
        variant: ``"s7"`` or ``"p20"``. They differ in the padding of the deepest block and in the head: two 3x3
            convolutions without padding (``"s7"``), or one with padding (``"p20"``).
        width: channels of the first block, published 32; the others have 2, 2, 4, 8 and 16 times as many.
        style: width between the two linear maps of each style layer. None, as published, means the number of its
            outputs (1024 in the deepest block). The first map sees all entries of a Gram matrix: with None it
            holds most of the network's parameters.

    Attributes:
        multiple_of: 8 (``"s7"``) or 16 (``"p20"``).
        min_size: 16 or 32. The deepest block then has at least 2x2 vectors, which have a standard deviation.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]``, or to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: ``width`` or ``style`` is less than 1, or ``head`` or ``variant`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        variant: Literal["s7", "p20"] = "s7",
        width: int = 32,
        style: int | None = None,
    ) -> None:
        super().__init__()
        check_head(head, "rst_isp")
        if variant not in ("s7", "p20"):
            raise ConfigError(f"rst_isp: unknown variant {variant!r}: use 's7' or 'p20'")
        if width < 1 or (style is not None and style < 1):
            raise ConfigError(f"rst_isp: width and style must be at least 1, got width={width}, style={style}")
        self.in_channels = in_channels
        self.scale = 1 if head == "packed" else 2
        self.odd = variant == "s7"
        self.multiple_of, self.min_size = (8, 16) if self.odd else (16, 32)
        w = width
        self.encoder = nn.Sequential(
            _EncoderBlock(in_channels, w, style, kernel_size=5),
            _EncoderBlock(w, 2 * w, style, down=True),
            _EncoderBlock(2 * w, 2 * w, style),
            _EncoderBlock(2 * w, 4 * w, style, down=True),
            _EncoderBlock(4 * w, 8 * w, style, down=True, attention=True),
            _EncoderBlock(8 * w, 16 * w, style, down=True, attention=True, padding=int(self.odd)),
        )
        self.decoder = nn.Sequential(
            _DecoderBlock(16 * w, 32 * w), _DecoderBlock(8 * w, 16 * w), _DecoderBlock(4 * w, 4 * w)
        )
        last = nn.Conv2d(w, out_channels * self.scale**2, 3, padding=int(not self.odd), bias=False)
        self.head = nn.Sequential(nn.Conv2d(w, w, 3, bias=False), last) if self.odd else last

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]`` or ``[..., H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of ``multiple_of``
                or less than ``min_size``.
        """
        check_input(x, self.in_channels, self.multiple_of, "rst_isp", self.min_size)
        if not self.odd:
            return F.pixel_shuffle(self.head(self.decoder(self.encoder(x))), self.scale)
        bottom, right = (_to_odd(side) for side in x.shape[-2:])
        x = F.pad(x, (0, right, 0, bottom), mode="reflect")
        output = F.pixel_shuffle(self.head(self.decoder(self.encoder(x))), self.scale)
        # Padding by a negative number crops, even if the sides are symbolic.
        return F.pad(output, (0, -(right // 2 * self.scale), 0, -(bottom // 2 * self.scale)))


class _EncoderBlock(nn.Module):
    """Two equalised convolutions, adaptive normalisation, attention, and a skip; ``down`` halves the size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style: int | None,
        kernel_size: int = 3,
        *,
        down: bool = False,
        attention: bool = False,
        padding: int = 0,
    ) -> None:
        super().__init__()
        stride, padding = (2, padding) if down else (1, kernel_size // 2)
        self.conv1 = _EqualConv(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.act1 = _BiasedLeakyReLU(out_channels)
        self.blur = _Blur() if down else nn.Identity()
        self.conv2 = _EqualConv(out_channels, out_channels, kernel_size, stride=stride, padding=padding)
        self.act2 = _BiasedLeakyReLU(out_channels)
        self.moments = WholeImage()
        self.style = _Style(in_channels, out_channels, style)
        self.attention = CBAM(out_channels, reduction=16) if attention else nn.Identity()
        plain = in_channels == out_channels and not down
        self.skip = nn.Identity() if plain else nn.Conv2d(in_channels, out_channels, 1, stride=stride)
        self.act3 = _BiasedLeakyReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.conv1(x))
        y = self.act2(self.conv2(self.blur(y)))
        scale, shift = self.style(x)
        y = self.attention(_restyle(y, scale, shift, self.moments))
        output: Tensor = self.act3(y + self.skip(x))
        return output


class _DecoderBlock(nn.Module):
    """Two 1x1 convolutions without activation between them, plus a skip, then leaky ReLU and pixel shuffle.

    ``[B, in, h, w]`` to ``[B, out / 4, 2h, 2w]``.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=1)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), _NEGATIVE_SLOPE), 2)


class _EqualConv(nn.Module):
    """Convolution without bias whose weights are scaled by 1 / sqrt(fan-in) in use (Karras et al., 1710.10196)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, padding: int
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class _BiasedLeakyReLU(nn.Module):
    """A bias for each channel, then leaky ReLU times sqrt(2), which keeps the variance: ``[B, C, H, W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return math.sqrt(2) * F.leaky_relu(x + self.bias[:, None, None], _NEGATIVE_SLOPE)


class _Blur(nn.Module):
    """Low-pass filter [1, 3, 3, 1] in both directions, applied before subsampling: sides grow by one pixel."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.to(x.dtype).expand(channels, 1, 4, 4), padding=2, groups=channels)


class _Style(nn.Module):
    """Scale and shift of each channel, by two linear maps of the input's Gram matrix: two ``[B, out, 1, 1]``."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int | None) -> None:
        super().__init__()
        hidden = hidden or 2 * out_channels
        self.gram = WholeImage()
        self.linear1 = nn.Linear(in_channels**2, hidden)
        self.linear2 = nn.Linear(hidden, 2 * out_channels)
        with torch.no_grad():
            self.linear2.bias.zero_()
            self.linear2.bias[:out_channels] = 1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(2) * (x.shape[-2] * x.shape[-1]) ** -0.5
        gram = self.gram(flat @ flat.transpose(1, 2))
        scale, shift = self.linear2(self.linear1(gram.flatten(1)))[..., None, None].chunk(2, dim=1)
        return scale, shift


def _restyle(x: Tensor, scale: Tensor, shift: Tensor, moments: WholeImage) -> Tensor:
    """Return ``[B, C, H, W]`` with the mean ``shift`` and the deviation ``scale`` over each channel."""
    variance, mean = torch.var_mean(x, dim=(-2, -1), keepdim=True)
    variance, mean = moments(torch.stack([variance, mean], dim=1)).unbind(dim=1)
    return scale * (x - mean) * torch.rsqrt(variance + _LEAST_VARIANCE) + shift


def _to_odd(side: int) -> int:
    """Return the pixels to add so that a multiple of 8 becomes an odd multiple.

    There is no branch, since sides may be symbolic.
    """
    return 8 * (1 - side // 8 % 2)
