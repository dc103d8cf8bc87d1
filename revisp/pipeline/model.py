"""The whole method as one module: mask, networks, fusion, mosaic and optional refinement.

Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM 2022)::

    srgb ─┬─▶ mask M ────────────────┐
          ├─▶ NOE branch ([srgb, M]) ─┤
          └─▶ OE branch  ([srgb, M]) ─┴─▶ fusion ─▶ raw_rgb ─▶ mosaic ─▶ bayer (─▶ refine)

A plain model is one network alone, as other methods have it, for comparison. A model on a base is our addition to
the paper: the networks learn only the difference to it, to a fitted classical inverse or to one that is estimated
for each photo. The same object is trained, saved, run in tiles over a large photo and called in a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from revisp.backbones.estimated import PhotoEstimate
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.demosaic import demosaic
from revisp.fusion import Fusion
from revisp.mask import OverexposureMask
from revisp.mosaic import Mosaic
from revisp.pipeline.build import Base, build_refiner, check_choice, resolve_camera
from revisp.pipeline.frame import Padding
from revisp.pipeline.least_level import LEAST_LEVEL_REACH, LeastLevel, least_level
from revisp.pipeline.networks import PipelineNetworks
from revisp.pipeline.reach import Reach
from revisp.pipeline.reconstruction import Auxiliary, Parts, Reconstruction, check_photos
from revisp.refine import BayerRefiner

__all__ = ["ReverseISP"]

_BILINEAR_REACH = 1
"""Reach of the interpolation of a network of Bayer planes."""


class ReverseISP(PipelineNetworks):
    """Map a photo to the RAW mosaic of a camera by overexposure mask fusion.

    Args:
        backbone: a name of `revisp.list_backbones`.
        backbone_kwargs: arguments of that network (width, depth, ...), the same for both branches.
        branches: ``"separate"``: two networks, as in the paper; ``"shared"``: one network with two 3-channel
            heads; ``"plain"``: one network and no fusion. A plain network whose published form predicts Bayer
            planes predicts them here too, unless ``backbone_kwargs`` contain ``head="raw_rgb"``.
        mask_channel: append the mask to the networks' input as a fourth channel, as the released code does.
        gain_channel: append what the photo's gain map says to the networks' input, as
            `revisp.pipeline.gain_channel` puts it. Photos without a map are marked as such.
        place: append the coordinates of each pixel in the whole photo to the networks' input: x, y and radius
            (`revisp.camera.place.place_map`). Networks can then learn lens shading, and what else depends on the
            distance from the middle. The data must know the whole photos.
        mask: arguments of `OverexposureMask`.
        fusion: arguments of `Fusion`.
        base: None: the networks predict the RAW, as in the paper. ``"classical"``: they predict a correction,
            which is added to the RAW of `Classical` with gains that start at zero (ReZero, Bachlechner et al.,
            arXiv 2003.04887). It has the camera's lens shading where the data know the whole photos.
            ``"estimated"``: the base is `Estimated`, which estimates the rendering from the whole photo. The
            network for ordinary pixels corrects the photo before it is inverted. The network for overexposed
            pixels predicts, in EV, by how much they exceed the inverse. Their gains start at zero, too.
            ``"fitted"``: the base is `Fitted`, the inverse of one camera as in ``"classical"``, which networks
            correct as they correct ``"estimated"``. The base is always computed in full precision.
        refine: None, or the arguments of the refining U-Net (RAW to RAW, residual).
        padding: how photos are padded to the network's multiple: ``"reflect"`` below and to the right, or
            ``"ones4"``: four pixels of constant 1 (mask included) on each side, as the released code does.
        cfa: phase of the mosaic; taken from ``profile`` when that is given.
        profile: the camera whose RAW the model predicts; needed to write a DNG.

    All arguments are JSON values or can be made from them, so a model folder can rebuild the module.

    Values are unclamped in training mode, and clamped to [0, 1] in evaluation mode.

    Attributes:
        branches: the networks by name: ``oe`` and ``noe``, ``shared``, or ``plain``.
        heads: the parts of the RAW that each network predicts, by its name: ``oe``, ``noe`` or ``plain``.
        spec: size contract and reach of the networks.
        config: all arguments, as JSON values.
        profile: the camera; None if it is unknown.

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
        branches: Literal["separate", "shared", "plain"] = "separate",
        mask_channel: bool = True,
        gain_channel: bool = False,
        place: bool = False,
        base: Base | None = None,
        mask: Mapping[str, Any] | None = None,
        fusion: Mapping[str, Any] | None = None,
        refine: Mapping[str, Any] | None = None,
        padding: Padding = "reflect",
        cfa: CFA | str | None = None,
        profile: CameraProfile | Mapping[str, Any] | None = None,
    ) -> None:
        check_choice("branches", branches, ("separate", "shared", "plain"))
        check_choice("padding", padding, ("reflect", "ones4"))
        check_choice("base", base, (None, *get_args(Base)))
        camera, phase = resolve_camera(profile, cfa)
        config = {
            "backbone": backbone,
            "backbone_kwargs": dict(backbone_kwargs or {}),
            "branches": branches,
            "mask_channel": mask_channel,
            "gain_channel": gain_channel,
            "place": place,
            "base": base,
            "mask": dict(mask or {}),
            "fusion": dict(fusion or {}),
            "refine": None if refine is None else dict(refine),
            "padding": padding,
            "cfa": phase.value,
            "profile": None if camera is None else camera.to_dict(),
        }
        super().__init__(config, phase)
        self.profile = camera
        self.overexposure_mask = OverexposureMask(**self.config["mask"])
        self.fusion = Fusion(**self.config["fusion"])
        self.mosaic = Mosaic(self.cfa)
        self.refine = None if refine is None else BayerRefiner(build_refiner(refine), self.cfa)

    def forward(self, srgb: Tensor, *, gain: Tensor | None = None, place: Tensor | None = None) -> Reconstruction:
        """Reconstruct the RAW of photos.

        Args:
            srgb: display-referred sRGB ``[B, 3, H, W]`` in [0, 1], H and W at least 16.
            gain: what the photos' gain maps say, as for `run_branches`; None: they have none.
            place: as for `run_branches`; None: ``srgb`` are whole photos.

        Raises:
            ShapeError: wrong shape or dtype, or smaller than 16 pixels.
            ConfigError: the networks do not see gain maps.
        """
        out = self.reconstruct(srgb, gain=gain, place=place)
        return out._replace(bayer=self.refined(out.mosaiced))

    def reconstruct(
        self, srgb: Tensor, *, gain: Tensor | None = None, place: Tensor | None = None
    ) -> Reconstruction:
        """Reconstruct the RAW as `forward` does, but without the refinement."""
        check_photos(srgb)
        return self.compose(srgb, self.overexposure_mask(srgb), gain=gain, place=place)[0]

    def compose(
        self,
        srgb: Tensor,
        mask: Tensor,
        *,
        auxiliary: Iterable[str] = (),
        estimate: PhotoEstimate | None = None,
        gain: Tensor | None = None,
        place: Tensor | None = None,
    ) -> tuple[Reconstruction, Auxiliary]:
        """Run the branches on photos and compose the RAW, in one piece and without the refinement.

        The steps can also be called one by one, as `revisp.predict` does for the tiles of a large photo:
        `run_branch` for each of ``branches``, `shares`, `mix`, `finish`, and `raised` if there is a gain map.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            auxiliary: names of additional predictions to return (`BackboneSpec.auxiliary`).
            estimate: as for `run_branches`.
            gain: as for `run_branches`.
            place: as for `run_branches`.

        Returns:
            The reconstruction, and the auxiliary predictions.

        Raises:
            ConfigError: the networks do not make such a prediction, or do not see gain maps.

        Example:
            >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}).eval()
            >>> photo = torch.rand(1, 3, 24, 32)
            >>> mask = model.overexposure_mask(photo)
            >>> parts = model.run_branch("oe", photo, mask) | model.run_branch("noe", photo, mask)
            >>> raw = model.mix(parts, model.shares(mask))
            >>> torch.equal(model.finish(raw, mask, parts).bayer, model.compose(photo, mask)[0].bayer)
            True
        """
        parts, more = self.run_branches(srgb, mask, auxiliary=auxiliary, estimate=estimate, gain=gain, place=place)
        out = self.finish(self.mix(parts, self.shares(mask)), mask, parts)
        return (out if gain is None or self.training else self.raised(out, gain)), more

    # Composition ------------------------------------------------------------------------------------------------

    @property
    def fused(self) -> tuple[str, ...]:
        """Names of the parts that the fusion joins: ``("oe", "noe")``, or ``()`` for a plain model."""
        return () if self.plain else ("oe", "noe")

    @property
    def description(self) -> str:
        """A short description: the network, whether two branches are fused, and the number of parameters."""
        kind = "one network" if self.plain else "overexposure mask fusion"
        return f"{self.config['backbone']}, {kind}, {sum(p.numel() for p in self.parameters()):,} parameters"

    def replace_networks(self, change: Callable[[nn.Module], nn.Module]) -> None:
        """Replace each network, including that of the refinement.

        Args:
            change: maps a network to its replacement, a module of the same inputs and outputs.
        """
        for name, network in self.branches.items():
            self.branches[name] = change(network)
        if self.refine is not None:
            self.refine.network = change(self.refine.network)

    # Reach ------------------------------------------------------------------------------------------------------

    @property
    def refinement_reach(self) -> Reach | None:
        """Reach of the refinement, from mosaic to mosaic; None without refinement."""
        return None if self.refine is None else Reach.of_refinement(self.refine)

    @property
    def reach(self) -> Reach:
        """Reach of the whole pipeline, from the photo to ``bayer``, without a gain map."""
        fusion = 0 if self.plain else self.fusion.reach
        first = self.networks_reach.beside(fusion).after(self.overexposure_mask.reach)
        return first if self.refinement_reach is None else first.then(self.refinement_reach)

    @property
    def reach_by_gain(self) -> Reach:
        """Reach of the whole pipeline with a gain map: it includes `least_level`."""
        return self.reach.after(LEAST_LEVEL_REACH + (_BILINEAR_REACH if self.packed else 0))

    # Steps ------------------------------------------------------------------------------------------------------

    def shares(self, mask: Tensor) -> Parts:
        """Return the share of each pixel that comes from each part.

        Args:
            mask: ``[B, 1, H, W]`` in [0, 1].

        Returns:
            Shares ``[B, 1, H, W]`` in [0, 1] by part: ``oe`` and ``noe``, which sum to 1, or ``plain``. A share
            depends on the mask up to ``fusion.reach`` pixels away.
        """
        if self.plain:
            return {"plain": torch.ones_like(mask)}
        oe = self.fusion.weight(mask)
        return {"oe": oe, "noe": 1 - oe}

    def mix(self, parts: Parts, shares: Parts) -> Tensor:
        """Fuse the parts.

        Args:
            parts: the predictions by part, from `run_branches` or `run_branch`. A part may be missing if its share
                of every pixel is 0.
            shares: the parts' shares of each pixel, from `shares`.

        Returns:
            The RAW ``[B, C, H, W]`` with C = `raw_channels`.
        """
        if len(parts) == 1:
            return next(iter(parts.values()))
        return self.fusion.mix(parts["oe"], parts["noe"], shares["oe"])

    def to_bayer(self, raw: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """Return the mosaic ``[B, 1, H, W]`` of the result of `mix`.

        Args:
            raw: RAW ``[B, C, H, W]`` with C = `raw_channels`: of a photo, or of a part of it.
            top: row of the photo at which the part begins.
            left: column of the photo at which the part begins.
        """
        return raw if self.packed else self.mosaic(raw, top, left)

    def finish(
        self,
        raw: Tensor,
        mask: Tensor,
        parts: Mapping[str, Tensor],
        *,
        interpolate: Callable[[Tensor, CFA], Tensor] = demosaic,
    ) -> Reconstruction:
        """Return both forms of the RAW, mosaic and demosaiced, as a `Reconstruction`.

        Args:
            raw: ``[B, C, H, W]``, from `mix`.
            mask: ``[B, 1, H, W]`` in [0, 1].
            parts: the predictions for the fields ``oe`` and ``noe``; may be empty.
            interpolate: demosaics the mosaic of a network of Bayer planes; bilinear by default.
        """
        bayer = self.to_bayer(raw)
        raw_rgb = interpolate(raw, self.cfa) if self.packed else raw
        return Reconstruction(raw_rgb, bayer, mask, parts.get("oe"), parts.get("noe"), bayer)

    def least_level(self, raw_rgb: Tensor, mask: Tensor, gain: Tensor) -> LeastLevel:
        """Return what raises overexposed pixels to their unclipped neighbours, where a gain map is known.

        Args:
            raw_rgb: demosaiced RAW in [0, 1], ``[B, 3, H, W]``.
            mask: ``[B, 1, H, W]`` in [0, 1].
            gain: as for `run_branches`.
        """
        neutral = (1.0, 1.0, 1.0) if self.profile is None else self.profile.as_shot_neutral
        return least_level(raw_rgb, mask, neutral, ~gain.isnan())

    def raised(self, out: Reconstruction, gain: Tensor) -> Reconstruction:
        """Raise overexposed pixels of a reconstruction from `finish` to their `least_level`.

        Values must lie in [0, 1], as they do in evaluation mode.
        """
        least = self.least_level(out.raw_rgb, out.mask, gain)
        bayer = least.raised(out.mosaiced)
        return out._replace(raw_rgb=least.raised(out.raw_rgb), bayer=bayer, mosaiced=bayer)

    def refined(self, bayer: Tensor) -> Tensor:
        """Refine a mosaic ``[B, 1, H, W]``, clamped in evaluation mode; a model without refinement returns it."""
        if self.refine is None:
            return bayer
        refined: Tensor = self.refine(bayer)
        return refined if self.training else refined.clamp(0, 1)
