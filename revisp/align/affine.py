"""Affine maps between pixel grids: 2x3 matrices for (x, y, 1). Integer coordinates are pixel centres."""

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
    """Return the scale of a map: the geometric mean over both axes."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def resize_matrix(size: tuple[int, int], to: tuple[int, int]) -> Array:
    """Return the map from a picture of ``size`` (rows, columns) to one of size ``to``; edges map to edges."""
    (height, width), (rows, columns) = size, to
    sx, sy = columns / width, rows / height
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])


def sample(x: Tensor, matrix: Array, size: tuple[int, int], *, border: str = "constant") -> Tensor:
    """Sample a picture ``[C, h, w]`` at the positions that ``matrix`` gives each pixel of a grid of ``size``.

    Values between pixels come from the cubic spline through the pixels. PyTorch's bicubic kernel (a = −0.75)
    displaces fine detail there by some hundredths of a pixel, and the measured shift would inherit that error.

    Args:
        x: the picture.
        matrix: from the grid to the picture.
        size: (rows, columns) of the result.
        border: values beyond the picture, as in `scipy.ndimage`: "constant" (0) or "nearest".
    """
    rows_first = matrix[::-1, [1, 0, 2]]
    result = torch.empty(x.shape[0], *size, dtype=x.dtype)
    for plane, target in zip(x.cpu().numpy(), result.numpy(), strict=True):
        ndimage.affine_transform(
            plane, rows_first[:, :2], rows_first[:, 2], output_shape=size, output=target, order=3, mode=border
        )
    return result.to(x.device)
