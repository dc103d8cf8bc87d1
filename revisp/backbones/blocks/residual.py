"""Residual groups with channel attention (Zhang et al., RCAN, ECCV 2018, arXiv 1807.02758)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from revisp.backbones.blocks.attention import ChannelAttention, SpatialAttention

__all__ = ["ResidualGroup", "conv3x3"]


class ResidualGroup(nn.Module):
    """Attention blocks and a 3x3 convolution, plus the input: ``[B, C, H, W]`` to the same.

    A block is convolution, ReLU, convolution, channel attention, optionally spatial attention, plus its input. The
    few hidden channels of the channel attention start with a positive bias, so that none is dead at the start.

    Args:
        channels: number of channels C.
        blocks: number of attention blocks.
        spatial: weight pixels too, by a 7x7 convolution with bias of the channels' maximum and mean (CBAM, Woo et
            al., arXiv 1807.06521).
        spectral: divide the weights of every 3x3 convolution by their largest singular value (Miyato et al.,
            arXiv 1802.05957). A step of power iteration updates its estimate in each forward pass of training.
        reduction: channel attention narrows C by this factor.
    """

    def __init__(
        self, channels: int, blocks: int = 4, *, spatial: bool = False, spectral: bool = False, reduction: int = 16
    ) -> None:
        super().__init__()
        layers = [_AttentionBlock(channels, reduction, spatial=spatial, spectral=spectral) for _ in range(blocks)]
        self.blocks = nn.Sequential(*layers)
        self.conv = conv3x3(channels, channels, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined features ``[B, C, H, W]``."""
        refined: Tensor = x + self.conv(self.blocks(x))
        return refined


class _AttentionBlock(nn.Module):
    def __init__(self, channels: int, reduction: int, *, spatial: bool, spectral: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, spectral=spectral)
        self.act = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, spectral=spectral)
        self.channel = ChannelAttention(channels, reduction)
        nn.init.constant_(self.channel.squeeze.bias, 0.5)  # type: ignore[arg-type]
        self.spatial = _SpatialAttention() if spatial else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.channel(self.conv2(self.act(self.conv1(x))))
        attended: Tensor = x + self.spatial(residual)
        return attended


class _SpatialAttention(SpatialAttention):
    """`SpatialAttention` by a 7x7 convolution that has a bias."""

    def __init__(self) -> None:
        super().__init__(kernel_size=7)
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3)


def conv3x3(in_channels: int, out_channels: int, *, spectral: bool = False) -> nn.Module:
    """Return a 3x3 convolution with bias that keeps the size; ``spectral`` adds spectral normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    return spectral_norm(conv) if spectral else conv
