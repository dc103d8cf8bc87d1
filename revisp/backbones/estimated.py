"""The inverse of an unknown camera's rendering, estimated from the photo itself.

A small network sees the whole photo once and estimates the tone curve and the colours of its rendering
(`Estimated.estimate`). The estimate is applied in closed form, pixel by pixel (`Estimated.linearise`), so all
tiles of a photo use the same one. Known values can replace any part of it (`PhotoEstimate.told`).
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.thumbnail import STATISTICS, colour_statistics, thumbnail
from revisp.camera.canonical import light_matrix, light_to_raw
from revisp.camera.fitted import INTERVALS, FittedCamera, clipped_share
from revisp.camera.hdr_rendition import BLACK
from revisp.camera.isp import linear_to_srgb, srgb_to_linear
from revisp.camera.looks import chroma_matrix
from revisp.camera.renderings import CHROMA_LN, curve_basis
from revisp.camera.scene_rendering import MID_GREY
from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GAIN_EV", "GREY", "HEADROOM_EV", "Estimated", "PhotoEstimate", "excess_by_map"]

HEADROOM_EV = (0.0, 10.0)
"""Range of a known headroom: EV by which clipped pixels exceed the curve's white."""

HEADROOM_START = -3.0
"""Network output for headroom and spread before training; its softplus is 0.05 EV."""

CLIP_START = 0.98
"""sRGB value of all channels above which a pixel gets a share of the headroom. White walls and paper lie below."""

GAIN_EV = (-4.0, 10.0)
"""Least and most EV that a network may add to overexposed pixels."""

LEAST_LIGHT = 1e-4
"""Light below which EV are not told apart."""

MATRIX_STEP, CHROMA_STEP, BLACK_STEP = 0.1, 0.1, 0.01
"""Change of the matrix, of the logarithm of the chroma, and of the black level, by a network output of 1."""

GREY = float(linear_to_srgb(torch.tensor(MID_GREY, dtype=torch.float64))) * INTERVALS
"""Position of mid grey in a curve's table."""


class PhotoEstimate(NamedTuple):
    """An estimate of the rendering of a photo, from the photo itself.

    Attributes:
        curve: scene light at the sRGB values 0, 1/64, ..., 1: ``[B, 65]``, rising from 0; mid grey (sRGB value
            0.46) is 0.18.
        chroma: factors ``[B, 2]`` by which the camera scaled Cr and Cb of the encoded photo (`scale_chroma`).
        matrix: matrix ``[B, 3, 3]`` from this light to the scene's colours.
        black: light ``[B]`` to subtract before the matrix.
        headroom: likely EV ``[B]`` by which clipped pixels exceed the curve's white.
        spread: standard deviation of the headroom in EV ``[B]``; 0 if the headroom is known.
    """

    curve: Tensor
    chroma: Tensor
    matrix: Tensor
    black: Tensor
    headroom: Tensor
    spread: Tensor

    def told(
        self,
        *,
        headroom: float | None = None,
        curve: Sequence[float] | FittedCamera | None = None,
    ) -> PhotoEstimate:
        """Return the estimate with known values instead of estimated ones.

        Args:
            headroom: EV by which clipped pixels exceed the curve's white.
            curve: linear light at evenly spaced sRGB values, rising strictly from 0, of any scale; or a fitted
                camera, whose curve is used. The photo's chroma then is as the camera left it.

        Raises:
            ConfigError: the headroom is outside `HEADROOM_EV`, or the curve does not rise.
        """
        if isinstance(curve, FittedCamera):
            curve = curve.curve
        estimate = self
        if headroom is not None:
            low, high = HEADROOM_EV
            if not low <= headroom <= high:
                raise ConfigError(f"headroom must lie in [{low:g}, {high:g}] EV, got {headroom:g}")
            told = torch.full_like(self.headroom, headroom)
            estimate = estimate._replace(headroom=told, spread=torch.zeros_like(told))
        if curve is not None:
            table = _table(curve).to(self.curve)
            estimate = estimate._replace(
                curve=table.expand_as(self.curve),
                chroma=torch.ones_like(self.chroma),
                black=torch.zeros_like(self.black),
            )
        return estimate


class Estimated(nn.Module):
    r"""Estimate the rendering of a photo, and undo it.

    With the photo :math:`p`, the estimated change :math:`s` of its chroma, curve :math:`f^{-1}`, black :math:`b`,
    matrix :math:`A` and headroom :math:`h`, and the measure :math:`c(p)` of the clipping of all three channels
    (`clipping`),

    .. math:: \mathrm{light} = A\,(f^{-1}(s^{-1}(p)) - b) \cdot 2^{\,h\,c(p)}

    The canonical sensor then reads this light (`revisp.camera.canonical`). A curve is the mean curve plus a
    combination of ten deviations (`curve_basis`), in a form that always rises; untrained, it is the mean. The
    network sees a thumbnail and statistics of its colours. In evaluation mode the estimate is the mean over the
    photo and its mirror image.

    Args:
        width: channels of the first layer.
        hidden: width of the last layers.

    Shape:
        ``[B, 3, H, W]`` to ``[B, 3, H, W]``.
    """

    mean_curve: Tensor
    bends: Tensor
    mean_chroma: Tensor
    typical: Tensor
    deviation: Tensor

    def __init__(self, width: int = 24, hidden: int = 128) -> None:
        super().__init__()
        mean, bends = curve_basis()
        self.register_buffer("mean_curve", torch.from_numpy(mean).float())
        self.register_buffer("bends", torch.from_numpy(bends).float())
        self.register_buffer("mean_chroma", torch.tensor([math.exp(mean) for mean, _ in CHROMA_LN]))
        self.register_buffer("typical", torch.zeros(STATISTICS))
        self.register_buffer("deviation", torch.ones(STATISTICS))
        widths = (6, width, 2 * width, 2 * width, 3 * width, 4 * width)
        strides = (2, 2, 1, 2, 2)
        self.look = nn.Sequential(
            *(_layer(*sides) for sides in zip(widths[:-1], widths[1:], strides, strict=True))
        )
        self.judge = nn.Sequential(
            nn.Linear(8 * width + STATISTICS, hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            last := nn.Linear(hidden, len(bends) + 2 + 9 + 3),
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[-2:], HEADROOM_START)

    def forward(self, x: Tensor) -> Tensor:
        """Turn whole photos ``[B, 3, H, W]`` into RAW of the canonical sensor, unclamped.

        Raises:
            ShapeError: not a floating tensor of three channels.
        """
        return light_to_raw(self.linearise(x, self.estimate(x)))

    def estimate(self, photo: Tensor) -> PhotoEstimate:
        """Estimate the rendering of whole photos.

        Args:
            photo: ``[B, 3, H, W]`` in [0, 1]; the whole photo, or its thumbnail.

        Raises:
            ShapeError: not a floating tensor of three channels.
        """
        check_image(photo, 3, "photo")
        small = thumbnail(photo.float())
        statistics = colour_statistics(small)
        told = self.answers(small, statistics)
        if not self.training:
            told = (told + self.answers(small.flip(-1), statistics)) / 2
        return self.interpret(told)

    def answers(self, small: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return what the network says of thumbnails ``[B, 3, 96, 96]``, before it is interpreted.

        Args:
            small: the thumbnails.
            statistics: their `colour_statistics`, where they are known; a mirror image has the same.
        """
        half = F.avg_pool2d(small, 2)
        seen = self.look(torch.cat([half * 2 - 1, (half - F.avg_pool2d(half, 3, 1, 1)) * 4], dim=1))
        measured = colour_statistics(small) if statistics is None else statistics
        normal = (measured - self.typical) / self.deviation
        told: Tensor = self.judge(torch.cat([seen.mean((2, 3)), seen.amax((2, 3)), normal], dim=1))
        return told

    def interpret(self, told: Tensor) -> PhotoEstimate:
        """Turn the network's output ``[B, 24]`` into an estimate."""
        bends, chroma, matrix, rest = told.split((len(self.bends), 2, 9, 3), dim=1)
        levels = self.mean_curve + bends @ self.bends
        logarithm = levels[:, :1] + F.pad(levels[:, 1:].exp().cumsum(1), (1, 0))
        knot = int(GREY) - 1  # the table without its first entry, which is 0
        grey = torch.lerp(logarithm[:, knot], logarithm[:, knot + 1], GREY - int(GREY))
        curve = F.pad((logarithm - grey[:, None] + math.log(MID_GREY)).clamp(-14, 8).exp(), (1, 0))
        identity = torch.eye(3, dtype=told.dtype, device=told.device)
        return PhotoEstimate(
            curve,
            self.mean_chroma * torch.exp(CHROMA_STEP * chroma),
            identity + MATRIX_STEP * matrix.unflatten(1, (3, 3)),
            BLACK_STEP * rest[:, 0],
            F.softplus(rest[:, 1]),
            F.softplus(rest[:, 2]),
        )

    def compose(
        self,
        part: str,
        srgb: Tensor,
        change: Tensor,
        estimate: PhotoEstimate,
        gain: Tensor | None = None,
    ) -> Tensor:
        """Apply the prediction of a network of the fusion to the estimate.

        Args:
            part: meaning of the prediction. ``"oe"``: the EV by which pixels exceed the estimate or, where a gain
                map is known, the HDR rendition that it leads to. Any other part: a correction of the photo before
                it is linearised, to undo sharpening, smoothing and compression.
            srgb: tiles ``[B, 3, H, W]`` in [0, 1].
            change: the network's prediction for these tiles, ``[B, 3, H, W]``.
            estimate: the estimate of their photos.
            gain: what their gain maps say ``[B, 1, H, W]``, NaN where there is none; None: nowhere.

        Returns:
            RAW of the canonical sensor ``[B, 3, H, W]``, unclamped.
        """
        if part != "oe":  # `light_to_raw` joined with the estimate's matrix
            matrix = torch.as_tensor(light_matrix(), dtype=srgb.dtype, device=srgb.device) @ estimate.matrix
            return self.linearise(srgb + change.float(), estimate._replace(matrix=matrix))
        light, exceeding = self.linearise(srgb, estimate), change.float().clamp(*GAIN_EV)
        if gain is not None:
            exceeding = exceeding + excess_by_map(srgb, light, gain).clamp(*GAIN_EV)
        return light_to_raw(light * torch.exp2(exceeding))

    @property
    def usual(self) -> PhotoEstimate:
        """The estimate of a photo that tells nothing, of batch size 1."""
        return self.interpret(self.last.bias[None])

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the answers: bends of the curve, chroma, matrix, black, headroom and its spread."""
        layer = self.judge[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    @staticmethod
    def linearise(srgb: Tensor, estimate: PhotoEstimate) -> Tensor:
        """Turn pixels into scene light by an estimate of their photo.

        Args:
            srgb: any tiles ``[B, 3, H, W]`` of the estimate's photos.
            estimate: the result of `estimate`.

        Returns:
            Scene light ``[B, 3, H, W]`` in sRGB's primaries, mid grey 0.18, unclamped.

        Raises:
            ShapeError: not a floating tensor of three channels.
        """
        check_image(srgb, 3, "srgb")
        unscale = chroma_matrix(1 / estimate.chroma) * INTERVALS
        position = unscale @ srgb.flatten(2)
        index = position.detach().clamp(0, INTERVALS - 1).long()
        table = (estimate.curve - estimate.black[:, None])[:, None].expand(-1, 3, -1)  # a row for each channel
        slope = table.diff(dim=2)
        at_zero = table[..., :-1] - slope * torch.arange(INTERVALS, device=slope.device)  # each line goes on to 0
        curved = at_zero.gather(2, index).addcmul_(slope.gather(2, index), position)
        light = (estimate.matrix @ curved).view_as(srgb)
        clipped = clipped_share(reduce(torch.minimum, srgb.split(1, dim=-3)), CLIP_START)  # of all three channels
        return light * torch.exp2(estimate.headroom.view(-1, 1, 1, 1) * clipped)


def excess_by_map(srgb: Tensor, light: Tensor, gain: Tensor) -> Tensor:
    """Return the EV by which the HDR rendition exceeds linearised pixels.

    Args:
        srgb: photos ``[B, 3, H, W]`` in [0, 1].
        light: their light ``[B, 3, H, W]``, mid grey 0.18.
        gain: what their gain maps say ``[B, 1, H, W]``, NaN where there is none.

    Returns:
        ``[B, 1, H, W]``, 0 without a map.
    """
    shown = srgb_to_linear(srgb).mean(dim=1, keepdim=True)
    hdr = gain + ((shown + BLACK) / (MID_GREY + BLACK)).log2()
    return torch.nan_to_num(hdr - (light.mean(dim=1, keepdim=True).clamp_min(LEAST_LIGHT) / MID_GREY).log2())


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _table(curve: Sequence[float]) -> Tensor:
    """Return a known curve as the table ``[65]`` of an estimate, mid grey 0.18.

    Raises:
        ConfigError: the curve does not rise strictly from 0.
    """
    told = torch.tensor([float(value) for value in curve], dtype=torch.float64)
    if len(told) < 2 or told[0] != 0 or not told.isfinite().all() or (told.diff() <= 0).any():
        raise ConfigError("curve must rise strictly from 0")
    table = F.interpolate(told[None, None], INTERVALS + 1, mode="linear", align_corners=True)[0, 0]
    grey = torch.lerp(table[int(GREY)], table[int(GREY) + 1], GREY - int(GREY))
    return table * (MID_GREY / grey)
