"""A loss for pairs of photo and RAW that are not exactly aligned: the RAW is warped onto the photo first.

Zhang et al., "Learning RAW-to-sRGB Mappings with Inaccurately Aligned Supervision" (ICCV 2021, arXiv 2108.08119),
reversed by the HIT-IIL entry to AIM 2022 (challenge report, arXiv 2210.11153), which predicts RAW from photos.
"""

from __future__ import annotations

import os
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revisp.cfa import CFA, unpack
from revisp.checks import check_image
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.losses.base import LOSSES, checked, drop_empty, region_mean
from revisp.losses.colour_map import GlobalColourMap
from revisp.losses.flow import LucasKanade, RaftFlow, halve_flow, valid_after, warp
from revisp.losses.structural import ssim_loss

__all__ = ["AlignedLoss"]

DISPLAY_GAMMA = 2.2
"""Gamma that encodes the RAW before it is recoloured."""


@LOSSES.register("aligned")
class AlignedLoss(nn.Module):
    """L1 against the target, warped onto the photo.

    1. A `GlobalColourMap` recolours the demosaiced target, encoded by the power 1/2.2, to look like the photo.
    2. Optical flow from the photo to the recoloured target gives the position of each pixel of the photo in the
       RAW.
    3. The flow warps the target; packed planes are warped by half of the flow at half size. Pixels sampled beyond
       the border do not count.
    4. The loss is the L1 between prediction and warped target, plus `ssim` times one minus their SSIM, plus
       `colour` times the L1 between photo and warped recoloured target. The last term trains the map.

    The map has parameters. Give them to the optimiser along with the network's; no model needs them after
    training. The flow has no gradient. The published entries estimate it by PWC-Net; here pyramidal Lucas-Kanade
    (no weights) or RAFT replaces it. Their perceptual term is the loss ``lpips``. As in these entries, SSIM
    compares linear values.

    Args:
        ssim: weight of the SSIM part; published: 0.1 for the S7 track, 0.3 for the P20 track.
        colour: weight of the map's own loss.
        flow: ``"lucas_kanade"``, or ``"raft"`` (torchvision's small network).
        weights: file of RAFT's weights (`RaftFlow`).
        download: whether torchvision's RAFT weights may be downloaded if no file is given.

    Raises:
        ConfigError: an unknown flow, a negative weight, or weights for Lucas-Kanade.
        WeightsError: RAFT's weights are missing or do not fit.

    Example:
        >>> loss = AlignedLoss(ssim=0.1)
        >>> photo, raw = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
        >>> loss(raw, raw, srgb=photo).shape
        torch.Size([])
    """

    needs = ("srgb", "cfa")
    linear = True

    def __init__(
        self,
        ssim: float = 0.0,
        colour: float = 1.0,
        flow: Literal["lucas_kanade", "raft"] = "lucas_kanade",
        weights: str | os.PathLike[str] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__()
        if not (ssim >= 0 and colour > 0):
            raise ConfigError(f"the aligned loss needs ssim >= 0 and colour > 0, got {ssim} and {colour}")
        if flow not in ("lucas_kanade", "raft"):
            raise ConfigError(f"unknown flow {flow!r} of the aligned loss: use 'lucas_kanade' or 'raft'")
        if flow == "lucas_kanade" and (weights is not None or download):
            raise ConfigError("flow 'lucas_kanade' takes no weights: set flow to 'raft'")
        self.ssim = ssim
        self.colour = colour
        self.colour_map = GlobalColourMap()
        self.flow: nn.Module = LucasKanade() if flow == "lucas_kanade" else RaftFlow(weights, download)

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *,
        srgb: Tensor,
        cfa: CFA | str = CFA.RGGB,
    ) -> Tensor:
        """Compare within a region of the photo.

        Args:
            prediction: demosaiced RAW ``[B,3,H,W]`` or packed planes ``[B,4,H/2,W/2]``, linear, unclamped, on the
                photo's grid.
            target: of the same shape, linear, in [0,1], on the RAW's own grid.
            weight: ``[B,1,H,W]`` or ``[B,1,H/2,W/2]`` in [0,1], or None for all pixels.
            srgb: the photo ``[B,3,H,W]`` in [0,1].
            cfa: Bayer phase of packed targets, for their demosaicing.

        Returns:
            A scalar; 0 if the region is empty.

        Raises:
            ConfigError: not a Bayer phase.
            ShapeError: shapes do not fit, an integer tensor, or neither three nor four channels.
        """
        prediction, target, weight = checked(prediction, target, weight)
        _check_photo(srgb, target)
        srgb = drop_empty(srgb.float(), target, weight)[0]
        prediction, target, weight = drop_empty(prediction, target, weight)
        if not len(prediction):
            return prediction.sum() + sum(0 * parameter.sum() for parameter in self.parameters())
        with torch.autocast(prediction.device.type, enabled=False):
            warped, valid, map_loss = self._align(target.detach(), srgb, weight, CFA.parse(cfa))
            total = region_mean((prediction - warped).abs(), valid)
            if self.ssim:
                total = total + self.ssim * ssim_loss(prediction, warped, valid)
            return total + self.colour * map_loss

    def _align(
        self, target: Tensor, srgb: Tensor, weight: Tensor | None, cfa: CFA
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the warped target, the weight of its pixels, and the loss of the colour map."""
        packed = target.shape[1] == 4
        raw_rgb = demosaic(unpack(target, cfa), cfa, "bilinear") if packed else target
        mapped = self.colour_map(raw_rgb.to(srgb.dtype).clamp(0, 1) ** (1 / DISPLAY_GAMMA), srgb)
        flow = self.flow(srgb, mapped.detach())
        seen = valid_after(flow)
        if weight is not None:
            seen = seen * (F.interpolate(weight, scale_factor=2.0) if packed else weight).to(seen.dtype)
        map_loss = region_mean((warp(mapped, flow) - srgb).abs(), seen)
        if packed:
            flow = halve_flow(flow)
        valid = valid_after(flow).to(target.dtype)
        return warp(target, flow.to(target.dtype)), valid if weight is None else valid * weight, map_loss

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"ssim={self.ssim}, colour={self.colour}"


def _check_photo(srgb: Tensor, target: Tensor) -> None:
    """Require a photo that fits the target."""
    if target.shape[1] not in (3, 4):
        raise ShapeError(f"the aligned loss takes 3 channels or 4 packed planes, got {list(target.shape)}")
    check_image(srgb, 3, "srgb")
    factor = 2 if target.shape[1] == 4 else 1
    shape = (target.shape[0], 3, factor * target.shape[2], factor * target.shape[3])
    if tuple(srgb.shape) != shape:
        raise ShapeError(f"the photo of the aligned loss must have shape {list(shape)}, got {list(srgb.shape)}")
