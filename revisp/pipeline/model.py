"""The whole method as one module: mask, networks, fusion, mosaic and optional refinement.

Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM 2022)::

    srgb ─┬─▶ mask M ────────────────┐
          ├─▶ NOE branch ([srgb, M]) ─┤
          └─▶ OE branch  ([srgb, M]) ─┴─▶ fusion ─▶ raw_rgb ─▶ mosaic ─▶ bayer (─▶ refine)

A plain model is one network alone, as other methods have it, for comparison. A model on a base is our addition to
the paper: the networks learn only the difference to a fitted classical inverse. The same object is trained, saved,
run in tiles over a large photo and called in a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from revisp.backbones import resolve_spec
from revisp.backbones.base import run_part
from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.camera.fitted import FittedCamera
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.demosaic import demosaic
from revisp.errors import ConfigError
from revisp.fusion import Fusion
from revisp.mask import OverexposureMask
from revisp.mosaic import Mosaic
from revisp.pipeline.build import (
    PARTS,
    build_base,
    build_branches,
    build_refiner,
    check_choice,
    predicts_planes,
    resolve_camera,
)
from revisp.pipeline.frame import PaddedFrame, Padding
from revisp.pipeline.precision import full_precision
from revisp.pipeline.reach import Reach
from revisp.pipeline.reconstruction import Auxiliary, Parts, Reconstruction, check_photos
from revisp.refine import BayerRefiner

__all__ = ["ReverseISP"]


class ReverseISP(nn.Module):
    """Map a photo to the RAW mosaic of a camera by overexposure mask fusion.

    Args:
        backbone: a name of `revisp.list_backbones`.
        backbone_kwargs: arguments of that network (width, depth, ...), the same for both branches.
        branches: ``"separate"``: two networks, as in the paper; ``"shared"``: one network with two 3-channel
            heads; ``"plain"``: one network and no fusion. A plain network whose published form predicts Bayer
            planes predicts them here too, unless ``backbone_kwargs`` contain ``head="raw_rgb"``.
        mask_channel: append the mask to the networks' input as a fourth channel, as the released code does.
        mask: arguments of `OverexposureMask`.
        fusion: arguments of `Fusion`.
        base: None: the networks predict the RAW, as in the paper. ``"classical"``: they predict a correction,
            which is added to the RAW of `Classical` with gains that start at zero (ReZero, Bachlechner et al.,
            arXiv 2003.04887). ``"estimated"``: the base is `Estimated`, which estimates the rendering from the
            whole photo. The network for ordinary pixels corrects the photo before it is inverted. The network for
            overexposed pixels predicts, in EV, by how much they exceed the inverse. Their gains start at zero,
            too. The base is always computed in full precision.
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
        base: Literal["classical", "estimated"] | None = None,
        mask: Mapping[str, Any] | None = None,
        fusion: Mapping[str, Any] | None = None,
        refine: Mapping[str, Any] | None = None,
        padding: Padding = "reflect",
        cfa: CFA | str | None = None,
        profile: CameraProfile | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_choice("branches", branches, ("separate", "shared", "plain"))
        check_choice("padding", padding, ("reflect", "ones4"))
        check_choice("base", base, (None, "classical", "estimated"))
        self.profile, self.cfa = resolve_camera(profile, cfa)
        self.config: dict[str, Any] = {
            "backbone": backbone,
            "backbone_kwargs": dict(backbone_kwargs or {}),
            "branches": branches,
            "mask_channel": mask_channel,
            "base": base,
            "mask": dict(mask or {}),
            "fusion": dict(fusion or {}),
            "refine": None if refine is None else dict(refine),
            "padding": padding,
            "cfa": self.cfa.value,
            "profile": None if self.profile is None else self.profile.to_dict(),
        }
        self._build_networks()
        self.overexposure_mask = OverexposureMask(**self.config["mask"])
        self.fusion = Fusion(**self.config["fusion"])
        self.mosaic = Mosaic(self.cfa)
        self.refine = None if refine is None else BayerRefiner(build_refiner(refine), self.cfa)

    def _build_networks(self) -> None:
        """Build the branches, and the base to which they add."""
        name, kwargs, branches = (self.config[key] for key in ("backbone", "backbone_kwargs", "branches"))
        channels = 3 + self.config["mask_channel"]
        self.heads = PARTS[branches]
        self.packed = branches == "plain" and predicts_planes(name, kwargs)
        on_base = self.config["base"] is not None
        if on_base and self.packed:
            raise ConfigError(
                f"base {self.config['base']}: {name} predicts Bayer planes: take no base, or head=raw_rgb"
            )
        self.branches = build_branches(name, kwargs, self.heads, channels, planes=self.packed)
        self.spec = resolve_spec(next(iter(self.branches.values())), name)
        self.frame = PaddedFrame(self.spec, self.config["padding"])
        gains = {key: torch.zeros(1, 3 * len(parts), 1, 1) for key, parts in self.heads.items() if on_base}
        self.gains = nn.ParameterDict({key: nn.Parameter(gain) for key, gain in gains.items()})
        self.base = build_base(self.config["base"], channels)

    def forward(self, srgb: Tensor) -> Reconstruction:
        """Reconstruct the RAW of photos.

        Args:
            srgb: display-referred sRGB ``[B, 3, H, W]`` in [0, 1], H and W at least 16.

        Raises:
            ShapeError: wrong shape or dtype, or smaller than 16 pixels.
        """
        out = self.reconstruct(srgb)
        return out._replace(bayer=self.refined(out.mosaiced))

    def reconstruct(self, srgb: Tensor) -> Reconstruction:
        """Reconstruct the RAW as `forward` does, but without the refinement."""
        check_photos(srgb)
        return self.compose(srgb, self.overexposure_mask(srgb))[0]

    def compose(
        self,
        srgb: Tensor,
        mask: Tensor,
        *,
        auxiliary: Iterable[str] = (),
        estimate: PhotoEstimate | None = None,
    ) -> tuple[Reconstruction, Auxiliary]:
        """Run the branches on photos and compose the RAW, in one piece and without the refinement.

        The steps can also be called one by one, as `revisp.predict` does for the tiles of a large photo:
        `run_branch` for each of ``branches``, `shares`, `mix`, `finish`.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            auxiliary: names of additional predictions to return (`BackboneSpec.auxiliary`).
            estimate: as for `run_branches`.

        Returns:
            The reconstruction, and the auxiliary predictions.

        Raises:
            ConfigError: the networks do not make such a prediction.

        Example:
            >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}).eval()
            >>> photo = torch.rand(1, 3, 24, 32)
            >>> mask = model.overexposure_mask(photo)
            >>> parts = model.run_branch("oe", photo, mask) | model.run_branch("noe", photo, mask)
            >>> raw = model.mix(parts, model.shares(mask))
            >>> torch.equal(model.finish(raw, mask, parts).bayer, model.compose(photo, mask)[0].bayer)
            True
        """
        parts, more = self.run_branches(srgb, mask, auxiliary=auxiliary, estimate=estimate)
        return self.finish(self.mix(parts, self.shares(mask)), mask, parts), more

    # Composition ------------------------------------------------------------------------------------------------

    @property
    def plain(self) -> bool:
        """Whether this is one network without fusion."""
        return "plain" in self.branches

    @property
    def fused(self) -> tuple[str, ...]:
        """Names of the parts that the fusion joins: ``("oe", "noe")``, or ``()`` for a plain model."""
        return () if self.plain else ("oe", "noe")

    @property
    def raw_channels(self) -> int:
        """Channels of the result of `mix`: 3 (demosaiced RAW), or 1 (the mosaic of a network of Bayer planes)."""
        return 1 if self.packed else 3

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
    def networks_reach(self) -> Reach:
        """Reach of the networks, from the photo and its mask to their predictions."""
        return Reach.of_networks(self.spec)

    @property
    def refinement_reach(self) -> Reach | None:
        """Reach of the refinement, from mosaic to mosaic; None without refinement."""
        return None if self.refine is None else Reach.of_refinement(self.refine)

    @property
    def reach(self) -> Reach:
        """Reach of the whole pipeline, from the photo to ``bayer``."""
        fusion = 0 if self.plain else self.fusion.reach
        first = self.networks_reach.beside(fusion).after(self.overexposure_mask.reach)
        return first if self.refinement_reach is None else first.then(self.refinement_reach)

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

    def run_branches(
        self,
        srgb: Tensor,
        mask: Tensor,
        *,
        auxiliary: Iterable[str] = (),
        estimate: PhotoEstimate | None = None,
    ) -> tuple[Parts, Auxiliary]:
        """Run all networks.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            auxiliary: names of additional predictions to return.
            estimate: of the photos that ``srgb`` are tiles of, for an estimated base; None: `estimate` judges
                ``srgb``.

        Returns:
            The predictions ``[B, C, H, W]`` by part, with C = `raw_channels`, clamped in evaluation mode; and the
            auxiliary predictions of the same height and width, or half of them for a network of Bayer planes.

        Raises:
            ConfigError: the networks do not make such a prediction.
        """
        wanted = self.check_auxiliary(auxiliary)
        x, base_raw = self._input(srgb, mask), self.base_raw(srgb, mask)
        estimate = estimate or self.estimate(srgb)
        size = (srgb.shape[-2], srgb.shape[-1])
        parts: Parts = {}
        more: Auxiliary = {}
        for name, network in self.branches.items():
            y, extra = network.forward_auxiliary(x) if wanted else (network(x), {})  # type: ignore[operator]
            parts |= self._parts(name, self._cut_out(y, size), base_raw, estimate)
            more |= self._auxiliary(name, {key: extra[key] for key in wanted}, size)
        return self._clamped(parts), more

    def run_branch(
        self,
        name: str,
        srgb: Tensor,
        mask: Tensor,
        base_raw: Tensor | None = None,
        part: tuple[slice, slice] | None = None,
        estimate: PhotoEstimate | None = None,
    ) -> Parts:
        """Run one of ``branches`` alone, with the same result as in `run_branches`.

        Args:
            name: its name in ``branches``.
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            base_raw: the result of `base_raw` for ``srgb`` and ``mask``, if it is already known.
            part: rows and columns to return, first and one past the last; None: all. A network with a method
                ``forward_part`` computes only the pixels that these depend on.
            estimate: as for `run_branches`.

        Returns:
            The parts ``heads[name]`` at these rows and columns.
        """
        size = (srgb.shape[-2], srgb.shape[-1])
        rows, columns = part or (slice(0, size[0]), slice(0, size[1]))
        x, network = self._input(srgb, mask), self.branches[name]
        if self.packed:
            y = self._cut_out(network(x), size)[..., rows, columns]
        else:
            y = run_part(network, x, self.frame.shift(rows), self.frame.shift(columns))
        base_raw = self.base_raw(srgb, mask) if base_raw is None else base_raw
        if base_raw is not None:
            base_raw = base_raw[..., rows, columns]
        return self._clamped(self._parts(name, y, base_raw, estimate or self.estimate(srgb)))

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

    def to_bayer(self, raw: Tensor) -> Tensor:
        """Return the mosaic ``[B, 1, H, W]`` of the result of `mix`."""
        return raw if self.packed else self.mosaic(raw)

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

    def refined(self, bayer: Tensor) -> Tensor:
        """Refine a mosaic ``[B, 1, H, W]``, clamped in evaluation mode; a model without refinement returns it."""
        if self.refine is None:
            return bayer
        refined: Tensor = self.refine(bayer)
        return refined if self.training else refined.clamp(0, 1)

    def base_raw(self, srgb: Tensor, mask: Tensor) -> Tensor | None:
        """Return the picture that the networks correct; None without a base.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].

        Returns:
            ``[B, 3, H, W]``: the base's RAW, unclamped; on an estimated base the photo, which they correct.
        """
        if self.base is None or isinstance(self.base, Estimated):
            return None if self.base is None else srgb
        x = torch.cat([srgb, mask], dim=1) if self.config["mask_channel"] else srgb
        with full_precision(x):
            base_raw: Tensor = self.base(x)
        return base_raw

    def estimate(
        self,
        srgb: Tensor,
        *,
        headroom: float | None = None,
        curve: Sequence[float] | FittedCamera | None = None,
    ) -> PhotoEstimate | None:
        """Return how an estimated base judges photos to be rendered; None without such a base.

        Args:
            srgb: whole photos ``[B, 3, H, W]`` in [0, 1], or their thumbnails.
            headroom: told in place of what is estimated, as for `PhotoEstimate.told`.
            curve: told, too.

        Raises:
            ConfigError: something is told that cannot be, or to a model without an estimated base.
        """
        if not isinstance(self.base, Estimated):
            if headroom is not None or curve is not None:
                raise ConfigError(
                    "headroom and curve can be told to a model on an estimated base only; "
                    f"this one has base {self.config['base'] or 'null'}"
                )
            return None
        with full_precision(srgb):
            return self.base.estimate(srgb).told(headroom=headroom, curve=curve)

    def check_auxiliary(self, names: Iterable[str]) -> set[str]:
        """Return the names of auxiliary predictions as a set.

        Raises:
            ConfigError: the networks do not make such a prediction, or the model has a base. The networks then
                predict no RAW of their own to which it could belong.
        """
        wanted = set(names)
        if wanted and self.base is not None:
            raise ConfigError(
                f"the loss needs the prediction {min(wanted)!r}, but networks on a base predict a correction of "
                "the base: set pipeline.base=null"
            )
        if unknown := wanted - set(self.spec.auxiliary):
            raise ConfigError(
                f"{self.config['backbone']} predicts no {min(unknown)!r}, "
                f"which the loss asks for; it predicts {', '.join(self.spec.auxiliary) or 'the RAW alone'}"
            )
        return wanted

    def _input(self, srgb: Tensor, mask: Tensor) -> Tensor:
        """Return the networks' input: photo and mask with their frame."""
        return self.frame.put_around(torch.cat([srgb, mask], dim=1) if self.config["mask_channel"] else srgb)

    def _cut_out(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """Cut the frame off a network's output. Packed planes become a mosaic."""
        return self.frame.cut_out(unpack(y, self.cfa) if self.packed else y, *size)

    def _parts(self, name: str, y: Tensor, base_raw: Tensor | None, estimate: PhotoEstimate | None) -> Parts:
        """Add a network's output ``[B, C, H, W]`` to the base, if there is one, and divide it into parts."""
        heads = self.heads[name]
        if base_raw is not None and estimate is None:
            base_raw = base_raw if len(heads) == 1 else base_raw.repeat(1, len(heads), 1, 1)
            y = torch.addcmul(base_raw, self.gains[name], y)
        parts = dict(zip(heads, y.split(3, dim=1) if len(heads) > 1 else (y,), strict=True))
        if base_raw is None or estimate is None:
            return parts
        assert isinstance(self.base, Estimated)
        gains = dict(zip(heads, self.gains[name].split(3, dim=1), strict=True))
        with full_precision(y):
            return {
                part: self.base.compose(part, base_raw, gains[part] * value, estimate)
                for part, value in parts.items()
            }

    def _clamped(self, parts: Parts) -> Parts:
        return parts if self.training else {part: value.clamp(0, 1) for part, value in parts.items()}

    def _auxiliary(self, name: str, found: Mapping[str, Tensor], size: tuple[int, int]) -> Auxiliary:
        """Cut the frame off a network's auxiliary predictions, and divide them into parts.

        A network of several heads predicts ``[B, n * 3 * heads, H, W]``: n times the channels of all its heads.
        """
        cut = self.frame.cut_out_planes if self.packed else self.frame.cut_out
        values = {key: cut(value, *size) for key, value in found.items()}
        heads = self.heads[name]
        if len(heads) == 1:
            return {heads[0]: values}
        divided = {key: value.unflatten(1, (-1, len(heads), 3)) for key, value in values.items()}
        return {
            head: {key: value[:, :, at].flatten(1, 2) for key, value in divided.items()}
            for at, head in enumerate(heads)
        }
