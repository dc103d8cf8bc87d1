"""The last layer of a network: demosaiced RAW at full resolution, or packed Bayer planes at half of it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from revisp.errors import ConfigError

__all__ = ["Head", "RawHead", "check_head"]

Head = Literal["raw_rgb", "packed"]
"""The output of a network: ``"raw_rgb"``, channels of full size; ``"packed"``, Bayer planes of half the size."""


def check_head(head: str, name: str) -> None:
    """Require ``"raw_rgb"`` or ``"packed"`` in the network ``name``.

    Raises:
        ConfigError: ``head`` is neither.

    Example:
        >>> check_head("bayer", "unet")
        Traceback (most recent call last):
            ...
        revisp.errors.ConfigError: unet: unknown head 'bayer': use 'raw_rgb' or 'packed'
    """
    if head not in ("raw_rgb", "packed"):
        raise ConfigError(f"{name}: unknown head {head!r}: use 'raw_rgb' or 'packed'")


class RawHead(nn.Module):
    """The last layer of a network whose features have the RAW's resolution, half of the photo's.

    Args:
        width: channels of the features.
        out_channels: channels of the output.
        head: ``"packed"`` keeps the resolution; ``"raw_rgb"`` predicts the four pixels of each tile as four
            channels and arranges them as pixels (sub-pixel convolution, Shi et al., arXiv 1609.05158).
        kernel_size: side of its one convolution, odd.
        bias: whether that convolution has a bias.

    Shape:
        ``[B, width, h, w]`` to ``[B, out_channels, h, w]``, or to ``[B, out_channels, 2h, 2w]``.

    Example:
        >>> import torch
        >>> features = torch.rand(1, 16, 8, 12)
        >>> RawHead(16, 4, "packed")(features).shape, RawHead(16, 3, "raw_rgb")(features).shape
        (torch.Size([1, 4, 8, 12]), torch.Size([1, 3, 16, 24]))
    """

    def __init__(
        self, width: int, out_channels: int, head: Head, kernel_size: int = 3, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.scale = 1 if head == "packed" else 2
        planes = out_channels * self.scale**2
        self.conv = nn.Conv2d(width, planes, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of features ``[B, width, h, w]``, unclamped."""
        return F.pixel_shuffle(self.conv(x), self.scale)
