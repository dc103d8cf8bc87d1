"""Robust fit of an affine map to the displacements of many blocks. Some of them are outliers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from revisp.align.affine import Array
from revisp.align.blocks import KNOWN_WEIGHT, Matches

__all__ = ["AffineStep", "affine_step"]

_PRIOR_DEVIATIONS = np.array([np.inf, np.inf, 0.02, 0.02, 0.002, 0.002])
"""Prior standard deviation of shift (x, y), scale, rotation, unequal scale and shear.

Cameras resize both axes alike and do not shear. Where few blocks, or blocks along one line, do not determine these
parameters, they stay at 0. Many blocks outweigh the prior.
"""
_SHIFT_DEVIATION = 0.2
"""Assumed standard deviation of one block's shift, which sets the weight of the prior, in pixels of the grid."""
_TUKEY_CUTOFF = 4.685


class AffineStep(NamedTuple):
    """The fitted map, in pixels of the working grid.

    Attributes:
        matrix: 2x3, from a pixel (x, y, 1) to the position of its content in the other picture.
        rest: residual (x, y) of each block's shift after the map, in the directions that the block knows,
            ``[n, 2]``.
        uncertainty: standard deviation of the map at the corner of the frame where it is greatest.
    """

    matrix: Array
    rest: Array
    uncertainty: float


def affine_step(matches: Matches, size: tuple[int, int]) -> AffineStep:
    """Fit shift, scale, rotation, unequal scale and shear to the blocks, robustly.

    Iteratively reweighted least squares, first for least absolute deviations, then with Tukey's biweight (P.
    Huber, E. Ronchetti, "Robust Statistics", 2009). A block counts in the directions that it knows.

    Args:
        matches: the blocks, at least one of them found.
        size: (height, width) of the working grid.
    """
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    half = float(np.hypot(*size)) / 2
    basis = _basis((matches.centre - centre) / half)
    prior = np.diag((_SHIFT_DEVIATION / (_PRIOR_DEVIATIONS * half)) ** 2)
    known = _known_directions(matches)
    robust = matches.found.astype(float)
    for step in range(12):
        weighted = np.einsum("nij,njp->nip", matches.weight * robust[:, None, None], basis)
        normal = np.einsum("nip,niq->pq", basis, weighted) + prior
        parameters = np.linalg.lstsq(normal, np.einsum("nip,ni->p", weighted, matches.shift), rcond=None)[0]
        rest = np.einsum("nij,nj->ni", known, matches.shift - basis @ parameters)
        off = np.hypot(*rest.T)
        spread = max(1.4826 * float(np.median(off[matches.found])), 0.05)
        if step < 6:
            robust = matches.found / np.maximum(off / spread, 0.1)
        else:
            robust = matches.found * np.clip(1 - (off / (_TUKEY_CUTOFF * spread)) ** 2, 0, None) ** 2
    dx, dy, scale, turn, unequal, shear = parameters / np.array([1, 1, half, half, half, half])
    linear = np.array([[1 + scale + unequal, shear - turn], [shear + turn, 1 + scale - unequal]])
    corners = _basis(np.array([[x, y] for x in (-1, 1) for y in (-1, 1)]) * centre / half)
    noise = max(_SHIFT_DEVIATION, spread)
    covariance = noise**2 * np.linalg.pinv(normal)
    variance = np.einsum("nip,pq,niq->n", corners, covariance, corners)
    shift = np.array([dx, dy])
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
    return AffineStep(matrix, rest, float(np.sqrt(variance.max())))


def _known_directions(matches: Matches) -> Array:
    """Return the projection of each block on the directions that it knows, ``[n, 2, 2]``."""
    values, vectors = np.linalg.eigh(matches.weight)
    projection: Array = np.einsum("nij,nj,nkj->nik", vectors, values >= KNOWN_WEIGHT, vectors)
    return projection


def _basis(at: Array) -> Array:
    """Return ``[n, 2, 6]``: the shift (x, y) that each parameter gives at ``at`` ``[n, 2]``."""
    x, y = at.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = [[one, zero, x, -y, x, y], [zero, one, y, x, -y, x]]
    basis: Array = np.stack([np.stack(row, -1) for row in rows], 1)
    return basis
