"""Encoder and decoder with skip connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

__all__ = ["UShape", "reach"]

_DOWN_REACH = 2
"""3x3 convolutions of a level of the encoder."""


class UShape(nn.Module):
    """Encoder levels with 2x2 max pooling between them, and decoder levels with skips (arXiv 1505.04597).

    Args:
        encoder: a module for each level, from the first down, the bottom included. Each has two 3x3 convolutions.
        decoder: a module for each level but the bottom, from the lowest up. It is called with the features of the
            level below and the skip connection, which has twice their size.
        growth: number of 3x3 convolutions in a level of the decoder.
    """

    def __init__(self, encoder: Iterable[nn.Module], decoder: Iterable[nn.Module], growth: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.pool = nn.MaxPool2d(2)
        self.growth = growth

    def features(self, x: Tensor) -> Tensor:
        """Return the features of the first level, ``[B, C, h, w]``, for an input of as many pixels or tiles."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        return x

    def features_part(self, x: Tensor, rows: slice, columns: slice, *, block: int = 1) -> Tensor:
        """Return ``features(x)[..., rows, columns]``; each level computes only what this part needs.

        Args:
            x: ``[B, C, H, W]``.
            rows: first row of the features and one past the last row, in 0 to H / ``block``.
            columns: first column and one past the last column, in 0 to W / ``block``.
            block: side of the tiles of the input of which the first level makes one pixel each.
        """
        part, size = _Rectangle((rows.start, rows.stop), (columns.start, columns.stop)), x.shape[-2:]
        seen, needed = self._plan(part, [side // block for side in size])
        skips: list[Tensor] = []
        x = seen[0].scaled(block).read(x)
        for level, layers in enumerate(self.encoder):
            x = layers(self.pool(x) if level else x)
            if level < len(self.decoder):
                skips.append(needed[level + 1].doubled().read(x, seen[level]))
                x = seen[level + 1].doubled().read(x, seen[level])
        x = needed[-1].read(x, seen[-1])
        for level, up in zip(reversed(range(len(self.decoder))), self.decoder, strict=True):
            x = needed[level].read(up(x, skips.pop()), needed[level + 1].doubled())
        return x

    def _plan(self, part: _Rectangle, size: Sequence[int]) -> tuple[list[_Rectangle], list[_Rectangle]]:
        """Find the rectangles that a part of the result depends on, back to an input of this height and width.

        A level of the decoder takes whole pixels of the level below and makes four pixels of each. A level of the
        encoder must make four pixels for each pixel that the level below sees.

        Returns:
            Two rectangles for each level, from the first down: the one that the encoder sees, and the one that is
            needed of the decoder's result (at the bottom: of the encoder's result).
        """
        sizes = [(size[0] >> level, size[1] >> level) for level in range(len(self.encoder))]
        needed = [part]
        for each in sizes[:-1]:
            needed.append(needed[-1].grown(self.growth, each).halved())
        seen, made = [], needed[-1]
        for each in reversed(sizes):
            seen.append(made.grown(_DOWN_REACH, each))
            made = seen[-1].doubled()
        return seen[::-1], needed


class _Rectangle(NamedTuple):
    """Rows and columns, first and one past the last, in pixels of one level."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    def grown(self, by: int, size: tuple[int, int]) -> _Rectangle:
        """Add pixels on each side, within the height and width ``size``."""
        (top, bottom), (left, right) = self
        height, width = size
        return _Rectangle(
            (max(top - by, 0), min(bottom + by, height)),
            (max(left - by, 0), min(right + by, width)),
        )

    def doubled(self) -> _Rectangle:
        """Return the same rectangle in pixels of the level above."""
        return self.scaled(2)

    def scaled(self, by: int) -> _Rectangle:
        """Return the same rectangle in pixels that are so many times smaller."""
        (top, bottom), (left, right) = self
        return _Rectangle((by * top, by * bottom), (by * left, by * right))

    def halved(self) -> _Rectangle:
        """Return the smallest rectangle of the level below that contains it."""
        (top, bottom), (left, right) = self
        return _Rectangle((top // 2, (bottom + 1) // 2), (left // 2, (right + 1) // 2))

    def read(self, x: Tensor, of: _Rectangle | None = None) -> Tensor:
        """Cut it out of features ``[B, C, h, w]`` of the whole level, or of the rectangle ``of``."""
        down, across = (of.rows[0], of.columns[0]) if of else (0, 0)
        (top, bottom), (left, right) = self
        return x[..., top - down : bottom - down, left - across : right - across]


def reach(depth: int, growth: int, *, packed: bool = False) -> int:
    """Return the farthest distance of an input pixel that an output pixel of a `UShape` can depend on.

    The function follows the interval of relevant pixels from the output back to the input. The interval grows by
    ``growth`` pixels on each side at each level of the decoder, and by two at each level of the encoder. It halves
    where the decoder doubles the size, and doubles through pooling. The rounding of a half depends on the output's
    position, so the result is the maximum over the positions of one bottom pixel.

    Args:
        depth: number of levels.
        growth: number of 3x3 convolutions in a level of the decoder.
        packed: whether all four samples of a tile of 2x2 pixels come from its first pixel.
    """
    farthest = 0
    for position in range(max(2, 2 ** (depth - 1))):
        low = high = start = position - position % 2 if packed else position
        for _ in range(depth - 1):
            low, high = (low - growth) // 2, (high + growth) // 2
        low, high = low - _DOWN_REACH, high + _DOWN_REACH
        for _ in range(depth - 1):
            low, high = 2 * low - _DOWN_REACH, 2 * high + 1 + _DOWN_REACH
        low, high = min(low, start - _DOWN_REACH), max(high, start + _DOWN_REACH)
        farthest = max(farthest, position - low, high - position)
    return farthest
