"""An encoder that predicts weights over the atoms of a dictionary from a whole image."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from revisp.backbones.blocks.whole_image import WholeImage

__all__ = ["AtomWeights"]


class AtomWeights(nn.Module):
    """Convex weights over atoms from one image: strided convolutions, mean over the image, softmax.

    Three 3x3 convolutions of stride 2 with ReLU and 16, 32 and 64 channels, then a linear layer on their mean. The
    linear layer starts small, so that all atoms begin with nearly the same weight.

    Args:
        in_channels: channels of the image.
        atoms: number of atoms K.
        heads: number of sets of weights.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, heads, K]``; each set is positive and sums to 1.
    """

    def __init__(self, in_channels: int, atoms: int, heads: int = 1) -> None:
        super().__init__()
        widths = [in_channels, 16, 32, 64]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.scores = nn.Linear(widths[-1], heads * atoms)
        self.heads = heads
        self.mean = WholeImage()
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.zeros_(self.scores.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights ``[B, heads, K]`` for ``[B, in_channels, H, W]``."""
        scores = self.scores(self.mean(self.features(x).mean(dim=(-2, -1))))
        return torch.softmax(scores.unflatten(1, (self.heads, -1)), dim=-1)
