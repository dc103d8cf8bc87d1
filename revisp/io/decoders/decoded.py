"""What the decoders give: pixels as stored, with all that says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from revisp.errors import ImageError
from revisp.io.colour import Colour
from revisp.io.exif import Exif
from revisp.io.gain_fields import GainFields
from revisp.io.pixel_limit import check_pixels
from revisp.symmetry import Symmetry

__all__ = ["MIN_SIZE", "DecodedPhoto", "StoredGain", "check_size", "mode_of", "upright"]

Array = np.ndarray[Any, Any]

MIN_SIZE = 16
"""Least height and width, in pixels."""


@dataclass(frozen=True)
class StoredGain:
    """A gain map as a file holds it.

    Attributes:
        values: ``[h, w]`` or ``[h, w, 3]``, whole numbers from 0 to ``white``, as the photo was stored or turned.
        white: value that means 1.
        meaning: what the values mean.
        origin: what stored it.
        colour: colours of the other rendition, where the map is for those.
    """

    values: Array
    white: int
    meaning: GainFields | Any
    origin: str
    colour: Colour | None = None


@dataclass(frozen=True)
class DecodedPhoto:
    """A decoded photo, upright.

    Attributes:
        pixels: whole numbers ``[H, W]`` or ``[H, W, C]`` from 0 to ``white``.
        mode: ``"L"``, ``"LA"``, ``"RGB"``, ``"RGBA"`` or ``"CMYK"``.
        white: value of white.
        colour: what the file declares.
        exif: how it was taken.
        gain: its gain map, if there is one and it was asked for.
    """

    pixels: Array
    mode: str
    white: int
    colour: Colour = field(default_factory=Colour)
    exif: Exif = field(default_factory=Exif)
    gain: StoredGain | None = None


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse photos that are too small or too large.

    Raises:
        ImageError: less than 16 pixels a side, or more than `revisp.limits.max_pixels`.
    """
    if min(width, height) < MIN_SIZE:
        raise ImageError(f"{path}: {width}x{height} pixels, the least is {MIN_SIZE}x{MIN_SIZE}")
    check_pixels(path, width, height)


def mode_of(pixels: Array) -> str:
    """Return the mode of decoded pixels by their number of channels."""
    return {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[1 if pixels.ndim == 2 else pixels.shape[-1]]


def upright(pixels: Array, orientation: int) -> Array:
    """Apply an EXIF orientation (1 to 8) to ``[H, W]`` or ``[H, W, C]``."""
    hflip, vflip, transpose = Symmetry.of_orientation(int(orientation))
    pixels = pixels[:: -1 if vflip else 1, :: -1 if hflip else 1]
    return pixels.swapaxes(0, 1) if transpose else pixels
