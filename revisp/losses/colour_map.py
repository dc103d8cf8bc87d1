"""A small network that recolours a RAW like its photo and keeps the position of all content, for alignment.

Zhang et al., "Learning RAW-to-sRGB Mappings with Inaccurately Aligned Supervision" (ICCV 2021, arXiv 2108.08119),
section 3.2, in the form of the HIT-IIL entry to AIM 2022 (arXiv 2210.11153).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revisp.checks import check_image, check_same_size

__all__ = ["GlobalColourMap"]


class GlobalColourMap(nn.Module):
    """Global colour mapping (GCM): one colour map for the whole picture, which depends on RAW and photo.

    The guide gets both: a 7x7 convolution of stride 2, two of 3x3, the mean over the picture, and a linear layer
    give a vector g. It scales the features of a network of 1x1 convolutions by 1 + g. That network maps each pixel
    by its own value only, so the result keeps the RAW's position, for any shift of the photo. With the published
    widths it has 42,979 parameters.

    Our reading of the paper: the guide's convolutions pad with zeros, which hardly affects the mean. The last
    layer starts at zero, so that an untrained map returns the RAW unchanged.

    Args:
        guide_width: channels of the guide.
        width: channels of the map.

    Shape:
        ``[B,3,H,W]`` and ``[B,3,H,W]`` to ``[B,3,H,W]``.
    """

    def __init__(self, guide_width: int = 32, width: int = 64) -> None:
        super().__init__()
        self.guide = nn.Sequential(
            nn.Conv2d(6, guide_width, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.Conv2d(guide_width, guide_width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(guide_width, guide_width, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(guide_width, width, 1),
        )
        self.head = nn.Conv2d(3, width, 1)
        self.body = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Conv2d(width, width, 1), nn.ReLU())))
        self.tail = nn.Conv2d(width, 3, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, raw: Tensor, srgb: Tensor) -> Tensor:
        """Recolour.

        Args:
            raw: demosaiced RAW ``[B,3,H,W]``, gamma-encoded, in [0,1].
            srgb: the photo ``[B,3,H,W]`` in [0,1] that gives the colours.

        Returns:
            ``[B,3,H,W]``, unclamped.

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
        """
        check_image(raw, 3, "raw")
        check_image(srgb, 3, "srgb")
        check_same_size(raw, srgb, ("raw", "srgb"))
        features = self.head(raw) * (1 + self.guide(torch.cat([raw, srgb], dim=1)))
        mapped: Tensor = raw + self.tail(self.body(features))
        return mapped
