"""Find the RAW picture of a DNG, and read its tags as numbers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from revisp.cfa import CFA
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.dng.tags import CFA_SAMPLES, LINEAR_SAMPLES
from revisp.io.raw.bayer import OTHER_PATTERN, not_bayer, phase_of
from revisp.io.readable import tiff_pages

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs each tag that it passes over

__all__ = ["DngTags", "bayer_phase", "is_dng"]

Array = np.ndarray[Any, Any]

_VERSION, _PATTERN_SIZE, _PATTERN = 50706, 33421, 33422
_COLOURS = {0: "R", 1: "G", 2: "B", 4: "M", 3: "C", 5: "Y", 6: "W"}
"""Letter by code of CFAPattern (TIFF/EP, ISO 12234-2)."""

_RATIONAL_TYPES = (5, 10)


def is_dng(path: Path) -> bool:
    """Whether a file is a DNG that holds RAW samples."""
    try:
        with decoding(path), tifffile.TiffFile(path) as tiff:
            return _VERSION in tiff.pages.first.tags and _raw_page(tiff) is not None
    except ImageError:  # not a TIFF, or damaged: LibRaw decides
        return False


class DngTags:
    """The tags of a DNG's RAW picture, and of its first directory, which tells what concerns the whole file.

    Args:
        tiff: an open ``tifffile.TiffFile`` of a file that `is_dng`.

    Attributes:
        page: the ``tifffile.TiffPage`` of the RAW picture.
    """

    def __init__(self, tiff: tifffile.TiffFile) -> None:
        self.page = _raw_page(tiff)
        self._first = tiff.pages.first

    def numbers(self, code: int, default: Any = ()) -> Array:
        """Return the numbers of a tag, float64 ``[n]``; a rational with denominator 0 is NaN.

        Args:
            code: number of the tag.
            default: what the specification takes if the tag is missing.
        """
        tag = self.page.tags.get(code) or self._first.tags.get(code)
        if tag is None or isinstance(tag.value, str):
            return np.atleast_1d(np.asarray(default, float))
        value = list(tag.value) if isinstance(tag.value, bytes) else tag.value
        flat = np.atleast_1d(np.asarray(value, float)).ravel()
        if tag.dtype not in _RATIONAL_TYPES:
            return flat
        return np.divide(flat[::2], flat[1::2], out=np.full(flat.size // 2, np.nan), where=flat[1::2] != 0)

    def text(self, code: int) -> str:
        """Return the text of a tag; an empty one if it is missing."""
        value = self._first.tags.valueof(code)
        return value if isinstance(value, str) else ""


def _raw_page(tiff: tifffile.TiffFile) -> Any:
    """Return the largest page of RAW samples, those of the main picture first; None if there is none."""
    raw = [page for page in tiff_pages(tiff) if page.photometric in (CFA_SAMPLES, LINEAR_SAMPLES)]
    return max(raw, key=lambda page: (page.subfiletype == 0, page.imagewidth * page.imagelength), default=None)


def bayer_phase(tags: DngTags, path: Path) -> CFA:
    """Return the Bayer phase at the corner of the active area, from which CFAPattern counts.

    Raises:
        ImageError: the file holds demosaiced RAW, a monochrome sensor's, several samples at each place, or another
            colour pattern than a repeated 2x2 Bayer tile.
    """
    page = tags.page
    if page.photometric != CFA_SAMPLES:
        linear = "it holds full colour (a linear DNG)"
        raise not_bayer(path, "the sensor is monochrome" if page.samplesperpixel == 1 else linear)
    if page.samplesperpixel != 1:
        raise not_bayer(path, f"it holds {page.samplesperpixel} samples at each place")
    size, pattern = tags.numbers(_PATTERN_SIZE, (2, 2)).astype(int), tags.numbers(_PATTERN).astype(int)
    if size.size != 2 or pattern.size != size.prod() or (size < 2).any():
        raise not_bayer(path, f"its pattern has {pattern.size} colours for a size of {size.tolist()}")
    if others := set(pattern) - {0, 1, 2}:
        letters = "".join(letter for code, letter in _COLOURS.items() if code in pattern)
        raise not_bayer(path, f"the sensor's colours are {letters}" if others <= set(_COLOURS) else OTHER_PATTERN)
    cfa = phase_of(pattern.reshape(size))
    if cfa is None or (size % 2).any():
        raise not_bayer(path, OTHER_PATTERN)
    return cfa
