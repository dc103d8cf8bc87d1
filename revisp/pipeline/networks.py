"""The networks of a pipeline, one for each branch, and the base that they add to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from revisp.backbones import resolve_spec
from revisp.backbones.base import run_part
from revisp.backbones.classical import Classical
from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.backbones.fitted import Fitted
from revisp.camera.fitted import FittedCamera
from revisp.camera.place import PLACE_CHANNELS, Place, place_map
from revisp.cfa import CFA, unpack
from revisp.errors import ConfigError
from revisp.pipeline.build import NETWORK_PARTS, build_base, build_branches, predicts_planes
from revisp.pipeline.frame import PaddedFrame
from revisp.pipeline.gain_channel import gain_channel
from revisp.pipeline.precision import full_precision
from revisp.pipeline.reach import Reach
from revisp.pipeline.reconstruction import Auxiliary, Parts

__all__ = ["PipelineNetworks"]

STRIP_PIXELS = 3 * 2**15
"""Pixels of a tile that are composed at once: what the dozen steps make of them fits into a processor's cache."""


class PipelineNetworks(nn.Module):
    """The part of `ReverseISP` from photo and mask to the parts of the RAW: networks, and the base they add to.

    Args:
        config: the arguments of `ReverseISP` as JSON values: network, branches, mask channel, gain channel, place,
            base, padding.
        cfa: phase of the mosaic.

    Attributes:
        config: all arguments of `ReverseISP`, as JSON values.
        cfa: phase of the mosaic.
        branches: the networks by name: ``oe`` and ``noe``, ``shared``, or ``plain``.
        heads: the parts of the RAW that each network predicts, by its name: ``oe``, ``noe`` or ``plain``.
        packed: whether the network predicts Bayer planes.
        spec: size contract and reach of the networks.
        gains: factors of the networks' corrections of the base, by network; empty without a base.
        base: what the networks correct; None: they predict the RAW themselves.

    Raises:
        ConfigError: a choice that does not exist, or one that does not fit the network.
    """

    def __init__(self, config: Mapping[str, Any], cfa: CFA) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        self.cfa = cfa
        name, kwargs, branches = (self.config[key] for key in ("backbone", "backbone_kwargs", "branches"))
        channels = 3 + self.config["mask_channel"]
        inputs = channels + self.config["gain_channel"] + PLACE_CHANNELS * self.config["place"]
        self.heads = NETWORK_PARTS[branches]
        self.packed = branches == "plain" and predicts_planes(name, kwargs)
        on_base = self.config["base"] is not None
        if on_base and self.packed:
            raise ConfigError(
                f"base {self.config['base']}: {name} predicts Bayer planes: take no base, or head=raw_rgb"
            )
        self.branches = build_branches(name, kwargs, self.heads, inputs, planes=self.packed)
        self.spec = resolve_spec(next(iter(self.branches.values())), name)
        self.frame = PaddedFrame(self.spec, self.config["padding"])
        gains = {key: torch.zeros(1, 3 * len(parts), 1, 1) for key, parts in self.heads.items() if on_base}
        self.gains = nn.ParameterDict({key: nn.Parameter(gain) for key, gain in gains.items()})
        self.base = build_base(self.config["base"], channels)

    @property
    def plain(self) -> bool:
        """Whether this is one network without fusion."""
        return "plain" in self.branches

    @property
    def needs_place(self) -> bool:
        """Whether the result depends on the place in the photo: by the networks, or by the base's shading."""
        shaded = isinstance(self.base, Classical) and bool(self.base.shading.any())
        return bool(self.config["place"]) or shaded

    @property
    def raw_channels(self) -> int:
        """Channels of the RAW and of its parts: 3 (demosaiced), or 1 (the mosaic of a network of Bayer planes)."""
        return 1 if self.packed else 3

    @property
    def networks_reach(self) -> Reach:
        """Reach of the networks, from the photo and its mask to their predictions."""
        return Reach.of_networks(self.spec)

    def run_branches(
        self,
        srgb: Tensor,
        mask: Tensor,
        *,
        auxiliary: Iterable[str] = (),
        estimate: PhotoEstimate | None = None,
        gain: Tensor | None = None,
        place: Tensor | None = None,
        samples: Mapping[str, Sequence[int]] | None = None,
    ) -> tuple[Parts, Auxiliary]:
        """Run all networks.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            auxiliary: names of additional predictions to return.
            estimate: of the photos that ``srgb`` are tiles of, for an estimated base; None: `estimate` judges
                ``srgb``.
            gain: what the photos' gain maps say, as for `gain_channel`; None: they have none.
            place: coordinates of the pixels in their photos, ``[B, 3, H, W]`` (`revisp.camera.place.place_map`),
                for a model that `needs_place`; None: ``srgb`` are whole photos.
            samples: places in the batch of the samples that matter, by network. A network without BatchNorm is not
                run on the others: it predicts zeros there. Networks that are not named are run on all.

        Returns:
            The predictions ``[B, C, H, W]`` by part, with C = `raw_channels`, clamped in evaluation mode; and the
            auxiliary predictions of the same height and width, or half of them for a network of Bayer planes.

        Raises:
            ConfigError: the networks do not make such a prediction, or do not see gain maps.
        """
        wanted = self.check_auxiliary(auxiliary)
        place = self.place_of(srgb) if place is None else place
        x, base_raw = self._input(srgb, mask, gain, place), self.base_raw(srgb, mask, place)
        estimate = estimate or self.estimate(srgb)
        size = (srgb.shape[-2], srgb.shape[-1])
        parts: Parts = {}
        more: Auxiliary = {}
        for name, network in self.branches.items():
            y, extra = (
                network.forward_auxiliary(x) if wanted else (_run_on(network, x, (samples or {}).get(name)), {})  # type: ignore[operator]
            )
            parts |= self._parts(name, self._cut_out(y, size), base_raw, estimate, gain)
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
        gain: Tensor | None = None,
        place: Tensor | None = None,
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
            gain: as for `run_branches`.
            place: as for `run_branches`.

        Returns:
            The parts ``heads[name]`` at these rows and columns.

        Raises:
            ConfigError: the networks do not see gain maps.
        """
        size = (srgb.shape[-2], srgb.shape[-1])
        rows, columns = part or (slice(0, size[0]), slice(0, size[1]))
        place = self.place_of(srgb) if place is None else place
        x, network = self._input(srgb, mask, gain, place), self.branches[name]
        if self.packed:
            y = self._cut_out(network(x), size)[..., rows, columns]
        else:
            y = run_part(network, x, self.frame.shift(rows), self.frame.shift(columns))
        base_raw = self.base_raw(srgb, mask, place) if base_raw is None else base_raw
        if base_raw is not None:
            base_raw = base_raw[..., rows, columns]
        gain = None if gain is None else gain[..., rows, columns]
        return self._parts_by_strips(name, y, base_raw, estimate or self.estimate(srgb), gain)

    def place_of(self, srgb: Tensor, place: Place | None = None) -> Tensor | None:
        """Return the coordinates of pixels in their photos; None if nothing in the model takes them.

        Args:
            srgb: ``[B, 3, H, W]``.
            place: where ``srgb`` lie in their photos; None: they are whole.

        Returns:
            ``[B, 3, H, W]``, as `revisp.camera.place.place_map`.
        """
        if not self.config["place"] and not isinstance(self.base, Classical):
            return None
        there = place_map(srgb.shape[-2], srgb.shape[-1], place, device=srgb.device).to(srgb.dtype)
        return there.expand(srgb.shape[0], -1, -1, -1)  # len() would fix the batch of an exported graph

    def base_raw(self, srgb: Tensor, mask: Tensor, place: Tensor | None = None) -> Tensor | None:
        """Return the picture that the networks correct; None without a base.

        Args:
            srgb: ``[B, 3, H, W]`` in [0, 1].
            mask: ``[B, 1, H, W]`` in [0, 1].
            place: as for `run_branches`.

        Returns:
            ``[B, 3, H, W]``: the base's RAW, unclamped; on an estimated base the photo, which they correct; on a
            base `Fitted` all its input, of which they correct the photo.
        """
        if self.base is None or isinstance(self.base, Estimated):
            return None if self.base is None else srgb
        place = self.place_of(srgb) if place is None else place
        assert place is not None
        channels = [srgb, mask, place] if self.config["mask_channel"] else [srgb, place]
        x = torch.cat(channels, dim=1)
        if self.training:  # the base works channel by channel, for which channels last is slow
            x = x.contiguous()
        if isinstance(self.base, Fitted):
            return x
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

    def check_gain(self, gain: Tensor | None) -> None:
        """Require that the networks see gain maps, if one is given.

        Raises:
            ConfigError: they do not.
        """
        if gain is not None and not self.config["gain_channel"]:
            raise ConfigError("the networks of this model do not see gain maps: pipeline.gain_channel=false")

    def _input(self, srgb: Tensor, mask: Tensor, gain: Tensor | None, place: Tensor | None) -> Tensor:
        """Return the networks' input with its frame: the photo, and what they see of mask, gain map and place."""
        self.check_gain(gain)
        channels = [srgb]
        if self.config["mask_channel"]:
            channels.append(mask)
        if self.config["gain_channel"]:
            channels.append(gain_channel(gain, srgb))
        if self.config["place"]:
            assert place is not None
            channels.append(place)
        x = torch.cat(channels, dim=1) if len(channels) > 1 else srgb
        if self.training and srgb.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)  # other layouts among the channels win otherwise
        return self.frame.put_around(x)

    def _cut_out(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """Cut the frame off a network's output. Packed planes become a mosaic."""
        return self.frame.cut_out(unpack(y, self.cfa) if self.packed else y, *size)

    def _parts(
        self,
        name: str,
        y: Tensor,
        base_raw: Tensor | None,
        estimate: PhotoEstimate | None,
        gain: Tensor | None,
    ) -> Parts:
        """Add a network's output ``[B, C, H, W]`` to the base, if there is one, and divide it into parts."""
        heads = self.heads[name]
        if isinstance(self.base, Classical) and not isinstance(self.base, Fitted):
            assert base_raw is not None
            base_raw = base_raw if len(heads) == 1 else base_raw.repeat(1, len(heads), 1, 1)
            y = torch.addcmul(base_raw, self.gains[name], y)
        parts = dict(zip(heads, y.split(3, dim=1) if len(heads) > 1 else (y,), strict=True))
        if not isinstance(self.base, Estimated | Fitted):
            return parts
        gains = dict(zip(heads, self.gains[name].split(3, dim=1), strict=True))
        with full_precision(y):
            return {
                part: self._corrected(part, base_raw, gains[part] * value, estimate, gain)
                for part, value in parts.items()
            }

    def _corrected(
        self, part: str, seen: Tensor | None, change: Tensor, estimate: PhotoEstimate | None, gain: Tensor | None
    ) -> Tensor:
        """Apply a correction to a base that takes the photo together with it."""
        assert seen is not None
        if isinstance(self.base, Fitted):
            return self.base.compose(part, seen, change, gain)
        assert isinstance(self.base, Estimated)
        assert estimate is not None
        return self.base.compose(part, seen, change, estimate, gain)

    def _parts_by_strips(
        self,
        name: str,
        y: Tensor,
        base_raw: Tensor | None,
        estimate: PhotoEstimate | None,
        gain: Tensor | None,
    ) -> Parts:
        """Return the result of `_parts`, clamped. What is computed of a strip stays in the processor's cache."""
        found: Parts = {}
        height = max(1, STRIP_PIXELS // y.shape[-1])
        for top in range(0, y.shape[-2], height):
            rows = (..., slice(top, top + height), slice(None))
            base, told = (None if x is None else x[rows] for x in (base_raw, gain))
            for part, value in self._clamped(self._parts(name, y[rows], base, estimate, told)).items():
                if part not in found:
                    found[part] = value.new_empty(*value.shape[:2], *y.shape[-2:])
                found[part][rows] = value
        return found

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


def _run_on(network: nn.Module, x: Tensor, samples: Sequence[int] | None) -> Tensor:
    """Run a network on some samples of a batch, at least on one so that its weights get gradients."""
    all_matter = samples is None or len(samples) == len(x)
    if all_matter or any(isinstance(part, _BatchNorm) for part in network.modules()):
        y: Tensor = network(x)
        return y
    chosen = torch.tensor(samples or [0], device=x.device)
    some = network(x[chosen])
    return some.new_zeros(len(x), *some.shape[1:]).index_copy(0, chosen, some)
