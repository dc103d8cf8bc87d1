"""Light as a file holds it, and what must be mended before it can be a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from revisp.errors import ImageError
from revisp.io.primaries import REC709

__all__ = ["Projection", "StoredLight", "luminance_plane", "mend", "refuse_eight_bits"]

Array = np.ndarray[Any, Any]
Projection = Literal["equirectangular", "planar"]

MAX_WRONG = 0.01
"""Greatest share of pixels that are replaced."""

NOISE = 0.05
"""Negative values down to this share of the median light are noise around black, not errors."""

EIGHT_BITS = 256
"""Values that a picture of 8 bits can have."""

EIGHT_BITS_EV = 12.0
"""EV between the least and the greatest of them: 1/255 in the linear part of sRGB's curve is 11.7 below 1."""


class StoredLight(NamedTuple):
    """Decoded pixels.

    Attributes:
        pixels: linear light ``[H, W, 3]``, float32, in the file's own colours.
        to_srgb: matrix from those to linear sRGB; None: they are sRGB's.
        notes: what a user should know.
        projection: where the file states it.
    """

    pixels: Array
    to_srgb: Array | None = None
    notes: tuple[str, ...] = ()
    projection: Projection | None = None


def mend(stored: StoredLight, path: Path) -> StoredLight:
    """Replace the few pixels that can be no light, and bring the rest to linear sRGB without negative values.

    Infinite light becomes the greatest finite value of the picture. Pixels that are no number, or negative by more
    than noise around black is, become the nearest good pixel. Colours outside sRGB lose their negative part.

    Raises:
        ImageError: too many such pixels, or no light at all.
    """
    pixels, notes = stored.pixels, list(stored.notes)
    lowest = pixels.min()
    if not (lowest >= 0 and np.isfinite(pixels.max())):  # also where the lowest is no number
        pixels = _replaced(pixels.copy(), notes, path)
    if not pixels.any():
        raise ImageError(f"{path}: no light in it: no pixel is above zero")
    if stored.to_srgb is not None:
        pixels = pixels @ stored.to_srgb.T.astype(np.float32)
    if pixels.min() < 0:
        outside = (pixels < 0).any(axis=-1).mean()
        if outside > MAX_WRONG:
            notes.append(f"{outside:.0%} of the pixels had values below zero, which were set to zero")
        pixels = np.maximum(pixels, 0)
    return stored._replace(pixels=pixels, to_srgb=None, notes=tuple(notes))


def _replaced(pixels: Array, notes: list[str], path: Path) -> Array:
    """Replace what can be no light, in place, and note it."""
    lit = pixels[np.isfinite(pixels) & (pixels > 0)]
    if not lit.size:
        raise ImageError(f"{path}: no light in it: no pixel is above zero")
    infinite = np.isposinf(pixels)
    wrong = (~np.isfinite(pixels) & ~infinite) | (pixels < -NOISE * np.median(lit))
    share = (infinite | wrong).any(axis=-1).mean()
    if share > MAX_WRONG:
        raise ImageError(
            f"{path}: {share:.1%} of its pixels are negative, infinite or no numbers; "
            f"up to {MAX_WRONG:.0%} are mended"
        )
    if infinite.any():
        notes.append(f"{infinite.any(axis=-1).sum()} pixels of infinite light set to the greatest finite value")
        pixels[infinite] = lit.max()
    if wrong.any():
        bad = wrong.any(axis=-1)
        notes.append(f"{bad.sum()} pixels that were negative or no numbers replaced by their neighbours")
        nearest = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
        pixels[bad] = pixels[tuple(index[bad] for index in nearest)]
    return pixels


def refuse_eight_bits(pixels: Array, path: Path) -> None:
    """Refuse an ordinary picture that was saved in a format for light: its highlights are cut off.

    It is known by its brightest channel, which has no more values than 8 bits can hold.

    Raises:
        ImageError: it is one.
    """
    brightest = pixels.reshape(-1, 3).max(axis=-1)
    values = np.unique(brightest[:: max(1, len(brightest) >> 20)])
    few = len(values) <= min(EIGHT_BITS, len(brightest) // 16)
    if few and values[-1] < 2**EIGHT_BITS_EV * values[values > 0][0]:
        raise ImageError(
            f"{path}: no more different values ({len(values)}) than an ordinary picture of 8 bits: "
            "its highlights are cut off, so it is no scene"
        )


def luminance_plane(pixels: Array) -> Array:
    """Return the luminance ``[H, W]`` of linear sRGB ``[H, W, 3]``."""
    weights: Array = REC709.to_xyz()[1].astype(np.float32)
    return pixels @ weights
