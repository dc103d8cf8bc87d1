"""ReRAW (Berdan et al., CVPR 2025, arXiv 2503.03782): a weighted sum of predictions in several gamma domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, RawHead, check_head, check_input
from revisp.backbones.blocks.resnet import ResNet18
from revisp.backbones.blocks.whole_image import WholeImage
from revisp.errors import ConfigError
from revisp.padding import next_multiple

__all__ = ["ReRAW"]

_START_LIGHT = 0.1


class ReRAW(nn.Module):
    r"""Heads that predict the RAW in different gamma domains, from colours and from the whole photo.

    .. math:: y = \sum_i w_i\, h_i^{1/\gamma_i}

    A 3x3 convolution of each colour by itself and a 2x2 convolution of stride 2 compute features at the RAW's
    resolution. A ResNet-18 of the resized photo predicts a vector, by which these features are multiplied. Another
    ResNet-18 predicts the weights :math:`w_i`, a softmax. Each head :math:`h_i` is a stack of residual 1x1
    convolutions. The loss ``log_gamma`` compares each head with the target in its domain.

    The default arguments with three inputs and packed planes give 23,800,178 parameters (published: about 23.8
    million). Our reading, consistent with that number: all heads share the first two convolutions, the vector
    multiplies their result, and each head has 8 residual layers of its own, of the form ``x + conv(relu(x))``.

    The published network maps patches of 66x66 pixels to RAW of 32x32, without padding. Here the input is padded
    by one pixel of reflection, so the network takes any even size and keeps it. The ResNets see the whole input:
    results of tiles depend on the tiling.

    Our own choices: heads start at the value of a RAW of 0.1 in their domain. The power is 0 below 0 and continues
    along its tangent above 1, since the tenth power of an overshoot would be too large. A head of gamma 1 has no
    power.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        head: ``"packed"`` as published, or ``"raw_rgb"``: each head has four times the channels, which a pixel
            shuffle arranges as pixels.
        stem: channels of the first convolution, published 96, rounded up to a multiple of ``in_channels``.
        width: channels of all other features, published 128.
        depth: residual layers of each head, published 8.
        encoder_width: channels of the ResNets' first stage, published 64.
        gammas: domain of each head, in (0, 1]; published 1.0, 0.9, ..., 0.1.
        context_size: side of the photo that the ResNets see, published 128.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]``, or to ``[B, out_channels, H, W]``; H and W
        even.

    Raises:
        ConfigError: a size is too small, a gamma is outside (0, 1], or ``head`` is unknown.
    """

    auxiliary: ClassVar[tuple[str, ...]] = ("gamma_heads",)

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        stem: int = 96,
        width: int = 128,
        depth: int = 8,
        encoder_width: int = 64,
        gammas: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
        context_size: int = 128,
    ) -> None:
        super().__init__()
        check_head(head, "reraw")
        if min(stem, width, encoder_width) < 1 or depth < 0 or context_size < 33:
            raise ConfigError(
                "reraw: stem, width and encoder_width must be at least 1, depth at least 0, context_size at least "
                f"33, got {stem=}, {width=}, {encoder_width=}, {depth=}, {context_size=}"
            )
        if not gammas or not all(0 < gamma <= 1 for gamma in gammas):
            raise ConfigError(f"reraw: gammas must be numbers in (0, 1], at least one, got {list(gammas)}")
        self.in_channels = in_channels
        self.gammas = tuple(float(gamma) for gamma in gammas)
        self.context_size = context_size
        stem = next_multiple(stem, in_channels)
        self.spread = nn.Conv2d(in_channels, stem, kernel_size=3, groups=in_channels)
        self.down = nn.Conv2d(stem, width, kernel_size=2, stride=2)
        self.scene = ResNet18(in_channels, width, encoder_width)
        self.mixer = ResNet18(in_channels, len(self.gammas), encoder_width)
        self.vector, self.shares = WholeImage(), WholeImage()
        self.heads = nn.ModuleList(_GammaHead(width, depth, out_channels, head, gamma) for gamma in self.gammas)
        nn.init.ones_(self.scene.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H/2, W/2]`` or ``[..., H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or odd sides.
        """
        return self._predict(x)[0]

    def forward_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the prediction, and as ``"gamma_heads"`` the predictions of all heads in their domains.

        ``"gamma_heads"`` is ``[B, heads * out_channels, ...]`` with the prediction's height and width: all
        channels of the first of ``gammas``, then of the second, and so on.

        Raises:
            ShapeError: as `forward`.
        """
        output, candidates = self._predict(x)
        return output, {"gamma_heads": torch.cat(candidates, dim=1)}

    def _predict(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        check_input(x, self.in_channels, 2, "reraw")
        context = F.interpolate(x, size=(self.context_size, self.context_size), mode="area")
        features = self.down(self.spread(F.pad(x, (1, 1, 1, 1), mode="reflect")).relu())
        features = features * self.vector(self.scene(context))[..., None, None]
        weights = self.shares(self.mixer(context).softmax(dim=1))
        candidates = [head(features) for head in self.heads]
        output = torch.zeros_like(candidates[0])
        for index, (candidate, gamma) in enumerate(zip(candidates, self.gammas, strict=True)):
            output = output + weights[:, index, None, None, None] * _to_linear(candidate, gamma)
        return output.to(x.dtype), candidates


class _GammaHead(nn.Module):
    """Residual 1x1 convolutions and a linear last layer: ``[B, width, h, w]`` to the RAW in one gamma domain."""

    def __init__(self, width: int, depth: int, out_channels: int, head: Head, gamma: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width, width, kernel_size=1) for _ in range(depth))
        self.last = RawHead(width, out_channels, head, kernel_size=1)
        nn.init.constant_(self.last.conv.bias, _START_LIGHT**gamma)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x.relu())
        candidate: Tensor = self.last(x)
        return candidate


def _to_linear(x: Tensor, gamma: float) -> Tensor:
    """Return ``x ** (1 / gamma)``, 0 below 0 and along the tangent above 1, in at least float32."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if gamma == 1:
        return x
    return x.clamp(0, 1) ** (1 / gamma) + (x - 1).clamp_min(0) / gamma
