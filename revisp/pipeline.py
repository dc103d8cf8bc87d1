"""The whole method as one module: mask, two branches, fusion, mosaic, optional refinement.

Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM 2022)::

    srgb ─┬─▶ mask M ────────────────┐
          ├─▶ NOE branch ([srgb, M]) ─┤
          └─▶ OE branch  ([srgb, M]) ─┴─▶ fusion ─▶ raw_rgb ─▶ mosaic ─▶ bayer (─▶ refine)

The same object is trained, saved, tiled over a large photo and called in a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones import create_backbone, resolve_spec
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.fusion import Fusion
from revisp.mask import OverexposureMask
from revisp.mosaic import Mosaic
from revisp.padding import reflect_pad
from revisp.refine import BayerRefiner

__all__ = ["MINIMUM_SIZE", "Reconstruction", "ReverseISP"]

MINIMUM_SIZE = 16
"""Least height and width of a photo, in pixels."""


class Reconstruction(NamedTuple):
    """What `ReverseISP` makes of a photo.

    Attributes:
        raw_rgb: fused demosaiced RAW ``[B, 3, H, W]``: camera RGB, linear, black 0, white 1, not white-balanced.
        bayer: the RAW mosaic ``[B, 1, H, W]``, after refinement where the model refines.
        mask: overexposure mask ``[B, 1, H, W]`` in [0, 1], 1 = overexposed.
        oe: demosaiced RAW ``[B, 3, H, W]`` of the branch for overexposed pixels.
        noe: demosaiced RAW ``[B, 3, H, W]`` of the branch for all other pixels.
        mosaiced: the mosaic of ``raw_rgb`` before refinement; the same tensor as ``bayer`` without it.
    """

    raw_rgb: Tensor
    bayer: Tensor
    mask: Tensor
    oe: Tensor
    noe: Tensor
    mosaiced: Tensor


class ReverseISP(nn.Module):
    """Map a photo to the RAW mosaic of a camera by overexposure mask fusion.

    Args:
        backbone: a name of `revisp.list_backbones`.
        backbone_kwargs: arguments of that network (width, depth, ...), the same for both branches.
        branches: ``"separate"``: two networks, as the paper; ``"shared"``: one network with two 3-channel heads.
        mask_channel: append the mask to the networks' input as a fourth channel, as the released code does.
        mask: arguments of `OverexposureMask`.
        fusion: arguments of `Fusion`.
        refine: None, or the arguments of the refining U-Net (RAW to RAW, residual).
        padding: how sizes are brought to the network's multiple: ``"reflect"`` below and to the right, or
            ``"ones4"``: four pixels of constant 1 (mask included) on each side, as the released code does.
        cfa: phase of the mosaic; taken from ``profile`` when that is given.
        profile: the camera whose RAW the model predicts; needed to write a DNG.

    All arguments are JSON values or can be made from them, so that a model folder can rebuild the module.

    Values are unclamped in training mode, and clamped to [0, 1] in evaluation mode.

    Raises:
        ConfigError: an unknown choice, or a CFA that contradicts the profile.

    Example:
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 3}).eval()
        >>> model(torch.rand(1, 3, 33, 50)).bayer.shape
        torch.Size([1, 1, 33, 50])
    """

    def __init__(
        self,
        backbone: str = "unet",
        *,
        backbone_kwargs: Mapping[str, Any] | None = None,
        branches: Literal["separate", "shared"] = "separate",
        mask_channel: bool = True,
        mask: Mapping[str, Any] | None = None,
        fusion: Mapping[str, Any] | None = None,
        refine: Mapping[str, Any] | None = None,
        padding: Literal["reflect", "ones4"] = "reflect",
        cfa: CFA | str | None = None,
        profile: CameraProfile | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if branches not in ("separate", "shared"):
            raise ConfigError(f"branches must be 'separate' or 'shared', got {branches!r}")
        if padding not in ("reflect", "ones4"):
            raise ConfigError(f"padding must be 'reflect' or 'ones4', got {padding!r}")
        if isinstance(profile, Mapping):
            profile = CameraProfile.from_dict(dict(profile))
        if profile is not None and cfa is not None and CFA.parse(cfa) is not profile.cfa:
            raise ConfigError(f"cfa {cfa} contradicts the camera profile's {profile.cfa}; give one of them")
        self.profile = profile
        self.cfa = profile.cfa if profile is not None else CFA.parse(cfa or CFA.RGGB)
        self.config: dict[str, Any] = {
            "backbone": backbone,
            "backbone_kwargs": dict(backbone_kwargs or {}),
            "branches": branches,
            "mask_channel": mask_channel,
            "mask": dict(mask or {}),
            "fusion": dict(fusion or {}),
            "refine": None if refine is None else dict(refine),
            "padding": padding,
            "cfa": self.cfa.value,
            "profile": None if profile is None else profile.to_dict(),
        }
        self.branches = _build_branches(backbone, self.config["backbone_kwargs"], branches, 3 + mask_channel)
        self.spec = resolve_spec(next(iter(self.branches.values())), backbone)
        self.overexposure_mask = OverexposureMask(**self.config["mask"])
        self.fusion = Fusion(**self.config["fusion"])
        self.mosaic = Mosaic(self.cfa)
        self.refine: BayerRefiner | None = None
        if refine is not None:
            self.refine = BayerRefiner(create_backbone("unet", in_channels=4, out_channels=4, **refine), self.cfa)

    def forward(self, srgb: Tensor) -> Reconstruction:
        """Reconstruct the RAW of photos.

        Args:
            srgb: display-referred sRGB ``[B, 3, H, W]`` in [0, 1], H and W at least 16.

        Raises:
            ShapeError: wrong shape or dtype, or smaller than 16 pixels.
        """
        out = self.reconstruct(srgb)
        if self.refine is None:
            return out
        bayer = self.refine(out.mosaiced)
        return out._replace(bayer=bayer if self.training else bayer.clamp(0, 1))

    def reconstruct(self, srgb: Tensor) -> Reconstruction:
        """Do all of `forward` but the refinement."""
        check_image(srgb, 3, "srgb")
        if srgb.ndim != 4 or min(srgb.shape[-2:]) < MINIMUM_SIZE:
            raise ShapeError(f"srgb must be [B, 3, H, W] with H, W >= {MINIMUM_SIZE}, got {list(srgb.shape)}")
        mask = self.overexposure_mask(srgb)
        oe, noe = self._run_branches(srgb, mask)
        raw_rgb = self.fusion(oe, noe, mask)
        mosaiced = self.mosaic(raw_rgb)
        return Reconstruction(raw_rgb, mosaiced, mask, oe, noe, mosaiced)

    def _run_branches(self, srgb: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the OE and NOE predictions, each ``[B, 3, H, W]``."""
        height, width = srgb.shape[-2:]
        x = torch.cat([srgb, mask], dim=1) if self.config["mask_channel"] else srgb
        x, margin = self._pad(x)
        if "shared" in self.branches:
            oe, noe = self.branches["shared"](x).split(3, dim=1)
        else:
            oe, noe = self.branches["oe"](x), self.branches["noe"](x)
        window = (..., slice(margin, margin + height), slice(margin, margin + width))
        oe, noe = oe[window], noe[window]
        return (oe, noe) if self.training else (oe.clamp(0, 1), noe.clamp(0, 1))

    def _pad(self, x: Tensor) -> tuple[Tensor, int]:
        """Bring ``x`` to a size the network takes; return it and the rows (and columns) added before the first."""
        margin = 4 if self.config["padding"] == "ones4" else 0
        height, width = (self._allowed(size + 2 * margin) for size in x.shape[-2:])
        down, right = height - x.shape[-2] - margin, width - x.shape[-1] - margin
        if margin:
            return F.pad(x, (margin, right, margin, down), value=1.0), margin
        return reflect_pad(x, 0, down, 0, right), 0

    def _allowed(self, size: int) -> int:
        """Return the least size from ``size`` up that the network takes."""
        size = max(size, self.spec.min_size) if self.spec.min_size > MINIMUM_SIZE else size
        return size + -size % self.spec.multiple_of  # this form exports to ONNX with dynamic sizes


def _build_branches(name: str, kwargs: dict[str, Any], branches: str, in_channels: int) -> nn.ModuleDict:
    if branches == "shared":
        return nn.ModuleDict({"shared": create_backbone(name, in_channels=in_channels, out_channels=6, **kwargs)})
    return nn.ModuleDict(
        {key: create_backbone(name, in_channels=in_channels, out_channels=3, **kwargs) for key in ("oe", "noe")}
    )
