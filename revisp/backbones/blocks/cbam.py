"""Channel attention, then spatial attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revisp.backbones.blocks.attention import SpatialAttention
from revisp.backbones.blocks.whole_image import WholeImage

__all__ = ["CBAM"]


class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al., ECCV 2018, arXiv 1807.06521, equations 1 to 3).

    ``z = x * sigmoid(mlp(mean(x)) + mlp(max(x)))``, with mean and maximum over the image and one perceptron
    without biases for both, then `SpatialAttention` of ``z``. On ``[B, C, H, W]``.

    Args:
        channels: number of channels C.
        reduction: the perceptron's hidden layer has C / reduction channels, at least one.
        kernel_size: side of the spatial attention's convolution, odd.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mean, self.largest = WholeImage(), WholeImage()
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1, bias=False),
        )
        self.spatial = SpatialAttention(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with weighted channels, then weighted pixels, ``[B, C, H, W]``."""
        mean = self.mean(x.mean(dim=(-2, -1), keepdim=True))
        largest = self.largest(x.amax(dim=(-2, -1), keepdim=True))
        weighed: Tensor = self.spatial(x * torch.sigmoid(self.mlp(mean) + self.mlp(largest)))
        return weighed
