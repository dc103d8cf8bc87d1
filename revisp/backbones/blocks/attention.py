"""Attention that weights channels, or pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revisp.backbones.blocks.whole_image import WholeImage

__all__ = ["ChannelAttention", "SpatialAttention"]


class ChannelAttention(nn.Module):
    """Weight each channel by a function of its mean over the image (squeeze and excitation, arXiv 1709.01507).

    ``y = x * sigmoid(W2 relu(W1 mean(x)))``, on ``[B, C, H, W]``.

    Args:
        channels: number of channels C.
        reduction: W1 maps C to C / reduction channels, at least one.

    Example:
        >>> ChannelAttention(16)(torch.rand(1, 16, 8, 12)).shape
        torch.Size([1, 16, 8, 12])
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mean = WholeImage()
        self.squeeze = nn.Conv2d(channels, hidden, kernel_size=1)
        self.excite = nn.Conv2d(hidden, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with weighted channels, ``[B, C, H, W]``."""
        hidden = torch.relu(self.squeeze(self.mean(x.mean(dim=(-2, -1), keepdim=True))))
        return x * torch.sigmoid(self.excite(hidden))


class SpatialAttention(nn.Module):
    """Weight each pixel by a function of its maximum and mean over the channels (CBAM, arXiv 1807.06521).

    ``y = x * sigmoid(conv([max(x), mean(x)]))``, on ``[B, C, H, W]``; one convolution without bias.

    Args:
        kernel_size: side of the convolution, odd.

    Example:
        >>> SpatialAttention()(torch.rand(1, 16, 8, 12)).shape
        torch.Size([1, 16, 8, 12])
    """

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with weighted pixels, ``[B, C, H, W]``."""
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))
