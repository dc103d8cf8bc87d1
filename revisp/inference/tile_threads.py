"""Tiles of a photo side by side: a thread for each, and its share of the processor's cores.

The steps of a small network are short. When all cores share each of them, they wait for each other at its end, and
longer if other programs, or the readers and writers of other photos, take a core meanwhile. Threads that have a
tile each meet only at the end of the photo.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from revisp.backbones.blocks.whole_image import WholeImage
from revisp.hardware import limit_cores
from revisp.inference.tiles import Tile
from revisp.pipeline import ReverseISP

__all__ = ["run_tiles", "tiles_at_once"]

MOST_AT_ONCE = 4
"""Most tiles at once; each takes memory."""

_KEEP_NO_STATE = ("torch", "revisp")
"""Packages whose modules remember nothing from one call to the next, in evaluation mode."""

T = TypeVar("T")


def tiles_at_once(model: ReverseISP) -> int:
    """Return how many tiles a pipeline can run at once in this process.

    It is one on a GPU, with one thread, with networks that get statistics of the whole photo for each tile, with
    compiled networks, and with networks of other packages, which may remember something of a call, as some of
    timm do.
    """
    threads = torch.get_num_threads()
    if threads == 1 or next(model.parameters()).device.type != "cpu":
        return 1
    for module in model.modules():
        if isinstance(module, WholeImage) or type(module).__module__.partition(".")[0] not in _KEEP_NO_STATE:
            return 1
        if getattr(module, "compiled", False):
            return 1
    return min(threads, MOST_AT_ONCE)


def run_tiles(function: Callable[[Tile], T], tiles: Sequence[Tile], at_once: int) -> Iterator[tuple[Tile, T]]:
    """Apply a function to tiles, and yield each with its result, in order.

    Args:
        function: what to do with a tile; if several run at once, it runs in other threads, in inference mode.
        tiles: the tiles.
        at_once: how many to run at once, from `tiles_at_once`. A single tile has all cores.
    """
    at_once = min(at_once, len(tiles))
    if at_once == 1:
        for tile in tiles:
            yield tile, function(tile)
        return

    def run(tile: Tile) -> T:
        with torch.inference_mode():
            return function(tile)

    cores = torch.get_num_threads() // at_once
    pool = ThreadPoolExecutor(at_once, "tiles", initializer=limit_cores, initargs=(cores,))
    running: deque[tuple[Tile, Future[T]]] = deque()
    try:
        for tile in tiles:
            running.append((tile, pool.submit(run, tile)))
            if len(running) == 2 * at_once:  # the next ones are at work while a slow one is waited for
                yield _result(running)
        while running:
            yield _result(running)
    finally:
        pool.shutdown(cancel_futures=True)


def _result(running: deque[tuple[Tile, Future[T]]]) -> tuple[Tile, T]:
    tile, future = running.popleft()
    return tile, future.result()
