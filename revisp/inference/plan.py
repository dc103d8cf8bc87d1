"""Which tiles a photo is cut into: from how far the networks look, and from the memory that there is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from revisp.errors import ConfigError
from revisp.inference.memory import Cost, format_size, measure_cost
from revisp.inference.tiling import Tile, fit_tile, plan_tiles, tile_choices
from revisp.padding import next_multiple
from revisp.pipeline import ReverseISP

__all__ = ["Limits", "Stage", "plan_stages"]

DEFAULT_MEMORY = 2**30
"""Bytes that a tile may take if nobody says."""

RAMP = 64
"""Pixels over which tiles are blended where nobody knows how far a network looks."""

TRIAL = 128
"""Least side of the tile on which the networks' memory is measured."""


@dataclass(frozen=True)
class Limits:
    """What the caller asks of the tiles, as in `revisp.predict`."""

    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Stage:
    """How one step of a prediction is cut into tiles.

    Attributes:
        tile: height and width of a tile.
        overlap: pixels that neighbours share.
        align: what tiles start at multiples of.
        reach: how far the networks look, in pixels; None if unknown.
    """

    tile: tuple[int, int]
    overlap: int
    align: int
    reach: int | None

    def tiles(self, size: tuple[int, int]) -> list[Tile]:
        """Return the tiles of a picture of this height and width."""
        return plan_tiles(size, self.tile, overlap=self.overlap, align=self.align, reach=self.reach)


@dataclass(frozen=True)
class _Demand:
    """What a step needs of its tiles: their grid, how far it looks, its least size, and its memory."""

    align: int
    reach: int | None
    least: int
    network: nn.Module
    run: Callable[[int], object]

    def overlap(self, limits: Limits) -> int:
        """Return what neighbours share."""
        if limits.overlap is not None:
            return limits.overlap
        side = None if limits.tile is None else self.side(limits.tile)
        if self.reach is None:
            return next_multiple(RAMP, self.align) if side is None else side // 8
        wanted = next_multiple(2 * self.reach, self.align)
        return wanted if side is None or side >= wanted + self.align else side // 2

    def side(self, tile: int) -> int:
        """Return a tile that the step can do."""
        return max(next_multiple(tile, self.align), 2 * self.align)

    def trial(self) -> int:
        """Return the side of the tile that memory is measured on."""
        return next_multiple(max(TRIAL, self.least), self.align)

    def cost(self) -> Cost:
        """Return the memory of a tile."""
        side = self.trial()
        return measure_cost(self.network, lambda: self.run(side), side * side)


def plan_stages(
    model: ReverseISP, photos: Tensor, limits: Limits, *, branches: bool = False
) -> tuple[Stage, Stage | None]:
    """Plan the tiles of the networks, and of the refinement where there is one.

    Args:
        model: the pipeline, in evaluation mode.
        photos: ``[B, 3, H, W]``.
        limits: what the caller asks.
        branches: whether the result holds what each branch predicts.

    Raises:
        ConfigError: an overlap that does not fit, or too little memory; the message says how much it takes.
    """
    height, width = photos.shape[-2:]
    demands = [_networks(model), *_refinement(model)]
    if limits.tile is not None:
        stages = [_fixed(demand, limits, limits.tile) for demand in demands]
    elif limits.memory is None and max(height, width) <= min(demand.trial() for demand in demands):
        stages = [_fixed(demand, limits, demand.trial()) for demand in demands]
    else:
        stages = _fitted(demands, (height, width), limits, _held(model, photos, branches))
    return stages[0], stages[1] if len(stages) > 1 else None


def _fixed(demand: _Demand, limits: Limits, tile: int) -> Stage:
    side = demand.side(tile)
    return Stage((side, side), demand.overlap(limits), demand.align, demand.reach)


def _fitted(demands: list[_Demand], size: tuple[int, int], limits: Limits, held: int) -> list[Stage]:
    """Plan tiles that memory allows."""
    stages, least = [], 0.0
    for demand in demands:
        overlap, cost = demand.overlap(limits), demand.cost()
        exact = demand.reach is not None and overlap >= 2 * demand.reach
        smallest = max(demand.least, RAMP, math.ceil((1.5 if exact else 2) * overlap))
        choices = tile_choices(size, overlap=overlap, align=demand.align, least=smallest)
        least = max(least, held + cost.of(min(choice.pixels for choice in choices)))
        room = DEFAULT_MEMORY if limits.memory is None else limits.memory - held
        stages.append(Stage(fit_tile(choices, cost.pixels(room)), overlap, demand.align, demand.reach))
    if limits.memory is not None and limits.memory < least:
        raise ConfigError(
            f"{format_size(limits.memory)} of memory is too little for a photo of {size[1]}x{size[0]} pixels: "
            f"this model takes at least {format_size(least)}, of which {format_size(held)} are the result"
        )
    return stages


def _held(model: ReverseISP, photos: Tensor, branches: bool) -> int:
    """Return the bytes of the result: mask, demosaiced RAW and mosaics, and the branches if they are kept."""
    channels = 5 + (model.refine is not None) + 6 * (branches and not model.plain)
    copies = 1 if len(photos) == 1 else 2 * len(photos)
    return channels * copies * photos.shape[-2] * photos.shape[-1] * photos.element_size()


def _networks(model: ReverseISP) -> _Demand:
    spec = model.spec
    known = spec.receptive_field is not None and not spec.global_context
    network = next(iter(model.branches.values()))

    def run(side: int) -> None:
        photo = _blank(network, 3, side)
        mask = model.overexposure_mask(photo)
        model.compose(model.run_networks(photo, mask)[0], mask)

    reach = (spec.receptive_field - 1) // 2 if known and spec.receptive_field else None
    return _Demand(math.lcm(2, spec.multiple_of), reach, spec.min_size, network, run)


def _refinement(model: ReverseISP) -> list[_Demand]:
    """Return what the refinement needs, if there is one; its network sees planes of half the size."""
    refine = model.refine
    if refine is None:
        return []
    field: int | None = getattr(refine.network, "receptive_field", None)
    reach = None if field is None else 2 * (field // 2) + 1
    network = refine.network
    return [
        _Demand(2 * refine.multiple, reach, 1, network, lambda side: refine(_blank(network, 1, side)).clamp(0, 1))
    ]


def _blank(network: nn.Module, channels: int, side: int) -> Tensor:
    """Return a grey picture ``[1, channels, side, side]`` where the network is."""
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    return torch.full((1, channels, side, side), 0.5, device=device)
