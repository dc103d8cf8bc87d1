"""Densely connected convolutions (Huang et al., DenseNet, CVPR 2017, arXiv 1608.06993)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DenseBlock"]

NEGATIVE_SLOPE = 0.2


class DenseBlock(nn.Module):
    """3x3 convolutions; each sees the input and the outputs of all convolutions before it.

    All but the last yield ``growth`` channels and are followed by LeakyReLU of slope 0.2. Borders are padded by
    zeros. Weights start by Xavier's normal rule (Glorot and Bengio, AISTATS 2010), biases at zero.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        growth: channels that each convolution adds.
        layers: number of convolutions; the output depends on pixels at most this far away.
        last_gain: factor of the last convolution's initial weights; a small one starts the block near zero.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, growth: int = 32, layers: int = 5, *, last_gain: float = 1.0
    ) -> None:
        super().__init__()
        outputs = [growth] * (layers - 1) + [out_channels]
        convs = [
            nn.Conv2d(in_channels + index * growth, channels, kernel_size=3, padding=1)
            for index, channels in enumerate(outputs)
        ]
        for conv in convs:
            nn.init.xavier_normal_(conv.weight, gain=last_gain if conv is convs[-1] else 1.0)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last convolution's output, ``[B, out_channels, H, W]``."""
        *hidden, last = self.convs
        for conv in hidden:
            x = torch.cat([x, F.leaky_relu(conv(x), NEGATIVE_SLOPE)], dim=1)
        output: Tensor = last(x)
        return output
