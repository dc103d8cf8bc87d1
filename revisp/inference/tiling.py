"""Large pictures in bounded memory: overlapping tiles, blended by linear ramps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from revisp.errors import ConfigError, ShapeError

__all__ = ["Span", "tile_apply", "tile_spans", "tile_weights"]

Span = tuple[int, int]
"""First and one past the last row (or column) of a tile."""


def tile_spans(size: int, tile: int, overlap: int, align: int = 2) -> list[Span]:
    """Cut ``size`` rows or columns into overlapping tiles.

    Every tile starts at a multiple of ``align``, so that mosaics keep their phase and pooling networks their grid.
    Tiles have ``tile`` rows; the last may have up to ``align - 1`` more, and overlaps by more than ``overlap``
    where the size asks for it. What fits into one tile is one tile.

    Args:
        size: rows or columns of the picture.
        tile: rows or columns of a tile, a multiple of ``align``.
        overlap: rows or columns that neighbours share at least, at most half a tile.
        align: what starts are multiples of.

    Raises:
        ConfigError: tile, overlap and align do not fit together.
    """
    if align < 1 or tile < 1 or tile % align:
        raise ConfigError(f"tile must be a positive multiple of {align}, got {tile}")
    if not 0 <= overlap <= tile // 2:
        raise ConfigError(f"overlap must lie between 0 and half a tile ({tile // 2}), got {overlap}")
    if tile - overlap < align:
        raise ConfigError(f"tile must be at least overlap + {align}, got {tile} with an overlap of {overlap}")
    if size < tile + align:
        return [(0, size)]
    step = (tile - overlap) // align * align
    last = (size - tile) // align * align
    starts = [*range(0, last, step), last]
    return [(start, start + tile) for start in starts[:-1]] + [(last, size)]


def tile_weights(spans: list[Span], overlap: int) -> list[Tensor]:
    """Return each span's blending weights ``[length]``: flat, with linear ramps over the overlaps.

    At every row or column the weights of all tiles add up to 1.
    """
    weights = []
    for index, (start, stop) in enumerate(spans):
        weight = torch.ones(stop - start, dtype=torch.float64)
        ramp = torch.arange(1, overlap + 1, dtype=torch.float64) / (overlap + 1)
        if overlap and index > 0:
            weight[:overlap] *= ramp
        if overlap and index < len(spans) - 1:
            weight[-overlap:] *= ramp.flip(0)
        weights.append(weight)
    total = torch.zeros(spans[-1][1], dtype=torch.float64)
    for (start, stop), weight in zip(spans, weights, strict=True):
        total[start:stop] += weight
    return [(weight / total[start:stop]).float() for (start, stop), weight in zip(spans, weights, strict=True)]


def tile_apply(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    tile: int,
    overlap: int,
    channels: int,
    align: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Apply a function of same-size pictures tile by tile and blend the results.

    Memory beyond input and output is what ``function`` needs for one tile. Where the result at a pixel depends on
    less than ``overlap`` pixels around it the seams vanish; elsewhere they fade over the overlap.

    Args:
        function: maps ``[1, C, h, w]`` to ``[1, channels, h, w]``, on any device.
        x: picture ``[1, C, H, W]``.
        tile: height and width of a tile, a multiple of ``align``.
        overlap: pixels that neighbours share at least.
        channels: channels of the result.
        align: what tiles start at multiples of; even for anything that ends in a mosaic.
        progress: called with (tiles done, all tiles) after each tile.

    Returns:
        The blended result ``[1, channels, H, W]``, on the device of ``x``.

    Raises:
        ConfigError: tile, overlap and align do not fit together.
        ShapeError: ``x`` is not one picture, or ``function`` changes the size or channels.
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ShapeError(f"tiles are cut from one picture [1, C, H, W], got {list(x.shape)}")
    rows, columns = (tile_spans(size, tile, overlap, align) for size in x.shape[-2:])
    row_weights, column_weights = tile_weights(rows, overlap), tile_weights(columns, overlap)
    result = x.new_zeros(1, channels, *x.shape[-2:])
    done = 0
    for (top, bottom), down in zip(rows, row_weights, strict=True):
        for (left, right), across in zip(columns, column_weights, strict=True):
            part = function(x[..., top:bottom, left:right]).to(result)
            if part.shape != (1, channels, bottom - top, right - left):
                raise ShapeError(
                    f"a tile of {bottom - top}x{right - left} pixels came back as {list(part.shape)}, "
                    f"not [1, {channels}, {bottom - top}, {right - left}]"
                )
            weight = (down[:, None] * across[None, :]).to(result)
            result[..., top:bottom, left:right] += part * weight
            done += 1
            if progress is not None:
                progress(done, len(rows) * len(columns))
    return result
