"""Haar wavelets: halve and double the resolution of feature maps without loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["haar", "inverse_haar"]


def haar(x: Tensor) -> Tensor:
    """Return the four Haar bands of each channel (multi-level wavelet CNN, Liu et al., arXiv 1805.07071).

    Each 2x2 square becomes half the sum and half the differences of its pixels, so the transform is orthonormal:
    it keeps the sum of squares, and `inverse_haar` is its transpose.

    Args:
        x: ``[B, C, H, W]``, H and W even, any range.

    Returns:
        ``[B, 4 C, H/2, W/2]``: all channels of the average (of twice the range of ``x``), then of the differences
        of columns, of rows, and of both.

    Raises:
        RuntimeError: H or W is odd.
    """
    bands, channels = F.pixel_unshuffle(x, 2), x.shape[1]
    a, b, c, d = (0.5 * band for band in bands.unflatten(1, (channels, 4)).unbind(2))
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], dim=1)


def inverse_haar(x: Tensor) -> Tensor:
    """Return the feature map whose `haar` is ``x``.

    Args:
        x: ``[B, 4 C, H, W]``, the bands in the order of `haar`.

    Returns:
        ``[B, C, 2 H, 2 W]``.

    Raises:
        RuntimeError: the number of channels is not a multiple of 4.
    """
    average, columns, rows, both = (0.5 * band for band in x.chunk(4, dim=1))
    a = average + columns + rows + both
    b = average - columns + rows - both
    c = average + columns - rows - both
    d = average - columns - rows + both
    return F.pixel_shuffle(torch.stack([a, b, c, d], dim=2).flatten(1, 2), 2)
