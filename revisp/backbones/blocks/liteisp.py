"""The body of LiteISPNet (Zhang et al., ICCV 2021, arXiv 2108.08119)."""

from __future__ import annotations

from torch import Tensor, nn

from revisp.backbones.blocks.residual import ResidualGroup, conv3x3
from revisp.backbones.blocks.wavelet import haar, inverse_haar

__all__ = ["LiteISPBody"]


class LiteISPBody(nn.Module):
    """Residual groups at four resolutions, joined by Haar wavelets and sums.

    All convolutions are 3x3 with bias and keep the size. On the way down, the residual group of the first level
    stands between two convolutions, and one convolution precedes the group of each level below. Two groups at the
    bottom stand between two convolutions, and their input is added. On the way up a convolution follows each
    group, and the output of the same level on the way down is added.

    Args:
        widths: channels of the groups at the first, second and third level, and at the bottom.
        blocks: attention blocks in each group.
        spatial: whether these blocks weight pixels as well as channels.
        spectral: whether the groups' convolutions have spectral normalisation.

    Shape:
        ``[B, widths[0], H, W]`` to the same; H and W are multiples of 8.
    """

    def __init__(
        self, widths: tuple[int, int, int, int], blocks: int, *, spatial: bool = False, spectral: bool = False
    ) -> None:
        super().__init__()
        first, second, third, bottom = widths

        def group(channels: int) -> ResidualGroup:
            return ResidualGroup(channels, blocks, spatial=spatial, spectral=spectral)

        self.down1 = nn.Sequential(conv3x3(first, first), group(first), conv3x3(first, first))
        self.down2 = nn.Sequential(conv3x3(4 * first, second), group(second))
        self.down3 = nn.Sequential(conv3x3(4 * second, third), group(third))
        self.middle = nn.Sequential(
            conv3x3(4 * third, bottom), group(bottom), group(bottom), conv3x3(bottom, 4 * third)
        )
        self.up3 = nn.Sequential(group(third), conv3x3(third, 4 * second))
        self.up2 = nn.Sequential(group(second), conv3x3(second, 4 * first))
        self.up1 = nn.Sequential(group(first), conv3x3(first, first))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``[B, widths[0], H, W]``, without the sum with ``x``."""
        down1 = haar(self.down1(x))
        down2 = haar(self.down2(down1))
        down3 = haar(self.down3(down2))
        x = inverse_haar(self.middle(down3) + down3)
        x = inverse_haar(self.up3(x) + down2)
        x = inverse_haar(self.up2(x) + down1)
        features: Tensor = self.up1(x)
        return features
