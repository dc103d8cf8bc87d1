"""Reflect padding of any width that keeps the Bayer phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from revisp.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["append_mirrored", "next_multiple", "pad_to_multiple", "reflect_pad"]


def reflect_pad(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Mirror an image about its outermost pixels, which are not repeated.

    Row ``-k`` equals row ``k``, so a row keeps its parity and a photosite its colour: a mosaic stays a mosaic, of
    phase ``cfa.crop(-top, -left)``. Unlike in `torch.nn.functional.pad`, the padding may be wider than the image.
    The reflections then repeat with a period of ``2 * (size - 1)``.

    Args:
        x: ``[..., H, W]``, any dtype.
        top: rows to add above, at least 0.
        bottom: rows to add below, at least 0.
        left: columns to add on the left, at least 0.
        right: columns to add on the right, at least 0.

    Returns:
        ``[..., top + H + bottom, left + W + right]``.

    Raises:
        ShapeError: a side to be padded is shorter than two pixels.

    Example:
        >>> reflect_pad(torch.tensor([[1, 2, 3]]), 0, 0, 2, 3).tolist()
        [[3, 2, 1, 2, 3, 2, 1, 2]]
    """
    return _extended(_extended(x, -2, top, bottom), -1, left, right)


def append_mirrored(x: Tensor, bottom: int, right: int) -> Tensor:
    """Add mirrored rows and columns as `reflect_pad` does, in exported graphs by a copy of the image.

    Graphs of `reflect_pad` gather every pixel anew, which is slow. This needs an export that is traced without a
    look at the example's sizes (`revisp.export.program.symbolic_sizes`), since both counts may be 0.

    Example:
        >>> append_mirrored(torch.tensor([[1, 2, 3]]), 0, 2).tolist()
        [[1, 2, 3, 2, 1]]
    """
    for axis, after in ((-2, bottom), (-1, right)):
        size = x.shape[axis]
        x = torch.cat([x, x.index_select(axis, _mirrored(size, size, size + after, x.device))], dim=axis)
    return x


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Reflect-pad ``[..., H, W]`` at the bottom and right until both sides are multiples of ``multiple``.

    Raises:
        ShapeError: a side to be padded is shorter than two pixels.

    Example:
        >>> pad_to_multiple(torch.zeros(1, 5, 8), 4).shape
        torch.Size([1, 8, 8])
    """
    height, width = x.shape[-2:]
    down, right = (next_multiple(size, multiple) - size for size in (height, width))
    return reflect_pad(x, 0, down, 0, right)


def next_multiple(size: int, multiple: int) -> int:
    """Return the least multiple of ``multiple`` that is at least ``size``.

    The result is computed as a product with ``multiple``. The exporter treats sizes as symbols, and so it knows
    that the result can be divided without remainder.

    Example:
        >>> next_multiple(17, 8), next_multiple(16, 8)
        (24, 16)
    """
    return (size + multiple - 1) // multiple * multiple


def _extended(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Add mirrored rows or columns at both ends; without any, the picture itself is returned."""
    size = x.shape[axis]
    if size < 2 and (before or after):
        raise ShapeError(f"an image side of {size} pixel cannot be reflected: give at least 2")
    if not (isinstance(before, int) and isinstance(after, int)):  # symbols of an export, which may be 0 or not
        return x.index_select(axis, _mirrored(size, -before, size + after, x.device))
    parts = [x]
    if before:
        parts.insert(0, x.index_select(axis, _mirrored(size, -before, 0, x.device)))
    if after:
        parts.append(x.index_select(axis, _mirrored(size, size, size + after, x.device)))
    return torch.cat(parts, dim=axis) if len(parts) > 1 else x


def _mirrored(size: int, first: int, last: int, device: torch.device) -> Tensor:
    """Return the rows, in 0 to ``size``, that rows from ``first`` to ``last`` repeat."""
    # A tensor, because the ONNX exporter takes no remainder by a symbolic size.
    period = torch.full((), max(2 * (size - 1), 1), device=device)
    at = torch.arange(first, last, device=device).remainder(period)
    return torch.where(at < size, at, period - at)
