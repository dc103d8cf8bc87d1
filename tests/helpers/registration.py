"""Textures, photographs of them by known geometry, and alignments to compare with."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from skimage import transform

from revisp.align import Alignment
from revisp.symmetry import Symmetry

HEIGHT, WIDTH = 360, 480


def scene(height=HEIGHT, width=WIDTH, seed=0):
    """A colourful texture of all sizes, smooth enough to be resampled, in [0.1, 0.9]."""
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.standard_normal((3, height, width)), (0, s, s)) for s in (1.5, 3, 8, 20)]
    total = sum(layer / layer.std() for layer in layers)
    total += 2 * total.mean(0)  # the channels have most of their structure in common
    total /= np.abs(total).max()
    return torch.from_numpy((0.5 + 0.4 * total).astype(np.float32))


def affine(dx=0.0, dy=0.0, scale=1.0, degrees=0.0, height=HEIGHT, width=WIDTH):
    """2x3 from RAW to photo: a turn and scale about the centre, then a shift."""
    turn = scale * np.array(
        [
            [math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))],
            [math.sin(math.radians(degrees)), math.cos(math.radians(degrees))],
        ]
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([turn, centre + np.array([dx, dy]) - turn @ centre])


def photograph(reference, matrix, size=None):
    """Resample by scikit-image (spline of order 5, another kernel than the library's)."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    planes = [
        transform.warp(plane, transform.AffineTransform(back), output_shape=size, order=5, mode="edge")
        for plane in reference.double().numpy()
    ]
    return torch.from_numpy(np.stack(planes)).float().clamp(0, 1)


def greatest_error(found, matrix):
    """Greatest distance, over the corners and the centre, between two maps; photo pixels."""
    height, width = found.raw_size
    points = np.array(
        [[x, y, 1] for x in (0, (width - 1) / 2, width - 1) for y in (0, (height - 1) / 2, height - 1)]
    )
    return float(np.hypot(*(points @ (found.matrix - matrix).T).T).max())


def alignment(matrix, raw_size=(64, 96), photo_size=(64, 96), flow=None, trusted=None, unlike=None, **noise):
    rows, columns = (np.linspace(8, side - 8, 4) for side in raw_size)
    return Alignment(
        symmetry=Symmetry(),
        matrix=np.asarray(matrix, float),
        raw_size=raw_size,
        photo_size=photo_size,
        rows=rows,
        columns=columns,
        flow=np.zeros((4, 4, 2)) if flow is None else flow,
        trusted=np.ones((4, 4), bool) if trusted is None else trusted,
        unlike=np.zeros((4, 4), bool) if unlike is None else unlike,
        **noise,
    )
