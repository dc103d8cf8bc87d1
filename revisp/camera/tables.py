"""Curves as tables, which many values are read from, and the strips of pictures in which that is fast."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["FINE_INTERVALS", "PairTable", "read_tables", "strips"]

FINE_INTERVALS = 16384
"""Intervals of a table for floating point, with linear interpolation. The error is at most 5e-4 of the light."""


STRIP = 2**17
"""Pixels of a strip, about: what several steps make of it stays in the processor's cache."""


def strips(pictures: Tensor) -> Iterator[slice]:
    """Yield rows of pictures ``[..., H, W]``, multiples of four at a time: few on the CPU, all on other devices.

    Example:
        >>> [(rows.start, rows.stop) for rows in strips(torch.empty(1, 300, 800))]
        [(0, 152), (152, 300)]
    """
    height, width = pictures.shape[-2:]
    parts = -(height * width // -STRIP) if pictures.device.type == "cpu" else 1
    step = -(height // -(4 * parts)) * 4
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def read_tables(tables: Tensor, values: Tensor) -> Tensor:
    """Read each picture's table at the values of the picture.

    Args:
        tables: one for each picture, ``[B, n]``, float32.
        values: ``[B, ...]``: uint8 numbers of entries; or float32 in [0, 1], from the first entry to the last,
            with linear interpolation. NaN reads any entry.

    Returns:
        float32, of the shape of ``values``.

    Example:
        >>> read_tables(torch.tensor([[0.0, 2.0, 8.0]]), torch.tensor([[0.25, 0.75]])).tolist()
        [[1.0, 5.0]]
    """
    count = tables.shape[-1]
    flat = tables.flatten()
    if values.dtype == torch.uint8:
        return _of_own(flat, values.to(torch.int32), count)
    position = values * (count - 1)
    knot = position.to(torch.int32).clamp_(0, count - 2)  # a NaN too must give a valid index
    slopes = torch.cat([flat.diff(), flat.new_zeros(1)])
    rest = position.sub_(knot).mul_(_of_own(slopes, knot, count))
    return rest.add_(_of_own(flat, knot, count))


class PairTable:
    """A table of 8-bit numbers that is read at two neighbours at a time, in half of the time.

    Args:
        table: ``[256]``, float32.

    Example:
        >>> squares = PairTable(torch.arange(256.0).square())
        >>> squares(torch.tensor([[1, 2, 3, 4]], dtype=torch.uint8)).tolist()
        [[1.0, 4.0, 9.0, 16.0]]
    """

    def __init__(self, table: Tensor) -> None:
        first, second = torch.broadcast_tensors(table, table[:, None])
        order = (first, second) if sys.byteorder == "little" else (second, first)
        self.pairs = torch.stack(order, dim=-1).view(torch.float64).flatten()

    def __call__(self, values: Tensor) -> Tensor:
        """Return float32 of the shape of ``values``, uint8, whose columns are an even number side by side."""
        entries = values.view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF)
        return self.pairs.index_select(0, entries.flatten()).view(torch.float32).view(values.shape)


def _of_own(flat: Tensor, entries: Tensor, count: int) -> Tensor:
    """Return entries ``[B, ...]`` of tables that follow each other, each of ``count`` entries."""
    if len(entries) > 1:
        first = torch.arange(0, len(flat), count, dtype=torch.int32, device=flat.device)
        entries = entries + first.view(-1, *(1,) * (entries.ndim - 1))
    return flat.index_select(0, entries.flatten()).view(entries.shape)
