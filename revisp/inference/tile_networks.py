"""The networks of a pipeline on the tiles of a photo: those that a tile needs, where it needs them."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from revisp.backbones.estimated import PhotoEstimate
from revisp.inference.plan import TilePlan
from revisp.inference.raise_level import raise_to_least_level
from revisp.inference.tiles import Span, Tile
from revisp.inference.whole_photo import PhotoStatistics
from revisp.pipeline import Parts, ReverseISP
from revisp.pipeline.least_level import LEAST_LEVEL_REACH

__all__ = ["TileNetworks", "WholePhoto"]

LEAST_PART = 64
"""Least side of the part of a tile that a network runs on."""

LARGEST_SHARE = 0.8
"""Largest part of a tile that is run in place of all of it."""


class WholePhoto(NamedTuple):
    """What tiles are cut from.

    Attributes:
        srgb: the photo ``[1, 3, H, W]``.
        estimate: how it was rendered, for a model on an estimated base.
        gain: what its gain map says ``[1, 1, H, W]``, if it has one.
        place: its place in a larger photo ``[1, 3, H, W]``; None: it is whole.
    """

    srgb: Tensor
    estimate: PhotoEstimate | None
    gain: Tensor | None
    place: Tensor | None


class TileNetworks:
    """The networks of a pipeline on the tiles of a photo.

    Args:
        model: the pipeline.
        whole: the photo.
        mask: its mask ``[1, 1, H, W]``.
        stage: how the photo is cut into tiles.
    """

    def __init__(self, model: ReverseISP, whole: WholePhoto, mask: Tensor, stage: TilePlan) -> None:
        self.model = model
        self.stage = stage
        self.srgb, self.estimate, self.gain, self.place = whole
        self.mask = mask
        self.tiles = stage.tiles((self.srgb.shape[-2], self.srgb.shape[-1]))
        self.device = next(model.parameters()).device
        side = None if len(self.tiles) == 1 else stage.tile
        self.statistics = PhotoStatistics(model, self.srgb, self.gain, self.place, side)

    def run(self, tile: Tile, kept: dict[str, Tensor]) -> Tensor:
        """Run on a tile; return the fused RAW ``[1, C, h, w]``, before the mosaic, that the tile contributes.

        Args:
            tile: the tile.
            kept: predictions of the photo by part, if the caller asks for them; then all networks run everywhere,
                and copy their results there.
        """
        shares, seen = self._shares(tile), self._read(tile)
        parts: Parts = {}
        for name, heads in self.model.heads.items():
            if kept or len(heads) == len(shares):  # one network that predicts all parts is needed everywhere
                parts |= self._run(name, tile, seen)
            else:
                parts |= self._run_where(name, tile, seen, reduce(torch.maximum, (shares[head] for head in heads)))
        for part, result in kept.items():
            tile.paste(parts[part], result)
        return self.model.mix(parts, shares)

    def run_to_bayer(self, tile: Tile) -> Tensor:
        """Run on a tile; return the mosaic ``[1, 1, h, w]`` that it contributes.

        With a gain map, its overexposed pixels are raised to their least level. For this the plan of the tiles has
        a margin of `LEAST_LEVEL_REACH`, and the tile belongs to no network that predicts mosaics.
        """
        place = tile.rows.kept[0], tile.columns.kept[0]
        if self.gain is None:
            return self.model.to_bayer(self.run(tile, {}), *place)
        wide = tile.grown(LEAST_LEVEL_REACH)
        raw = self.run(wide, {})
        raise_to_least_level(self.model, self.mask[..., *wide.kept], self.gain[..., *wide.kept], raw)
        rows, columns = (_within(cut.kept, wider.kept) for cut, wider in zip(tile, wide, strict=True))
        return self.model.to_bayer(raw[..., rows, columns], *place)

    def _shares(self, tile: Tile) -> Parts:
        """Return the fusion weight of each part, ``[1, 1, h, w]``, at the pixels that a tile contributes."""
        widened = tile.widened(self.model.fusion.reach, (self.mask.shape[-2], self.mask.shape[-1]))
        shares = self.model.shares(widened.read(self.mask).to(self.device))
        return {part: share[..., *widened.used] for part, share in shares.items()}

    def _read(self, tile: Tile) -> _Seen:
        photo, mask = (tile.read(x).to(self.device) for x in (self.srgb, self.mask))
        gain = None if self.gain is None else tile.read(self.gain).to(self.device)
        if self.place is None:
            place = self.model.place_of(photo, tile.place((self.srgb.shape[-2], self.srgb.shape[-1])))
        else:
            place = tile.read(self.place).to(photo)
        return _Seen(photo, mask, self.model.base_raw(photo, mask, place), gain, place)

    def _run(self, name: str, tile: Tile, seen: _Seen) -> Parts:
        with self.statistics.of(name):
            return self.model.run_branch(
                name,
                seen.photo,
                seen.mask,
                seen.base_raw,
                part=tile.used,
                estimate=self.estimate,
                gain=seen.gain,
                place=seen.place,
            )

    def _run_where(self, name: str, tile: Tile, seen: _Seen, share: Tensor) -> Parts:
        """Run one network only where it is needed.

        Args:
            name: its name in ``model.branches``.
            tile: the tile.
            seen: the input of the networks in the tile.
            share: its share of the pixels that the tile contributes, ``[1, 1, h, w]``.

        Returns:
            Its parts at all pixels that the tile contributes; they may be 0 where its share is 0. Empty if it has
            no share anywhere.
        """
        needed = share.amax(dim=(0, 1, 3)) > 0, share.amax(dim=(0, 1, 2)) > 0
        if not bool(needed[0].any()):
            return {}
        stage = self.stage
        if stage.reach is None or tile.rows.weight is not None:
            return self._run(name, tile, seen)
        least = max(LEAST_PART, self.model.networks_reach.least)
        part = tile.around(*needed, stage.reach, align=stage.align, least=least)
        if part.pixels > LARGEST_SHARE * tile.pixels:
            return self._run(name, tile, seen)
        rows, columns = (_within(inner.span, outer.span) for inner, outer in zip(part, tile, strict=True))
        cut = _Seen(*(None if x is None else x[..., rows, columns] for x in seen))  # type: ignore[arg-type]
        rows, columns = (_within(inner.kept, outer.kept) for inner, outer in zip(part, tile, strict=True))
        found: Parts = {}
        for key, value in self._run(name, part, cut).items():
            found[key] = seen.photo.new_zeros(*value.shape[:2], *share.shape[-2:])
            found[key][..., rows, columns] = value
        return found


class _Seen(NamedTuple):
    """The input of the networks for a tile: photo and mask; base, gain map and place as far as there are such."""

    photo: Tensor
    mask: Tensor
    base_raw: Tensor | None
    gain: Tensor | None
    place: Tensor | None


def _within(inner: Span, outer: Span) -> slice:
    """Return the position of some rows (or columns) within others."""
    return slice(inner[0] - outer[0], inner[1] - outer[0])
