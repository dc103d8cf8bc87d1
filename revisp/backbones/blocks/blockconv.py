"""A 3x3 convolution of tiles of pixels, whose pixels it takes as channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BlockConv"]


class BlockConv(nn.Conv2d):
    """Pixel unshuffle, then a 3x3 convolution, as one convolution of the pixels whose stride is the block.

    It takes as much arithmetic as the convolution after `torch.nn.PixelUnshuffle`, and saves the copy of the
    picture that this makes. Weights are those of the convolution after it. Borders are padded by zeros.

    Args:
        conv: the convolution after it, 3x3 with a padding of 1 and a bias; its weights are taken.
        block: side of a tile in pixels.

    Shape:
        ``[B, C, H, W]`` to ``[B, out, H / block, W / block]``; ``conv`` has ``C * block ** 2`` inputs.

    Example:
        >>> import torch
        >>> after = nn.Conv2d(3 * 2**2, 8, kernel_size=3, padding=1)
        >>> joined, photo = BlockConv(after, block=2), torch.rand(1, 3, 12, 16)
        >>> torch.allclose(joined(photo), after(F.pixel_unshuffle(photo, 2)), atol=1e-5)
        True
    """

    def __init__(self, conv: nn.Conv2d, block: int) -> None:
        super().__init__(conv.in_channels, conv.out_channels, kernel_size=3, padding=1, device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return F.conv2d(x, self.pixel_weight(), self.bias, stride=self.block, padding=self.block)

    def pixel_weight(self) -> Tensor:
        """Return the weights of single pixels, ``[out, C, 3 * block, 3 * block]``."""
        block = self.block
        weight = self.weight.unflatten(1, (-1, block, block)).permute(0, 1, 4, 2, 5, 3)
        return weight.flatten(4).flatten(2, 3)

    def pixel_conv(self) -> nn.Conv2d:
        """Return a plain convolution that computes the same; its weights no longer depend on these."""
        block, pixels = self.block, self.block**2
        conv = nn.Conv2d(
            self.in_channels // pixels, self.out_channels, 3 * block, stride=block, padding=block, device="meta"
        )
        conv.weight = nn.Parameter(self.pixel_weight().detach().contiguous())
        conv.bias = None if self.bias is None else nn.Parameter(self.bias.detach().clone())
        return conv
