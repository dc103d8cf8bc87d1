"""Features of two sources in one tensor, as skip connections need."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["join"]


def join(first: Tensor, second: Tensor) -> Tensor:
    """Append the channels of one feature map to those of another, with gradients that are fast to read.

    The gradient of `torch.cat` is a view with gaps of the channels of the other source. Steps that read it are
    many times slower on a CPU.

    Args:
        first: ``[B, C, H, W]``.
        second: ``[B, D, H, W]``.

    Returns:
        ``[B, C + D, H, W]``.

    Example:
        >>> join(torch.zeros(1, 2, 4, 4), torch.ones(1, 3, 4, 4)).mean(dim=(0, 2, 3)).tolist()
        [0.0, 0.0, 1.0, 1.0, 1.0]
    """
    if not torch.is_grad_enabled():
        return torch.cat([first, second], dim=1)
    return cast("Tensor", _Join.apply(first, second))


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.channels = [first.shape[1], second.shape[1]]
        return torch.cat([first, second], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        # A view of channels-last features is not dense, so that its clone would be.
        last = gradient.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        first, second = (part.contiguous(memory_format=layout) for part in gradient.split(ctx.channels, dim=1))
        return first, second
