"""Overlapping tiles, for large pictures in bounded memory: cut where their context is complete, or blended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from revisp.camera.place import Place
from revisp.errors import ConfigError, ShapeError
from revisp.padding import next_multiple

__all__ = [
    "Cut",
    "Progress",
    "Span",
    "Tile",
    "TileChoice",
    "fit_tile",
    "plan_tiles",
    "tile_apply",
    "tile_choices",
    "tile_spans",
    "tile_weights",
]

Span = tuple[int, int]
"""First and one past the last row (or column) of a tile."""

Progress = Callable[[int, int], None]
"""Called with (tiles done, all tiles of this stage) after each tile."""

WORK_TOLERANCE = 1.1
"""Of all tile sizes whose work is within this factor of the least, the smallest is taken."""

SHARED_TOLERANCE = 1.15
"""The same where several tiles run at once, each of which takes memory."""

TILE_COST = 2**14
"""Fixed cost of a tile, in pixels: calls, slices, threads that wait."""


class Cut(NamedTuple):
    """A tile along one axis.

    Attributes:
        span: rows (or columns) of the picture that the tile reads.
        kept: rows within ``span`` that it contributes.
        weight: blending weights of these rows; None if only this tile contributes them.
    """

    span: Span
    kept: Span
    weight: Tensor | None


class Tile(NamedTuple):
    """A rectangle that is read, and the rectangle inside it whose result is used."""

    rows: Cut
    columns: Cut

    @property
    def kept(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that the tile contributes."""
        return slice(*self.rows.kept), slice(*self.columns.kept)

    def read(self, x: Tensor) -> Tensor:
        """Return the rectangle of a picture ``[..., H, W]`` that the tile reads."""
        return x[..., slice(*self.rows.span), slice(*self.columns.span)]

    def place(self, size: tuple[int, int]) -> Place:
        """Return where the rectangle that the tile reads lies in a picture of this height and width."""
        return Place(self.rows.span[0], self.columns.span[0], *size)

    def widened(self, margin: int, size: tuple[int, int]) -> Tile:
        """Return a tile that contributes the same pixels and reads a margin around them.

        Args:
            margin: pixels that it reads on each side, up to the edge of the picture.
            size: height and width of the picture.
        """
        return Tile(*(_widened(cut, margin, extent) for cut, extent in zip(self, size, strict=True)))

    def grown(self, margin: int) -> Tile:
        """Return a tile that reads the same pixels and contributes a margin more, as far as it reads."""
        return Tile(*(cut._replace(kept=_grown(cut.kept, margin, cut.span)) for cut in self))

    def around(self, rows: Tensor, columns: Tensor, reach: int, *, align: int, least: int) -> Tile:
        """Return the part of this tile that gives the result at some of its pixels.

        Args:
            rows: which of the rows that the tile contributes are needed, bool ``[h]``; at least one.
            columns: which of the columns, bool ``[w]``.
            reach: largest distance from a pixel of the result to a pixel that it depends on.
            align: start and size of the part are multiples of this, except at the end of the tile.
            least: smallest number of rows and columns of the part, unless the tile has fewer.
        """
        return Tile(
            _around(self.rows, rows, reach, align, least), _around(self.columns, columns, reach, align, least)
        )

    @property
    def pixels(self) -> int:
        """Pixels that the tile reads."""
        return math.prod(last - first for first, last in (self.rows.span, self.columns.span))

    @property
    def used(self) -> tuple[slice, slice]:
        """Rows and columns, within the rectangle that the tile reads, that it contributes."""
        rows, columns = (slice(cut.kept[0] - cut.span[0], cut.kept[1] - cut.span[0]) for cut in self)
        return rows, columns

    def paste(self, part: Tensor, result: Tensor) -> None:
        """Copy a cropped result into its place in ``[..., H, W]``, or add it with its weight."""
        if self.rows.weight is None or self.columns.weight is None:
            result[..., *self.kept] = part
        else:
            weight = self.rows.weight[:, None] * self.columns.weight[None, :]
            result[..., *self.kept] += part.to(result) * weight.to(result)


def _widened(cut: Cut, margin: int, extent: int) -> Cut:
    return Cut(_grown(cut.kept, margin, (0, extent)), cut.kept, None)


def _grown(span: Span, margin: int, limits: Span) -> Span:
    """Return rows (or columns) with a margin on both sides, within limits."""
    return max(span[0] - margin, limits[0]), min(span[1] + margin, limits[1])


def _around(cut: Cut, needed: Tensor, reach: int, align: int, least: int) -> Cut:
    """Narrow a cut to the rows (or columns) that the ``needed`` ones depend on."""
    places = needed.nonzero()
    first, last = (cut.kept[0] + int(place) for place in (places[0], places[-1] + 1))
    start, stop = cut.span
    begin = max(start, first - reach)
    end = min(stop, next_multiple(max(last + reach, begin + least), align))
    begin = max(start, min(begin, end - least) // align * align)
    return Cut((begin, end), (first, last), None)


def tile_spans(size: int, tile: int, overlap: int, align: int = 2) -> list[Span]:
    """Cut ``size`` rows or columns into overlapping tiles.

    Every tile starts at a multiple of ``align``, so that mosaics keep their phase and pooling networks their grid.
    Tiles have ``tile`` rows. The last tile may have up to ``align - 1`` more, and may overlap by more than
    ``overlap``. A picture that fits into one tile becomes one tile.

    Args:
        size: rows or columns of the picture.
        tile: rows or columns of a tile, a multiple of ``align``.
        overlap: smallest number of rows or columns that neighbours share.
        align: the starts are multiples of this.

    Raises:
        ConfigError: tile, overlap and align do not fit together.
    """
    if align < 1 or tile < 1 or tile % align:
        raise ConfigError(f"tile must be a positive multiple of {align}, got {tile}")
    if overlap < 0:
        raise ConfigError(f"overlap must not be negative, got {overlap}")
    if size < tile + align:
        return [(0, size)]
    if tile - overlap < align:
        raise ConfigError(f"tile must be at least overlap + {align}, got {tile} with an overlap of {overlap}")
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


def plan_tiles(
    size: tuple[int, int], tile: tuple[int, int], *, overlap: int, align: int = 2, reach: int | None = None
) -> list[Tile]:
    """Cover a picture by tiles, row by row.

    If neighbours share at least twice the ``reach``, the overlap is cut in its middle. Each tile then contributes
    only pixels whose whole neighbourhood it has read, so the tiled result equals that of the whole picture.
    Otherwise the whole tile contributes, with weights that fall towards its edges.

    Args:
        size: height and width of the picture.
        tile: height and width of a tile, multiples of ``align``.
        overlap: smallest number of pixels that neighbours share; at most half a tile if ramps blend them.
        align: tiles start at multiples of this; it must be even if the result is a mosaic.
        reach: largest distance, in rows or columns, from a pixel of the result to a pixel that it depends on; None
            if unknown.

    Raises:
        ConfigError: tile, overlap and align do not fit together.
    """
    exact = reach is not None and overlap >= 2 * reach
    rows, columns = (
        _cut(extent, side, overlap, align, exact=exact) for extent, side in zip(size, tile, strict=True)
    )
    return [Tile(row, column) for row in rows for column in columns]


def _cut(size: int, tile: int, overlap: int, align: int, *, exact: bool) -> list[Cut]:
    spans = tile_spans(size, tile, overlap, align)
    if exact:
        middles = [(start + stop) // 2 for (_, stop), (start, _) in itertools.pairwise(spans)]
        kept = itertools.pairwise([0, *middles, size])
        return [Cut(span, own, None) for span, own in zip(spans, kept, strict=True)]
    if len(spans) > 1 and overlap > tile // 2:
        raise ConfigError(f"overlap must lie between 0 and half a tile ({tile // 2}), got {overlap}")
    return [Cut(span, span, weight) for span, weight in zip(spans, tile_weights(spans, overlap), strict=True)]


class TileChoice(NamedTuple):
    """A tile size for a picture.

    Attributes:
        tile: height and width.
        pixels: pixels of the largest tile; the last tile of a row or column may be larger than ``tile``.
        number: of tiles.
    """

    tile: tuple[int, int]
    pixels: int
    number: int

    def work(self, at_once: int = 1) -> int:
        """Return the pixels that all tiles read, plus `TILE_COST` for each tile.

        Args:
            at_once: tiles that run at once; a core without a tile in the last round counts as if it had one.
        """
        number = self.number if self.number == 1 else next_multiple(self.number, at_once)
        return number * (math.prod(self.tile) + TILE_COST)


def tile_choices(size: tuple[int, int], *, overlap: int, align: int = 2, least: int = 1) -> list[TileChoice]:
    """Return the tile sizes that divide a picture evenly.

    Args:
        size: height and width of the picture.
        overlap: pixels that neighbours share.
        align: height and width of a tile are multiples of this.
        least: smallest height and width of a tile, unless the picture is smaller.
    """
    rows, columns = (_sides(extent, overlap, align, least) for extent in size)
    choices = []
    for height, down in rows.items():
        for width, across in columns.items():
            pixels = (height + align * (down > 1)) * (width + align * (across > 1))
            choices.append(TileChoice((height, width), pixels, down * across))
    return choices


def fit_tile(choices: list[TileChoice], pixels: float, at_once: int = 1) -> TileChoice:
    """Choose the tile that covers a picture with little work.

    The smallest tile within `WORK_TOLERANCE` of the least work is taken, for less memory at nearly the same speed.

    Args:
        choices: result of `tile_choices`.
        pixels: most pixels of a tile; if all choices have more, the smallest is taken.
        at_once: tiles that run at once.
    """
    possible = [choice for choice in choices if choice.pixels <= pixels] or [min(choices, key=_pixels)]
    tolerance = WORK_TOLERANCE if at_once == 1 else SHARED_TOLERANCE
    enough = tolerance * min(choice.work(at_once) for choice in possible)
    return min((choice for choice in possible if choice.work(at_once) <= enough), key=_pixels)


def _pixels(choice: TileChoice) -> int:
    return choice.pixels


def _sides(extent: int, overlap: int, align: int, least: int) -> dict[int, int]:
    """Return the sides of a tile that divide an extent evenly, each with its number of tiles."""
    least = next_multiple(max(least, overlap + align), align)
    whole = next_multiple(extent, align)
    sides = {whole: 1}
    for count in range(2, whole):
        side = next_multiple(math.ceil((extent + (count - 1) * overlap) / count), align)
        if side <= least:
            break
        sides.setdefault(side, count)
    if least < whole:
        sides[least] = math.ceil((extent - overlap) / (least - overlap))
    return sides


def tile_apply(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    tile: int | tuple[int, int],
    overlap: int,
    channels: int,
    align: int = 2,
    reach: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Apply a function of same-size pictures tile by tile and join the results.

    In addition to input and output it takes only the memory that ``function`` needs for one tile.

    Args:
        function: maps ``[1, C, h, w]`` to ``[1, channels, h, w]``, on any device.
        x: picture ``[1, C, H, W]``.
        tile: height and width of a tile, or one number for both; multiples of ``align``.
        overlap: smallest number of pixels that neighbours share.
        channels: channels of the result.
        align: tiles start at multiples of this; it must be even if the result is a mosaic.
        reach: reach of the function, as for `plan_tiles`.
        progress: called after each tile.

    Returns:
        The result ``[1, channels, H, W]``, on the device of ``x``.

    Raises:
        ConfigError: tile, overlap and align do not fit together.
        ShapeError: ``x`` is not one picture, or ``function`` returns another size or number of channels.

    Example:
        >>> photo = torch.rand(1, 3, 64, 96)
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1)  # looks 1 pixel far
        >>> tiled = tile_apply(blur, photo, tile=32, overlap=2, channels=3, reach=1)
        >>> tiled.shape
        torch.Size([1, 3, 64, 96])
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ShapeError(f"tiles are cut from one picture [1, C, H, W], got {list(x.shape)}")
    height, width = x.shape[-2:]
    sides = (tile, tile) if isinstance(tile, int) else tile
    tiles = plan_tiles((height, width), sides, overlap=overlap, align=align, reach=reach)
    result = x.new_zeros(1, channels, height, width)
    for done, each in enumerate(tiles, start=1):
        _apply_once(function, x, each, result)
        if progress is not None:
            progress(done, len(tiles))
    return result


def _apply_once(function: Callable[[Tensor], Tensor], x: Tensor, tile: Tile, result: Tensor) -> None:
    """Compute one tile and free all its tensors, so that they do not fragment the memory of the next."""
    read = tile.read(x)
    part = function(read)
    if part.shape != (1, result.shape[1], *read.shape[-2:]):
        raise ShapeError(
            f"a tile of {read.shape[-2]}x{read.shape[-1]} pixels came back as {list(part.shape)}, "
            f"not [1, {result.shape[1]}, {read.shape[-2]}, {read.shape[-1]}]"
        )
    tile.paste(part[..., *tile.used], result)
