"""Curves as tables, which many values are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FINE_INTERVALS", "read_tables"]

FINE_INTERVALS = 16384
"""Intervals of a table for floating point, with linear interpolation. The error is at most 5e-4 of the light."""


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


def _of_own(flat: Tensor, entries: Tensor, count: int) -> Tensor:
    """Return entries ``[B, ...]`` of tables that follow each other, each of ``count`` entries."""
    if len(entries) > 1:
        first = torch.arange(0, len(flat), count, dtype=torch.int32, device=flat.device)
        entries = entries + first.view(-1, *(1,) * (entries.ndim - 1))
    return flat.index_select(0, entries.flatten()).view(entries.shape)
