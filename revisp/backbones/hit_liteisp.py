"""The network of team HIT-IIL for the S7 track of AIM 2022 (Conde et al., arXiv 2210.11153)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import Head, check_head, check_input
from revisp.backbones.blocks.liteisp import LiteISPBody
from revisp.backbones.blocks.preview import linearize
from revisp.backbones.blocks.residual import conv3x3
from revisp.errors import ConfigError

__all__ = ["HITLiteISP"]


class HITLiteISP(nn.Module):
    """LiteISPNet at the photo's resolution, on the linearised photo.

    The body is that of LiteISPNet (Zhang et al., ICCV 2021, arXiv 2108.08119), with channel attention only and
    spectral normalisation of the residual groups' convolutions. The tail takes the sum of the body's input and
    output. It reduces it to a quarter of the channels by a convolution, takes the 2x2 pixels of each tile as
    channels, and maps these to the Bayer planes by a convolution. With ``head="raw_rgb"`` the tail keeps the
    resolution.

    With ``head="packed"`` and four outputs it has 8,876,500 parameters. The published count of 8.885 M includes
    8192 fixed wavelet values, which are arithmetic here. The network is trained on pairs that do not match
    exactly: its authors warp the RAW by optical flow. Attention averages over the whole image: results of tiles
    depend on the tiling.

    Args:
        in_channels: channels of the input; the first three are the photo.
        out_channels: channels of the output.
        head: ``"raw_rgb"``, or ``"packed"`` as published.
        width: channels of the two upper levels; the third level and the bottom have twice as many.
        blocks: attention blocks in each residual group.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, or to ``[B, out_channels, H/2, W/2]`` if packed;
        H and W are multiples of 8.

    Raises:
        ConfigError: ``in_channels`` less than 3, ``width`` less than 4, ``blocks`` less than 1, or an unknown
            ``head``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        head: Head = "raw_rgb",
        width: int = 64,
        blocks: int = 4,
    ) -> None:
        super().__init__()
        check_head(head, "hit_liteisp")
        if in_channels < 3 or width < 4 or blocks < 1:
            raise ConfigError(
                "hit_liteisp: in_channels must be at least 3, width at least 4 and blocks at least 1, got "
                f"in_channels={in_channels}, width={width}, blocks={blocks}"
            )
        self.in_channels = in_channels
        self.scale = 2 if head == "packed" else 1
        self.stem = conv3x3(in_channels, width)
        self.body = LiteISPBody((width, width, 2 * width, 2 * width), blocks, spectral=True)
        self.reduce = conv3x3(width, width // 4)
        self.tail = conv3x3(width // 4 * self.scale**2, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to the RAW, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that are not multiples of 8.
        """
        check_input(x, self.in_channels, 8, "hit_liteisp", 8)
        x = self.stem(linearize(x))
        output: Tensor = self.tail(F.pixel_unshuffle(self.reduce(x + self.body(x)), self.scale))
        return output
