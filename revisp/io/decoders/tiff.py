"""TIFF: the full picture of the file, of any depth. Pillow decodes most kinds of 8 bits, tifffile the others."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageOps

from revisp.errors import ImageError
from revisp.io.colour import Colour, colour_of_exif
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.tiff import Directory, DirectoryReader
from revisp.io.damaged import Damaged, report_damage
from revisp.io.decoders.decoded import DecodedPhoto, check_size, mode_of, upright
from revisp.io.decoders.ordinary import pillow_pixels
from revisp.io.exif import parse_exif
from revisp.io.not_a_photo import refuse_mosaic, refuse_raw
from revisp.io.pixel_limit import check_pixels, pixel_limit

__all__ = ["decode_tiff", "tiff_size"]

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs each tag that it passes over

Array = np.ndarray[Any, Any]

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277
_SUBFILE, _OLD_SUBFILE, _SUB_DIRECTORIES, _SAMPLE_FORMAT, _SOFTWARE, _ICC = 254, 255, 330, 339, 305, 34675
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_COMPRESSION, _UNCOMPRESSED, _JPEGS = 259, 1, (6, 7)
_EXTRA_SAMPLES, _ALPHA = 338, (1, 2)
_ROWS, _PLANAR, _STRIPS, _TILES = 278, 284, (273, 279), (324, 325)
_WHITE_IS_ZERO, _CMYK, _YCBCR = 0, 5, 6
_COLOUR_SAMPLES = {_WHITE_IS_ZERO: 1, 1: 1, 2: 3, _CMYK: 4, _YCBCR: 3}
"""Samples of a pixel that are colours, by photometric interpretation; further ones are alpha or unspecified."""
_UNSIGNED = 1
_PILLOW_GREY_BITS = (1, 2, 4, 8)
_PILLOW_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
"""None, of fax, LZW, JPEG, Deflate, PackBits. Its libtiff may lack others, or print that it does."""


class _Page(NamedTuple):
    """A picture of the file: its place among the chained ones, and among those below that one (None: itself)."""

    tags: Directory
    place: int
    below: int | None

    def first(self, tag: int, default: int = 0) -> int:
        value = self.tags.get(tag)
        return int(value[0]) if isinstance(value, tuple) and value and value[0] is not None else default

    @property
    def area(self) -> int:
        return self.first(_WIDTH) * self.first(_HEIGHT)

    @property
    def reduced(self) -> bool:
        """Whether the file says that it is a smaller copy of another picture, or a mask for one."""
        return bool(self.first(_SUBFILE) & (_REDUCED | _MASK)) or self.first(_OLD_SUBFILE) == _OLD_REDUCED


def decode_tiff(file: BinaryIO, path: Path, damaged: Damaged = "refuse") -> DecodedPhoto:
    """Decode the first full picture of a TIFF.

    Args:
        file: the photo.
        path: its name in errors.
        damaged: what to do if strips or tiles are absent or too short.

    Raises:
        ImageError: a RAW file, a mosaic, or pixels of a kind or size that are not supported; or it is damaged and
            refused.
    """
    pages = _pages(file)
    refuse_raw([page.tags for page in pages], path)
    page = _full(pages)
    check_size(path, page.first(_WIDTH), page.first(_HEIGHT))
    check_pixels(path, page.first(_WIDTH), page.first(_HEIGHT), page.first(_SAMPLES, 1))
    _check_whole(page, path, damaged)
    others = [each for each in pages if each is not page and not each.reduced and 4 * each.area > page.area]
    if others:
        warnings.warn(f"{path}: has {1 + len(others)} frames, only the first is read", stacklevel=5)
    exif = parse_exif(file)
    pixels, mode, white = _pixels(file, page, path)
    software = page.tags.get(_SOFTWARE)
    refuse_mosaic(pixels, path, software.decode("latin-1") if isinstance(software, bytes) else None)
    icc = page.tags.get(_ICC)
    colour = Colour(icc=icc) if isinstance(icc, bytes) and len(icc) > 128 else colour_of_exif(exif)
    return DecodedPhoto(pixels, mode, white, colour, exif)


def _check_whole(page: _Page, path: Path, damaged: Damaged) -> None:
    """Report a picture of which strips or tiles are absent or too short: decoders fill them with black.

    Raises:
        ImageError: some are.
    """
    rows = min(page.first(_ROWS, 2**32 - 1) or 2**32 - 1, page.first(_HEIGHT))
    strips = -(-page.first(_HEIGHT) // rows) * (page.first(_SAMPLES, 1) if page.first(_PLANAR, 1) == 2 else 1)
    for kind, needed in ((_STRIPS, strips), (_TILES, 1)):
        places, sizes = (page.tags.get(tag, ()) for tag in kind)
        if places and sizes and (0 in places or 0 in sizes or min(len(places), len(sizes)) < needed):
            report_damage(path, "damaged, strips or tiles of its picture are absent", damaged)
            return
    _, sizes = (page.tags.get(tag, ()) for tag in _STRIPS)
    if sizes and page.first(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED and _least_bytes(page) > sum(sizes):
        report_damage(path, "damaged, strips of its picture are too short", damaged)


def _least_bytes(page: _Page) -> int:
    """Return the bytes of an uncompressed picture."""
    bits = sum(page.tags.get(_BITS, (1,))[: page.first(_SAMPLES, 1)])
    return page.first(_HEIGHT) * -(-page.first(_WIDTH) * bits // 8)


def tiff_size(file: BinaryIO) -> tuple[int, int]:
    """Return height and width, as stored, of the picture that `decode_tiff` reads.

    Raises:
        ValueError: there is none.
    """
    page = _full(_pages(file))
    return page.first(_HEIGHT), page.first(_WIDTH)


def _pages(file: BinaryIO) -> list[_Page]:
    """Return the pictures of the file.

    Raises:
        ValueError: there is none.
    """
    try:
        reader = DirectoryReader(file)
    except DamagedError as error:
        raise ValueError(str(error)) from error
    pages = []
    for index, tags in enumerate(reader.chain()):
        pages.append(_Page(tags, index, None))
        for below, place in enumerate(tags.get(_SUB_DIRECTORIES, ())):
            try:
                pages.append(_Page(reader.read(int(place)), index, below))
            except DamagedError:
                continue
    pages = [page for page in pages if page.area]
    if not pages:
        raise ValueError("no picture in it")
    return pages


def _full(pages: list[_Page]) -> _Page:
    """Return the first picture that is not reduced; the largest if all say that they are.

    Some writers put a small copy first without saying so: a later one of the same shape counts, if it is at least
    twice as wide.
    """
    full = [page for page in pages if not page.reduced]
    if not full:
        return max(pages, key=lambda page: page.area)
    first = full[0]
    shape = first.first(_WIDTH) / first.first(_HEIGHT)
    larger = [
        page
        for page in full
        if page.area >= 4 * first.area and abs(page.first(_WIDTH) / page.first(_HEIGHT) / shape - 1) < 0.05
    ]
    return max(larger, key=lambda page: page.area) if larger else first


def _pixels(file: BinaryIO, page: _Page, path: Path) -> tuple[Array, str, int]:
    """Return the upright pixels of a picture, their mode, and the value of white."""
    bits = page.tags.get(_BITS, (1,))
    samples = page.first(_SAMPLES, 1)
    shallow = set(bits) == {8} or (samples == 1 and bits[0] in _PILLOW_GREY_BITS)
    known = page.first(_COMPRESSION, _UNCOMPRESSED) in _PILLOW_COMPRESSIONS
    file.seek(0)
    if shallow and known and page.below is None:
        with pixel_limit(), Image.open(file, formats=("TIFF",)) as image:
            image.seek(page.place)
            image.load()
            return *pillow_pixels(ImageOps.exif_transpose(image), path), 255
    with tifffile.TiffFile(file) as tiff:
        stored: Any = tiff.pages[page.place] if page.place else tiff.pages.first
        if page.below is not None:
            stored = stored.pages[page.below]
        return _deep(stored, page, path)


def _deep(stored: Any, page: _Page, path: Path) -> tuple[Array, str, int]:
    bits = set(page.tags.get(_BITS, (1,)))
    photometric = page.first(_PHOTOMETRIC)
    kind = stored.dtype
    if (
        len(bits) != 1
        or page.first(_SAMPLE_FORMAT, _UNSIGNED) not in (_UNSIGNED, 4)
        or photometric not in _COLOUR_SAMPLES
        or (photometric == _YCBCR and page.first(_COMPRESSION) not in _JPEGS)  # tifffile converts only these
        or kind is None
        or kind.kind != "u"
    ):
        raise ImageError(f"{path}: a TIFF of this kind ({kind}) is not a photo: convert it to 8- or 16-bit RGB")
    white = 2 ** bits.pop() - 1
    pixels = stored.asarray()
    if pixels.ndim != 2 and (pixels.ndim != 3 or "S" not in stored.axes):
        raise ValueError(f"its pixels have the axes {stored.axes}")
    if stored.axes.startswith("S"):
        pixels = pixels.transpose(1, 2, 0)
    if photometric == _WHITE_IS_ZERO:  # its alpha is not
        pixels = (
            np.concatenate([white - pixels[..., :1], pixels[..., 1:]], -1) if pixels.ndim == 3 else white - pixels
        )
    if pixels.ndim == 3:
        pixels = _without_extra(pixels, page)
    pixels = upright(pixels, page.first(_ORIENTATION, 1))
    return pixels, "CMYK" if photometric == _CMYK else mode_of(pixels), white


def _without_extra(pixels: Array, page: _Page) -> Array:
    """Return the colours of ``[H, W, S]``, and alpha if there is one; grey without alpha as ``[H, W]``."""
    colours = _COLOUR_SAMPLES[page.first(_PHOTOMETRIC)]
    kinds = page.tags.get(_EXTRA_SAMPLES, ())
    alpha = [colours + place for place, kind in enumerate(kinds) if kind in _ALPHA and colours != 4][:1]
    kept = [*range(colours), *alpha]
    if len(kept) == 1:
        return pixels[..., 0]
    return pixels if len(kept) == pixels.shape[-1] else pixels[..., kept]
