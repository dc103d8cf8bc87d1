"""Affine maps between pixel grids, as 2x3 matrices that take (x, y, 1); integer coordinates are pixel centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

__all__ = ["Array", "apply", "inverse", "resize_matrix", "sample", "scale_of", "then"]

Array = np.ndarray[Any, Any]


def apply(matrix: Array, points: Array) -> Array:
    """Map points (x, y), ``[..., 2]``."""
    mapped: Array = np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def then(first: Array, *following: Array) -> Array:
    """Return the matrix that applies ``first``, then each of the ``following``."""
    total = first
    for matrix in following:
        total = np.column_stack([matrix[:, :2] @ total[:, :2], matrix[:, :2] @ total[:, 2] + matrix[:, 2]])
    return total


def inverse(matrix: Array) -> Array:
    """Return the matrix that undoes another."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def scale_of(matrix: Array) -> float:
    """Return by how much a map enlarges, the mean of both axes."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def resize_matrix(size: tuple[int, int], to: tuple[int, int]) -> Array:
    """Return the map from a picture of ``size`` (rows, columns) to that of size ``to``: edges lie on edges."""
    (height, width), (rows, columns) = size, to
    sx, sy = columns / width, rows / height
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])


def sample(x: Tensor, matrix: Array, size: tuple[int, int], *, border: str = "constant") -> Tensor:
    """Look a picture ``[C, h, w]`` up where ``matrix`` takes each pixel of a grid of ``size``.

    By the cubic spline through the pixels. PyTorch's bicubic kernel (a = −0.75) displaces fine detail by some
    hundredths of a pixel between the pixels, which the measured shift would inherit.

    Args:
        x: the picture.
        matrix: from the grid to the picture.
        size: (rows, columns) of the result.
        border: beyond the picture: "constant" (0) or "nearest", as in `scipy.ndimage`.
    """
    rows_first = matrix[::-1, [1, 0, 2]]
    result = torch.empty(x.shape[0], *size, dtype=x.dtype)
    for plane, target in zip(x.cpu().numpy(), result.numpy(), strict=True):
        ndimage.affine_transform(
            plane, rows_first[:, :2], rows_first[:, 2], output_shape=size, output=target, order=3, mode=border
        )
    return result.to(x.device)
