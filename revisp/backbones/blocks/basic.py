"""Convolutions, normalisation, and the check of every network's input."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from revisp.backbones.blocks.whole_image import GroupNorm
from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError

__all__ = ["ConvNormAct", "DoubleConv", "Norm", "check_input", "make_norm"]

Norm = Literal["batch", "group", "none"]

_CHANNELS_A_GROUP = 8


def check_input(x: Tensor, channels: int, multiple_of: int, name: str, min_size: int = 1) -> None:
    """Require a floating ``[B, channels, H, W]`` whose sides fit the network ``name``.

    The sides are not checked while the network is traced or exported, since they may then be symbolic.

    Raises:
        ShapeError: wrong rank, channel count, dtype or size.

    Example:
        >>> check_input(torch.zeros(1, 3, 16, 20), channels=3, multiple_of=16, name="unet")
        Traceback (most recent call last):
            ...
        revisp.errors.ShapeError: unet needs height and width to be multiples of 16, got 16x20: pad the input
    """
    check_image(x, channels, f"input of {name}")
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[attr-defined]
        return
    height, width = x.shape[-2:]
    if height % multiple_of or width % multiple_of or min(height, width) < min_size:
        least = f" and at least {min_size}" if min_size > multiple_of else ""
        raise ShapeError(
            f"{name} needs height and width to be multiples of {multiple_of}{least}, got {height}x{width}: "
            "pad the input"
        )


def make_norm(kind: Norm | str, channels: int) -> nn.Module:
    """Return the normalisation layer of a feature map ``[B, channels, H, W]``.

    Args:
        kind: ``"batch"`` (BatchNorm), ``"group"`` (GroupNorm, Wu and He, arXiv 1803.08494: groups of eight
            channels, or one group if 8 does not divide ``channels``) or ``"none"`` (identity).
        channels: number of channels.

    Raises:
        ConfigError: unknown kind.

    Example:
        >>> [type(make_norm(kind, 32)).__name__ for kind in ("batch", "group", "none")]
        ['BatchNorm2d', 'GroupNorm', 'Identity']
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        groups, rest = divmod(channels, _CHANNELS_A_GROUP)
        return GroupNorm(1 if rest else groups, channels)
    if kind == "none":
        return nn.Identity()
    raise ConfigError(f"unknown norm {kind!r}: use 'batch', 'group' or 'none'")


class ConvNormAct(nn.Sequential):
    """3x3 convolution with bias, normalisation, ReLU: ``[B, in, H, W]`` to ``[B, out, H, W]``.

    Weights start by He's rule for ReLU (arXiv 1502.01852), which keeps the variance of deep stacks that have no
    normalisation; the bias starts at zero. Borders are padded by zeros.

    Example:
        >>> ConvNormAct(3, 8, norm="group")(torch.rand(1, 3, 16, 20)).shape
        torch.Size([1, 8, 16, 20])
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm | str = "none") -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        layers = [("conv", conv), ("norm", make_norm(norm, out_channels)), ("act", nn.ReLU(inplace=True))]
        super().__init__(OrderedDict(layers))


class DoubleConv(nn.Sequential):
    """Two `ConvNormAct` in a row: ``[B, in, H, W]`` to ``[B, out, H, W]``.

    Example:
        >>> DoubleConv(3, 8)(torch.rand(1, 3, 16, 20)).shape
        torch.Size([1, 8, 16, 20])
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm | str = "none") -> None:
        super().__init__(
            ConvNormAct(in_channels, out_channels, norm), ConvNormAct(out_channels, out_channels, norm)
        )
