"""Read DNG files whose mosaic is JPEG XL (DNG 1.7), which LibRaw cannot decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError, ImageError
from revisp.io.dng.codec import COMPRESSIONS, join_fields
from revisp.io.exif import read_metadata
from revisp.io.raw.matrices import dng_matrix
from revisp.io.raw.rawimage import RawImage, Rectangle

__all__ = ["is_jxl_dng", "read_jxl_dng"]

Array = np.ndarray[Any, Any]

_CFA_SAMPLES, _LINEAR_SAMPLES = 32803, 34892
_MAKE, _MODEL, _ORIENTATION, _NEUTRAL = 271, 272, 274, 50728
_PATTERN, _BLACK_DIM, _BLACK, _WHITE = 33422, 50713, 50714, 50717
_RATIONAL_TYPES = (5, 10)  # types of a tag
_ACTIVE_AREA, _LINEARIZATION, _ROW_FACTOR, _COLUMN_FACTOR = 50829, 50712, 50975, 52547


def is_jxl_dng(path: Path) -> bool:
    """Whether the RAW in a file is JPEG XL."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page = _raw_page(tiff)
    except Exception:  # not a TIFF, or damaged: LibRaw decides
        return False
    return page is not None and page.compression == COMPRESSIONS["jpegxl"].code


def read_jxl_dng(path: Path) -> RawImage:
    """Read a DNG file that `is_jxl_dng`; see `revisp.io.read_raw`.

    Raises:
        ImageError: the file is cut off or damaged, or holds no 2x2 Bayer mosaic.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            page = _raw_page(tiff)
            first = tiff.pages.first
            if page.photometric != _CFA_SAMPLES or page.samplesperpixel != 1:
                raise ImageError(f"{path}: holds no Bayer mosaic: it holds full colour (a linear DNG)")
            if _LINEARIZATION in page.tags:
                raise ImageError(f"{path}: its values are coded by a table, which revisp does not read in JPEG XL")
            stored = page.asarray()
            if (page.tags.valueof(_ROW_FACTOR), page.tags.valueof(_COLUMN_FACTOR)) == (2, 2):
                stored = join_fields(stored)
            area = _active_area(page, stored.shape)
            mosaic = np.ascontiguousarray(stored[area.slices], np.uint16)
            profile = _profile(first, page, area, mosaic, path)
            orientation = int(first.tags.valueof(_ORIENTATION, default=1))
    except ImageError:
        raise
    except ConfigError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # tifffile and the decoder fail in as many ways as a file can be damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: cut off or damaged ({reason})") from error
    return RawImage(mosaic, profile, read_metadata(path), orientation if orientation in range(1, 9) else 1)


def _raw_page(tiff: tifffile.TiffFile) -> Any:
    """Return the largest page of RAW samples; None if there is none."""
    pages = [page for top in tiff.pages for page in (top, *(top.pages or ()))]
    raw = [page for page in pages if page.photometric in (_CFA_SAMPLES, _LINEAR_SAMPLES)]
    return max(raw, key=lambda page: page.imagewidth * page.imagelength, default=None)


def _active_area(page: Any, shape: tuple[int, ...]) -> Rectangle:
    """Return the part of the samples that light reached."""
    values = page.tags.valueof(_ACTIVE_AREA)
    if values is None:
        return Rectangle(0, 0, *shape)
    top, left, bottom, right = (int(value) for value in values)
    area = Rectangle(top, left, bottom - top, right - left)
    if not area.fits(*shape):
        raise ConfigError(f"its active area {values} is not within {shape[1]}x{shape[0]}")
    return area


def _profile(first: Any, page: Any, area: Rectangle, mosaic: Array, path: Path) -> CameraProfile:
    """Build the profile of the active area, whose phase begins at its own corner (DNG 1.7.1, ActiveArea)."""
    tags = page.tags
    pattern = np.frombuffer(bytes(tags.valueof(_PATTERN) or b""), np.uint8)
    cfa = CFA.from_indices(pattern.reshape(2, 2) if pattern.size == 4 else pattern[None])
    rows, columns = tags.valueof(_BLACK_DIM) or (1, 1)
    levels = _numbers(tags, _BLACK, [0.0] * (rows * columns)).reshape(rows, columns)
    white = float(_numbers(tags, _WHITE, [2**page.bitspersample - 1]).min())
    matrix, neutral = dng_matrix(path), _numbers(first.tags, _NEUTRAL, [])
    if matrix is None or neutral.shape != (3,) or not neutral.all():
        raise ConfigError("stores no colour matrix or no neutral")
    return CameraProfile(
        make=str(first.tags.valueof(_MAKE) or "Unknown"),
        model=str(first.tags.valueof(_MODEL) or "Unknown"),
        cfa=cfa,
        black_level=tuple(float(levels[row % rows, column % columns]) for row, column in cfa.offsets),  # type: ignore[arg-type]
        white_level=white,
        bits=max(int(white).bit_length(), int(mosaic.max()).bit_length()),
        color_matrix=matrix.tolist(),
        as_shot_neutral=tuple(np.round(neutral / neutral[1], 6)),
    )


def _numbers(tags: Any, code: int, default: list[float]) -> Array:
    """Return a tag's numbers; tifffile gives a rational as numerator and denominator in turn."""
    tag = tags.get(code)
    if tag is None:
        return np.asarray(default, float)
    flat = np.atleast_1d(np.asarray(tag.value, float))
    return flat[::2] / flat[1::2] if tag.dtype in _RATIONAL_TYPES else flat
