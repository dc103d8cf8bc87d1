"""The invertible network of InvISP (Xing et al., CVPR 2021, arXiv 2103.15061), used from sRGB to RAW."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.dense import DenseBlock
from revisp.backbones.blocks.invertible import InvertibleConv1x1
from revisp.backbones.blocks.photo import check_channels
from revisp.errors import ConfigError

__all__ = ["InvISP"]

MOST_LOG_SCALE = 0.8
"""Bound of the logarithm of a coupling's scale."""


class InvISP(nn.Module):
    """A normalizing flow between sRGB and demosaiced RAW: `forward` goes to RAW, `inverse` back to sRGB.

    The published flow renders RAW and is run backwards to recover the RAW of photos that it rendered itself. Here
    the direction towards RAW is trained on real pairs, so the flow learns to undo the camera's rendering. Each
    step is an invertible 1x1 convolution and an affine coupling of one channel with the two others, by three dense
    blocks of five 3x3 convolutions. With its default arguments it has 1,413,664 parameters: 9 in each step for the
    LU form of the 1x1 convolution (our reading), the rest in the dense blocks.

    The last convolutions of the dense blocks start at a tenth of Xavier's rule. The flow then starts as nearly a
    chain of rotations, but no gradient is zero. A plain flow sets them to zero, and a Xavier pass in the released
    code overwrites this. A flow of three channels has no room for a mask or for more than one prediction. 1x1
    convolutions before and after the flow add these. At the start they pass the photo on, and copy the RAW to each
    prediction. Such a network has no `inverse`.

    Args:
        in_channels: 3 for sRGB as published, 4 for sRGB and the overexposure mask.
        out_channels: 3 as published, or a multiple of 3: predictions that share the flow.
        steps: number of steps.
        growth: channels that each convolution of a dense block adds.

    Attributes:
        receptive_field: ``20 * steps + 1``, since each step has two dense blocks in series.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, any H and W.

    Raises:
        ConfigError: an argument is less than 1, or a number of channels is not supported.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3, steps: int = 8, growth: int = 32) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, "invisp")
        if min(steps, growth) < 1:
            raise ConfigError(f"invisp: steps and growth must be at least 1, got steps={steps}, growth={growth}")
        self.in_channels = in_channels
        self.receptive_field = 20 * steps + 1
        self.entry = nn.Identity() if in_channels == 3 else _pass_through(in_channels, 3)
        self.steps = nn.ModuleList(_Step(growth) for _ in range(steps))
        self.exit = nn.Identity() if out_channels == 3 else _pass_through(3, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map sRGB ``[B, in_channels, H, W]`` to RAW ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count or an integer input.
        """
        check_input(x, self.in_channels, 1, "invisp")
        x = self.entry(x)
        for step in reversed(list(self.steps)):
            assert isinstance(step, _Step)
            x = step.to_raw(x)
        output: Tensor = self.exit(x)
        return output

    def inverse(self, raw: Tensor) -> Tensor:
        """Return the sRGB ``[B, 3, H, W]`` that `forward` maps to ``raw`` ``[B, 3, H, W]``.

        Raises:
            ConfigError: the network has a mask or more than one prediction.
            ShapeError: wrong channel count or an integer input.
        """
        if not (isinstance(self.entry, nn.Identity) and isinstance(self.exit, nn.Identity)):
            raise ConfigError("invisp: only a network of three input and three output channels has an inverse")
        check_input(raw, 3, 1, "invisp")
        for step in self.steps:
            assert isinstance(step, _Step)
            raw = step.to_srgb(raw)
        return raw


class _Step(nn.Module):
    """One step of the flow on ``[B, 3, H, W]``, in both directions.

    Towards sRGB: ``x = W x``; ``y1 = x1 + F(x2)``; ``y2 = x2 exp(s(y1)) + G(y1)``, with
    ``s = 0.8 (2 sigmoid(H(y1)) - 1)``, x1 the first channel and x2 the two others.
    """

    def __init__(self, growth: int) -> None:
        super().__init__()
        self.mix = InvertibleConv1x1(3)
        self.shift_one = DenseBlock(2, 1, growth, last_gain=0.1)
        self.shift_two = DenseBlock(1, 2, growth, last_gain=0.1)
        self.scale_two = DenseBlock(1, 2, growth, last_gain=0.1)

    def to_srgb(self, x: Tensor) -> Tensor:
        one, two = self.mix(x).split([1, 2], dim=1)
        one = one + self.shift_one(two)
        two = two * self._log_scale(one).exp() + self.shift_two(one)
        return torch.cat([one, two], dim=1)

    def to_raw(self, y: Tensor) -> Tensor:
        one, two = y.split([1, 2], dim=1)
        two = (two - self.shift_two(one)) * (-self._log_scale(one)).exp()
        one = one - self.shift_one(two)
        return self.mix.inverse(torch.cat([one, two], dim=1))

    def _log_scale(self, one: Tensor) -> Tensor:
        return MOST_LOG_SCALE * (2 * torch.sigmoid(self.scale_two(one)) - 1)


def _pass_through(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 1x1 convolution that starts by copying its first three channels and nearly ignores the others."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    nn.init.normal_(conv.weight, std=1e-3)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        conv.weight[:, :3, 0, 0] += torch.eye(3).repeat(out_channels // 3, 1)
    return conv
