"""The whole method as one module: mask, networks, fusion, mosaic, optional refinement.

Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM 2022)::

    srgb ─┬─▶ mask M ────────────────┐
          ├─▶ NOE branch ([srgb, M]) ─┤
          └─▶ OE branch  ([srgb, M]) ─┴─▶ fusion ─▶ raw_rgb ─▶ mosaic ─▶ bayer (─▶ refine)

Or, to compare with, one network alone, as other methods have it: plain. And beyond the paper: on a base, where the
networks learn only what a fitted classical inverse leaves. The same object is trained, saved, tiled over a large
photo and called in a notebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones import BACKBONES, create_backbone, family, resolve_spec
from revisp.backbones.base import run_part
from revisp.backbones.classical import Classical
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.checks import check_image
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.fusion import Fusion
from revisp.mask import OverexposureMask
from revisp.mosaic import Mosaic
from revisp.padding import next_multiple, reflect_pad
from revisp.refine import BayerRefiner

__all__ = ["MINIMUM_SIZE", "Auxiliary", "Reconstruction", "ReverseISP", "check_photos"]

MINIMUM_SIZE = 16
"""Least height and width of a photo, in pixels."""


class Reconstruction(NamedTuple):
    """What `ReverseISP` makes of a photo.

    Attributes:
        raw_rgb: demosaiced RAW ``[B, 3, H, W]``: camera RGB, linear, black 0, white 1, not white-balanced; of a
            plain network that predicts Bayer planes, their bilinear interpolation.
        bayer: the RAW mosaic ``[B, 1, H, W]``, after refinement where the model refines.
        mask: overexposure mask ``[B, 1, H, W]`` in [0, 1], 1 = overexposed.
        oe: demosaiced RAW ``[B, 3, H, W]`` of the branch for overexposed pixels; None of a plain model, and of
            `revisp.predict` unless asked for.
        noe: demosaiced RAW ``[B, 3, H, W]`` of the branch for all other pixels; None likewise.
        mosaiced: the mosaic before refinement; the same tensor as ``bayer`` without it.
    """

    raw_rgb: Tensor
    bayer: Tensor
    mask: Tensor
    oe: Tensor | None
    noe: Tensor | None
    mosaiced: Tensor


Auxiliary = dict[str, dict[str, Tensor]]
"""What is predicted beside the RAW (`BackboneSpec.auxiliary`), by branch (``oe``, ``noe``, ``plain``) and name."""


class ReverseISP(nn.Module):
    """Map a photo to the RAW mosaic of a camera by overexposure mask fusion.

    Args:
        backbone: a name of `revisp.list_backbones`.
        backbone_kwargs: arguments of that network (width, depth, ...), the same for both branches.
        branches: ``"separate"``: two networks, as the paper; ``"shared"``: one network with two 3-channel heads;
            ``"plain"``: one network and no fusion. A plain network that was published as predicting Bayer planes
            does so, unless ``backbone_kwargs`` ask for ``head="raw_rgb"``.
        mask_channel: append the mask to the networks' input as a fourth channel, as the released code does.
        mask: arguments of `OverexposureMask`.
        fusion: arguments of `Fusion`.
        base: None: the networks predict the RAW, as the paper's do. ``"classical"``: they predict what is to be
            added to that of `Classical`, by gains that start at zero (ReZero, Bachlechner et al., arXiv
            2003.04887). The base is computed in full precision, whatever the networks are computed in.
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
        branches: Literal["separate", "shared", "plain"] = "separate",
        mask_channel: bool = True,
        base: Literal["classical"] | None = None,
        mask: Mapping[str, Any] | None = None,
        fusion: Mapping[str, Any] | None = None,
        refine: Mapping[str, Any] | None = None,
        padding: Literal["reflect", "ones4"] = "reflect",
        cfa: CFA | str | None = None,
        profile: CameraProfile | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if branches not in ("separate", "shared", "plain"):
            raise ConfigError(f"branches must be 'separate', 'shared' or 'plain', got {branches!r}")
        if padding not in ("reflect", "ones4"):
            raise ConfigError(f"padding must be 'reflect' or 'ones4', got {padding!r}")
        if base not in (None, "classical"):
            raise ConfigError(f"base must be null or 'classical', got {base!r}")
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
            "base": base,
            "mask": dict(mask or {}),
            "fusion": dict(fusion or {}),
            "refine": None if refine is None else dict(refine),
            "padding": padding,
            "cfa": self.cfa.value,
            "profile": None if profile is None else profile.to_dict(),
        }
        self.packed = branches == "plain" and _head(backbone, self.config["backbone_kwargs"]) == "packed"
        if base is not None and self.packed:
            raise ConfigError(f"base {base}: {backbone} predicts Bayer planes: take no base, or head=raw_rgb")
        self.branches = _build_branches(backbone, self.config["backbone_kwargs"], branches, 3 + mask_channel)
        self.spec = resolve_spec(next(iter(self.branches.values())), backbone)
        self.base: Classical | None = None
        self.gains = nn.ParameterDict()
        if base is not None:
            self.base = Classical(3 + mask_channel)
            channels = 6 if branches == "shared" else 3
            self.gains.update({name: nn.Parameter(torch.zeros(1, channels, 1, 1)) for name in self.branches})
        self.overexposure_mask = OverexposureMask(**self.config["mask"])
        self.fusion = Fusion(**self.config["fusion"])
        self.mosaic = Mosaic(self.cfa)
        self.refine: BayerRefiner | None = None
        if refine is not None:
            self.refine = BayerRefiner(_build_refiner(refine), self.cfa)

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
        check_photos(srgb)
        mask = self.overexposure_mask(srgb)
        return self.compose(self.run_networks(srgb, mask)[0], mask)

    @property
    def plain(self) -> bool:
        """Whether this is one network without fusion."""
        return "plain" in self.branches

    @property
    def network_channels(self) -> int:
        """Channels C of what `run_networks` returns: 6 (OE, NOE), 3, or 1 from a network of Bayer planes."""
        return 1 if self.packed else 3 if self.plain else 6

    def check_auxiliary(self, names: Iterable[str]) -> set[str]:
        """Return names of what the networks predict beside the RAW.

        Raises:
            ConfigError: they predict no such thing, or stand on a base, so that it says nothing of the RAW.
        """
        wanted = set(names)
        if wanted and self.base is not None:
            raise ConfigError(
                f"the loss asks for {min(wanted)!r} beside the RAW, and the networks predict no RAW of their own: "
                "set pipeline.base=null"
            )
        if unknown := wanted - set(self.spec.auxiliary):
            raise ConfigError(
                f"{self.config['backbone']} predicts no {min(unknown)!r}, "
                f"which the loss asks for; it predicts {', '.join(self.spec.auxiliary) or 'the RAW alone'}"
            )
        return wanted

    def run_networks(
        self, srgb: Tensor, mask: Tensor, *, auxiliary: Iterable[str] = ()
    ) -> tuple[Tensor, Auxiliary]:
        """Run the networks, the only part of the pipeline that looks beyond a pixel.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            auxiliary: what more to return of the networks' predictions.

        Returns:
            The predictions ``[B, C, H, W]``, see `network_channels`, clamped in evaluation mode; and what was
            asked for beside them, of the size of the prediction (of its packed planes if it has those).

        Raises:
            ConfigError: the networks predict no such thing.
        """
        wanted = self.check_auxiliary(auxiliary)
        x, margin = self._input(srgb, mask)
        height, width = srgb.shape[-2:]
        outputs, more, base_raw = [], {}, self.base_raw(srgb, mask)
        for name, network in self.branches.items():
            y, extra = network.forward_auxiliary(x) if wanted else (network(x), {})  # type: ignore[operator]
            outputs.append(self._on_base(name, self._crop(y, margin, height, width), base_raw))
            more[name] = {key: self._crop(extra[key], margin, height, width, auxiliary=True) for key in wanted}
        if "shared" in more:
            more = {name: _of_head(more["shared"], head) for head, name in enumerate(("oe", "noe"))}
        y = torch.cat(outputs, dim=1)
        return (y if self.training else y.clamp(0, 1)), more

    def run_branch(
        self,
        name: str,
        srgb: Tensor,
        mask: Tensor,
        base_raw: Tensor | None = None,
        part: tuple[slice, slice] | None = None,
    ) -> Tensor:
        """Run one of ``branches`` alone, as `run_networks` runs it.

        Args:
            name: its name in ``branches``.
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            base_raw: what `base_raw` returns of both, if it is known already.
            part: rows and columns that are wanted, first and one past the last; None: all. Networks that can
                (`run_part`) compute no more than these depend on.

        Returns:
            Its channels of what `run_networks` returns, at these rows and columns.
        """
        height, width = srgb.shape[-2:]
        rows, columns = part or (slice(0, height), slice(0, width))
        x, margin = self._input(srgb, mask)
        network = self.branches[name]
        if self.packed:
            y = self._crop(network(x), margin, height, width)[..., rows, columns]
        else:
            shifted = (slice(margin + each.start, margin + each.stop) for each in (rows, columns))
            y = run_part(network, x, *shifted)
        base_raw = self.base_raw(srgb, mask) if base_raw is None else base_raw
        y = self._on_base(name, y, None if base_raw is None else base_raw[..., rows, columns])
        return y if self.training else y.clamp(0, 1)

    def base_raw(self, srgb: Tensor, mask: Tensor) -> Tensor | None:
        """Return the RAW ``[B, 3, H, W]`` that the networks add to, unclamped; None without a base.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
        """
        if self.base is None:
            return None
        x = torch.cat([srgb, mask], dim=1) if self.config["mask_channel"] else srgb
        kind = x.device.type
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            base_raw: Tensor = self.base(x)
            return base_raw
        with torch.autocast(kind, enabled=False):
            return self.base(x)

    def _on_base(self, name: str, y: Tensor, base_raw: Tensor | None) -> Tensor:
        """Put what a branch predicts, ``[B, C, H, W]``, on the base, if there is one."""
        if base_raw is None:
            return y
        heads = y.shape[1] // 3
        return torch.addcmul(base_raw if heads == 1 else base_raw.repeat(1, heads, 1, 1), self.gains[name], y)

    def _input(self, srgb: Tensor, mask: Tensor) -> tuple[Tensor, int]:
        """Return what the networks see, and the rows and columns that it has before the photo's first."""
        return self._pad(torch.cat([srgb, mask], dim=1) if self.config["mask_channel"] else srgb)

    def compose(self, outputs: Tensor, mask: Tensor) -> Reconstruction:
        """Fuse and mosaic what the networks predict.

        Args:
            outputs: ``[B, C, H, W]``, from `run_networks`.
            mask: ``[B, 1, H, W]`` in [0, 1].
        """
        oe = noe = None
        if self.packed:
            raw_rgb, bayer = demosaic(outputs, self.cfa, "bilinear"), outputs
        elif self.plain:
            raw_rgb, bayer = outputs, self.mosaic(outputs)
        else:
            oe, noe = outputs.split(3, dim=1)
            raw_rgb = self.fusion(oe, noe, mask)
            bayer = self.mosaic(raw_rgb)
        return Reconstruction(raw_rgb, bayer, mask, oe, noe, bayer)

    def _crop(self, y: Tensor, margin: int, height: int, width: int, *, auxiliary: bool = False) -> Tensor:
        """Cut the padding off a network's output; lay packed planes out as a mosaic, but for auxiliary ones."""
        if self.packed and auxiliary:
            margin, height, width = margin // 2, height // 2, width // 2
        elif self.packed:
            y = unpack(y, self.cfa)
        return y[..., margin : margin + height, margin : margin + width]

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
        multiple, least = self.spec.multiple_of, self.spec.min_size
        allowed = next_multiple(size, multiple)
        if least <= next_multiple(MINIMUM_SIZE, multiple):
            return allowed
        at_least = torch.sym_max(allowed, next_multiple(least, multiple))  # also where an export leaves sizes open
        return cast("int", at_least)


def check_photos(srgb: Tensor) -> None:
    """Require photos ``[B, 3, H, W]`` that are large enough.

    Raises:
        ShapeError: wrong shape or dtype, or smaller than 16 pixels.
    """
    check_image(srgb, 3, "srgb")
    if srgb.ndim != 4 or min(srgb.shape[-2:]) < MINIMUM_SIZE:
        raise ShapeError(f"srgb must be [B, 3, H, W] with H, W >= {MINIMUM_SIZE}, got {list(srgb.shape)}")


def _head(name: str, kwargs: Mapping[str, Any]) -> str:
    """Return what a plain network predicts: what its arguments say, or else what it was published to predict."""
    spec = BACKBONES.spec(family(name)[0])
    return str(kwargs.get("head") or (spec.native if spec else "raw_rgb"))


def _build_branches(name: str, kwargs: dict[str, Any], branches: str, in_channels: int) -> nn.ModuleDict:
    if branches == "plain":
        packed = _head(name, kwargs) == "packed"
        shape = {"out_channels": 4, "head": "packed"} if packed else {"out_channels": 3}
        return nn.ModuleDict({"plain": create_backbone(name, in_channels=in_channels, **{**kwargs, **shape})})
    if kwargs.get("head") == "packed":
        raise ConfigError(f"{name}: the fusion needs networks of head 'raw_rgb'; a plain pipeline takes 'packed'")
    if branches == "shared":
        return nn.ModuleDict({"shared": create_backbone(name, in_channels=in_channels, out_channels=6, **kwargs)})
    return nn.ModuleDict(
        {key: create_backbone(name, in_channels=in_channels, out_channels=3, **kwargs) for key in ("oe", "noe")}
    )


def _build_refiner(kwargs: Mapping[str, Any]) -> nn.Module:
    """Return a U-Net that changes nothing before it is trained.

    Its loss sees the mean of the two greens, so that nothing would undo a difference that it began with.
    """
    network = create_backbone("unet", in_channels=4, out_channels=4, **kwargs)
    for parameter in network.get_submodule("head").parameters():
        nn.init.zeros_(parameter)
    return network


def _of_head(auxiliary: Mapping[str, Tensor], head: int) -> dict[str, Tensor]:
    """Take the planes of one 3-channel head from ``[B, n * 6, H, W]`` of a shared trunk: ``[B, n * 3, H, W]``."""
    return {name: value.unflatten(1, (-1, 2, 3))[:, :, head].flatten(1, 2) for name, value in auxiliary.items()}
