"""Plan the tiles of a photo by the reach of the networks and by the available memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from revisp.backbones.estimated import Estimated
from revisp.errors import ConfigError
from revisp.inference.tile_threads import tiles_at_once
from revisp.inference.tiles import Progress, Tile, TileChoice, fit_tile, plan_tiles, tile_apply, tile_choices
from revisp.padding import next_multiple
from revisp.pipeline import MINIMUM_SIZE, ReverseISP
from revisp.tile_memory import TileMemory, format_size, measure_memory

__all__ = ["Grid", "Limits", "TilePlan", "plan_stages"]

DEFAULT_MEMORY = 2**30
"""Default limit of the memory of a tile, in bytes."""

FRAGMENTED_SHARE = 0.5
"""Allowance for heap fragmentation: the share of a tile's memory that may have to be newly allocated even though
enough is free."""

RAMP_WIDTH = 64
"""Pixels over which tiles are blended if the reach of a network is unknown."""

TRIAL_SIDE = 128
"""Smallest side, in pixels, of the tile on which the memory of the networks is measured."""


@dataclass(frozen=True)
class Limits:
    """The tile settings of the caller, as in `revisp.predict`.

    Raises:
        ConfigError: the tile is smaller than 16 pixels, or both ``tile`` and ``memory`` are given.
    """

    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < MINIMUM_SIZE:
            raise ConfigError(f"tile must be at least {MINIMUM_SIZE} pixels, got {self.tile}")
        if self.tile is not None and self.memory is not None:
            raise ConfigError("give the size of the tiles or the memory that they may take, not both")


@dataclass(frozen=True)
class TilePlan:
    """How one step of a prediction is cut into tiles.

    Attributes:
        tile: height and width of a tile.
        overlap: pixels that neighbours share.
        align: tiles start at multiples of this.
        reach: reach of the networks, in pixels; None if unknown.
        rest: bytes that the process may hold between tiles, beyond what it held before the call.
        at_once: tiles that run at once (`revisp.inference.tile_threads`).
    """

    tile: tuple[int, int]
    overlap: int
    align: int
    reach: int | None
    rest: float = math.inf
    at_once: int = 1

    def tiles(self, size: tuple[int, int]) -> list[Tile]:
        """Return the tiles of a picture of this height and width."""
        return plan_tiles(size, self.tile, overlap=self.overlap, align=self.align, reach=self.reach)

    def apply(
        self, function: Callable[[Tensor], Tensor], x: Tensor, channels: int, progress: Progress | None
    ) -> Tensor:
        """Apply a function by `tile_apply`."""
        return tile_apply(
            function,
            x,
            tile=self.tile,
            overlap=self.overlap,
            channels=channels,
            align=self.align,
            reach=self.reach,
            progress=progress,
        )


@dataclass(frozen=True)
class Grid:
    """The constraints of a step on its tiles.

    Attributes:
        align: start and size of a tile are multiples of this.
        reach: reach of the step, in pixels; None if unknown.
        least: smallest height and width of a tile.
    """

    align: int
    reach: int | None
    least: int = 1

    def side(self, tile: int) -> int:
        """Return the smallest valid side that is at least ``tile``."""
        return max(next_multiple(tile, self.align), 2 * self.align)

    def overlap(self, tile: int | None = None) -> int:
        """Return the overlap of neighbours: twice the reach if it fits into the tile, else a part of the tile."""
        side = None if tile is None else self.side(tile)
        if self.reach is None:
            return next_multiple(RAMP_WIDTH, self.align) if side is None else side // 8
        wanted = next_multiple(2 * self.reach, self.align)
        return wanted if side is None or side >= wanted + self.align else side // 2

    def fixed(self, tile: int, overlap: int | None = None) -> TilePlan:
        """Return tiles of this size."""
        side = self.side(tile)
        return self.stage((side, side), self.overlap(tile) if overlap is None else overlap)

    def choices(self, size: tuple[int, int], overlap: int) -> list[TileChoice]:
        """Return the tiles that divide a picture evenly and are larger than their overlaps."""
        exact = self.reach is not None and overlap >= 2 * self.reach
        least = max(self.least, RAMP_WIDTH, math.ceil((1.5 if exact else 2) * overlap))
        return tile_choices(size, overlap=overlap, align=self.align, least=least)

    def stage(self, tile: tuple[int, int], overlap: int, rest: float = math.inf, at_once: int = 1) -> TilePlan:
        """Return tiles of this height and width; `TilePlan` explains ``rest`` and ``at_once``."""
        return TilePlan(tile, overlap, self.align, self.reach, rest, at_once)


@dataclass(frozen=True)
class _Demand:
    """The tiles that a step needs, and their memory."""

    grid: Grid
    network: nn.Module
    run: Callable[[int], object]
    at_once: int = 1

    def trial(self) -> int:
        """Return the side of the tile that memory is measured on."""
        return next_multiple(max(TRIAL_SIDE, self.grid.least), self.grid.align)

    def cost(self) -> TileMemory:
        """Return the memory of a tile."""
        side = self.trial()
        return measure_memory(self.network, lambda: self.run(side), side * side)


def plan_stages(
    model: ReverseISP, photos: Tensor, limits: Limits, *, branches: bool = False, margin: int = 0
) -> tuple[TilePlan, TilePlan | None]:
    """Plan the tiles of the networks, and of the refinement if there is one.

    Args:
        model: the pipeline, in evaluation mode.
        photos: ``[B, 3, H, W]``.
        limits: the settings of the caller.
        branches: whether the result holds the prediction of each branch.
        margin: pixels around those that a tile contributes whose prediction it must give, too.

    Raises:
        ConfigError: the overlap does not fit, or the memory is too small; the message says how much is needed.
    """
    height, width = photos.shape[-2:]
    demands = _demands(model, margin, branches=branches)
    if limits.tile is not None:
        stages = [
            replace(demand.grid.fixed(limits.tile, limits.overlap), at_once=demand.at_once) for demand in demands
        ]
    elif limits.memory is None and max(height, width) <= min(demand.trial() for demand in demands):
        stages = [demand.grid.fixed(demand.trial(), limits.overlap) for demand in demands]
    else:
        stages = _fitted(demands, (height, width), limits, _held(model, photos, branches))
    return stages[0], stages[1] if len(stages) > 1 else None


def _fitted(demands: list[_Demand], size: tuple[int, int], limits: Limits, held: int) -> list[TilePlan]:
    """Plan tiles that fit into the memory."""
    stages, least = [], 0.0
    for demand in demands:
        grid, cost = demand.grid, demand.cost()
        overlap = grid.overlap() if limits.overlap is None else limits.overlap
        choices = grid.choices(size, overlap)
        smallest = min(choice.pixels for choice in choices)
        least = max(least, held + cost.of(smallest))
        room = DEFAULT_MEMORY if limits.memory is None else limits.memory - held
        at_once = demand.at_once if cost.of(demand.at_once * smallest) <= room else 1
        choice = fit_tile(choices, cost.pixels(room) / at_once, at_once)
        tiles = cost.of(at_once * choice.pixels)
        rest = held + max(room, tiles) - FRAGMENTED_SHARE * tiles
        stages.append(grid.stage(choice.tile, overlap, rest, at_once))
    if limits.memory is not None and limits.memory < least:
        raise ConfigError(
            f"{format_size(limits.memory)} of memory is too little for a photo of {size[1]}x{size[0]} pixels: "
            f"this model needs at least {format_size(least)}; the result alone takes {format_size(held)}"
        )
    return stages


def _held(model: ReverseISP, photos: Tensor, branches: bool) -> int:
    """Return the bytes of the result: mask, demosaiced RAW and mosaics, and the branches if they are kept."""
    channels = 5 + (model.refinement_reach is not None) + 3 * len(model.fused) * branches
    copies = 1 if len(photos) == 1 else 2 * len(photos)
    return channels * copies * photos.shape[-2] * photos.shape[-1] * photos.element_size()


def _demands(model: ReverseISP, margin: int, *, branches: bool) -> list[_Demand]:
    """Return the demand of the networks, and of the refinement if there is one."""
    network, refine = next(iter(model.branches.values())), model.refine
    usual = model.base.usual if isinstance(model.base, Estimated) else None  # tiles do not judge the photo

    def run_networks(side: int) -> object:
        photo = _blank(network, 3, side)
        return model.compose(photo, model.overexposure_mask(photo), estimate=usual)

    at_once = 1 if branches else tiles_at_once(model)
    demands = [_Demand(Grid(*model.networks_reach.after(margin)), network, run_networks, at_once)]
    if refine is not None and model.refinement_reach is not None:
        demands.append(
            _Demand(Grid(*model.refinement_reach), refine, lambda side: model.refined(_blank(refine, 1, side)))
        )
    return demands


def _blank(network: nn.Module, channels: int, side: int) -> Tensor:
    """Return a grey picture ``[1, channels, side, side]`` on the device of the network."""
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    return torch.full((1, channels, side, side), 0.5, device=device)
