"""Whether a RAW is what its file says, and whether a photo can be its rendering: by what is measured.

A simple camera model explains real pairs to 22 dB at least, with a colour matrix within 0.3 of the file's. A wrong
Bayer phase leaves 6 to 10 dB, or exchanges red and blue (`docs/real-cameras.md`).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.fitted import FittedCamera
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, PLANES, pack
from revisp.errors import DataError, RevispError
from revisp.io.raw.ceilings import find_ceilings
from revisp.io.raw.rawimage import RawImage

__all__ = ["require_bayer", "require_explained", "warn_of_levels"]

Array = np.ndarray[Any, Any]

LEAST_PSNR = 12.0
"""Least PSNR of a photo by the camera model, in dB; below it, the photo is no rendering of the RAW."""

USUAL_PSNR = 20.0
"""PSNR of a photo by the camera model, in dB, below which a pair is worth a look."""

MOST_UNLIKE = 0.5
"""Greatest difference between a coefficient of the fitted colour matrix and the file's, both balanced."""

_CLEARLY = 6.0  # dB by which another Bayer phase must fit better
_QUAD = 0.5  # neighbours within blocks differ by less than this share of those across
_COLOURED = 0.05  # contrast of the blocks' four positions, as a share of their mean
_BEYOND_CHANCE = 6.0  # standard errors of that contrast
_COARSE = 256  # levels
_CEILING_APART = 0.01  # of the range


def require_bayer(raw: RawImage, path: Path) -> None:
    """Require that samples lie as a Bayer mosaic's do, not in blocks of one colour.

    In a Bayer mosaic neighbours are of two colours, wherever a pair of them begins. In a quad-Bayer mosaic, or a
    Bayer mosaic that was enlarged, every other pair of neighbours is of one colour.

    Raises:
        DataError: the samples lie in 2x2 blocks of one colour.
    """
    mosaic = raw.mosaic.astype(np.float32)
    starts, contrasts = zip(*(_pairs(mosaic, axis) for axis in (0, 1)), strict=True)
    within, across = (np.array(values) for values in zip(*contrasts, strict=True))
    if (within >= _QUAD * across).any():
        return
    rows, columns = ((side - start) // 4 * 4 for side, start in zip(mosaic.shape, starts, strict=True))
    blocks = torch.from_numpy(mosaic[starts[0] :, starts[1] :][:rows, :columns])[None]
    places = pack(F.avg_pool2d(blocks, 2), CFA.RGGB).flatten(1)
    apart = places - places.mean(dim=0)
    chance = float(apart.std(dim=1).max()) / places.shape[1] ** 0.5
    contrast = float(apart.mean(dim=1).max() - apart.mean(dim=1).min())
    if contrast > max(_COLOURED * float(places.mean()), _BEYOND_CHANCE * chance):
        raise DataError(
            f"{path}: its samples lie in 2x2 blocks of one colour (neighbours differ by {within.mean():.0f} "
            f"levels within blocks, by {across.mean():.0f} across): a quad-Bayer or enlarged mosaic, labelled as "
            "2x2 Bayer; take the RAW that the camera makes at its binned resolution"
        )


def _pairs(mosaic: Array, axis: int) -> tuple[int, tuple[float, float]]:
    """Return where pairs of alike neighbours begin, 0 or 1, and how much neighbours differ within and across."""
    steps = np.abs(np.diff(mosaic, axis=axis)).mean(axis=1 - axis)
    even, odd = (float(value) for value in steps[: steps.size // 2 * 2].reshape(-1, 2).mean(axis=0))
    return int(odd < even), (min(even, odd), max(even, odd))


def warn_of_levels(raw: RawImage, path: Path) -> None:
    """Warn of a mosaic of few levels, and of colours that do not saturate at the white level."""
    profile = raw.profile
    levels = profile.white_level - min(profile.black_level)
    if levels < _COARSE:
        warnings.warn(
            f"{path}: its mosaic has only {levels:.0f} levels, as few as 8 bits hold: its shadows are coarse",
            stacklevel=2,
        )
    found = [(name, one) for name, one in zip(PLANES, find_ceilings(raw), strict=True) if one is not None]
    apart = [(name, one) for name, one in found if abs(one.level - profile.white_level) > _CEILING_APART * levels]
    if apart:
        said = ", ".join(f"{name} at {one.level:.0f} ({one.samples} samples)" for name, one in apart)
        warnings.warn(
            f"{path}: saturates elsewhere than at its white level {profile.white_level:.0f}: {said}", stacklevel=2
        )


def require_explained(
    fitted: FittedCamera, profile: CameraProfile, stored: Array, srgb: Tensor, valid: Tensor | None, what: str
) -> None:
    """Require that a simple camera model explains a photo by its RAW, and warn if it does badly.

    If it does not, the four Bayer phases are tried.

    Args:
        fitted: the camera model of this pair.
        profile: what the file says of the camera.
        stored: the mosaic in stored units, ``[H, W]``.
        srgb: the photo on its grid, ``[3, H, W]``.
        valid: ``[1, H, W]``, 1 where both show the same; None: everywhere.
        what: the pair, for messages.

    Raises:
        DataError: another Bayer phase fits clearly better, or none fits.
    """
    own = _Explained(fitted.psnr, _unlikeness(fitted, profile))
    if own.psnr >= USUAL_PSNR and own.unlike <= MOST_UNLIKE:
        return
    tried = {cfa: _explained(profile.replace(cfa=cfa), stored, srgb, valid) for cfa in CFA}
    best = max(tried, key=lambda cfa: tried[cfa].merit)
    if best is not profile.cfa and tried[best].clearly_above(tried[profile.cfa]):
        raise DataError(
            f"{what}: the photo fits the Bayer phase {best.value} ({tried[best]}), not the file's "
            f"{profile.cfa.value} ({tried[profile.cfa]}): its phase is wrong, or rows or columns were cut off"
        )
    if own.psnr < LEAST_PSNR:
        raise DataError(
            f"{what}: no camera model makes this photo of this RAW ({own.psnr:.1f} dB, 30 to 40 are usual, and no "
            "Bayer phase does better): take the camera's own JPEG of this RAW, or leave the pair out"
        )
    if own.psnr < USUAL_PSNR:
        warnings.warn(
            f"{what}: a camera model explains the photo to {own.psnr:.1f} dB only, where 30 to 40 are usual: look "
            "at it in the contact sheet (--preview)",
            stacklevel=2,
        )
    if own.unlike > MOST_UNLIKE:
        warnings.warn(
            f"{what}: the colours of the photo differ from the file's colour matrix by {own.unlike:.2f}, where "
            "0.3 is the most among real cameras: the matrix is of another camera, or the photo has a colour style",
            stacklevel=2,
        )


class _Explained(NamedTuple):
    """How well a camera model explains a photo: PSNR in dB, and its difference from the file's matrix."""

    psnr: float
    unlike: float

    @property
    def merit(self) -> float:
        """Figure that is high for a good fit with a plausible matrix."""
        return self.psnr - 2 * _CLEARLY * min(self.unlike / MOST_UNLIKE, 2.0)

    def clearly_above(self, other: _Explained) -> bool:
        """Whether this is the right fit, and the other a wrong one."""
        plausible = self.psnr >= LEAST_PSNR and self.unlike <= MOST_UNLIKE
        return plausible and self.merit - other.merit > _CLEARLY

    def __str__(self) -> str:
        return f"{self.psnr:.1f} dB, colours {self.unlike:.2f} from its matrix"


def _explained(profile: CameraProfile, stored: Array, srgb: Tensor, valid: Tensor | None) -> _Explained:
    """Fit a camera model at half the size, where no demosaicing is needed."""
    planes = torch.from_numpy(pack(profile.normalise(stored)[None], profile.cfa))
    red, green_red, green_blue, blue = planes
    raw_rgb = torch.stack((red, (green_red + green_blue) / 2, blue))
    counts = None if valid is None else -F.max_pool2d(-valid, 2)
    try:
        fitted = fit_camera([FitPair(F.avg_pool2d(srgb, 2), raw_rgb, counts)], shading=False)
    except RevispError:
        return _Explained(0.0, 2 * MOST_UNLIKE)
    return _Explained(fitted.psnr, _unlikeness(fitted, profile))


def _unlikeness(fitted: FittedCamera, profile: CameraProfile) -> float:
    """Return the greatest difference of the matrices from linear sRGB to balanced camera RGB."""
    inverse = fitted.inverse_matrix
    white = inverse.sum(axis=1, keepdims=True)
    if (white <= 0).any():
        return 2 * MOST_UNLIKE
    return float(np.abs(inverse / white - profile.srgb_to_camera).max())
