"""Encoder and decoder with skip connections."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

__all__ = ["UShape", "reach"]


class UShape(nn.Module):
    """Levels that lead down by 2x2 max pooling, and up again past what each level left (arXiv 1505.04597).

    Args:
        encoder: a module for each level, from the first down, the bottom included.
        decoder: a module for each level but the bottom, from the lowest up; called with the features below and
            the skip connection, which has twice their size.
    """

    def __init__(self, encoder: Iterable[nn.Module], decoder: Iterable[nn.Module]) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.pool = nn.MaxPool2d(2)

    def features(self, x: Tensor) -> Tensor:
        """Return the features of the first level, ``[B, C, H, W]``, for an input of the same height and width."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        return x


def reach(depth: int, growth: int, *, packed: bool = False) -> int:
    """Return the farthest distance of an input pixel that an output pixel of a `UShape` can depend on.

    The interval of pixels that matter is followed from the output back to the input: it grows by ``growth`` pixels
    a side at each level of the decoder and by two at each of the encoder, halves where the decoder doubles the
    size, and doubles through pooling. What is lost by halving depends on the output's position, hence the maximum
    over the positions of one bottom cell.

    Args:
        depth: number of levels.
        growth: 3x3 convolutions of a level of the decoder.
        packed: whether all four samples of a tile of 2x2 pixels come from its first pixel.
    """
    farthest = 0
    for position in range(max(2, 2 ** (depth - 1))):
        low = high = start = position - position % 2 if packed else position
        for _ in range(depth - 1):
            low, high = (low - growth) // 2, (high + growth) // 2
        low, high = low - 2, high + 2
        for _ in range(depth - 1):
            low, high = 2 * low - 2, 2 * high + 1 + 2
        low, high = min(low, start - 2), max(high, start + 2)
        farthest = max(farthest, position - low, high - position)
    return farthest
