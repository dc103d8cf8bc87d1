"""Read DNG files by their own tags: LibRaw decodes the samples, tifffile those that LibRaw cannot."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError, ImageError
from revisp.io.boundary import decoding
from revisp.io.damaged import Damaged
from revisp.io.dng.codec import COMPRESSIONS, join_fields
from revisp.io.exif import PhotoMetadata, read_metadata
from revisp.io.jpeg_data import check_lossless_jpeg
from revisp.io.raw.dng_colour import CameraColours, as_shot
from revisp.io.raw.dng_levels import (
    FLOATING,
    LINEARIZATION,
    DngLevels,
    Stored,
    active_area,
    masked_areas,
    store,
)
from revisp.io.raw.dng_tags import DngTags, bayer_phase
from revisp.io.raw.libraw import libraw_metadata, open_libraw
from revisp.io.raw.masked_border import border_black, masked_black, warn_of_black
from revisp.io.raw.rawimage import RawImage, Rectangle, picture_area
from revisp.io.readable import check_complete, check_largest, check_samples

__all__ = ["read_dng"]

Array = np.ndarray[Any, Any]

_ORIENTATION, _ROW_FACTOR, _COLUMN_FACTOR = 274, 50975, 52547
_CROP_ORIGIN, _CROP_SIZE = 50719, 50720


def read_dng(path: Path, damaged: Damaged = "refuse") -> RawImage:
    """Read a DNG file that `is_dng`; see `revisp.io.read_raw`.

    Raises:
        ImageError: the file is cut off or damaged, or holds no 2x2 Bayer mosaic.
    """
    with decoding(path):
        try:
            with tifffile.TiffFile(path) as tiff:
                tags = DngTags(tiff)
                cfa = bayer_phase(tags, path)
                check_complete(tags.page, path, damaged)
                check_largest(tiff, path, damaged)
                check_samples(tags.page, path, damaged)
                check_lossless_jpeg(tags.page, path, damaged)
                samples, metadata = _samples(tags, path)
                return _image(tags, samples, cfa, metadata, path)
        except ImageError as error:
            raise error if str(path) in str(error) else ImageError(f"{path}: {error}") from error
        except ConfigError as error:
            raise ImageError(f"{path}: {error}") from error
        except np.linalg.LinAlgError as error:
            raise ImageError(f"{path}: its colour matrix has no inverse") from error


def _image(tags: DngTags, samples: Array, cfa: CFA, metadata: PhotoMetadata, path: Path) -> RawImage:
    """Build the RAW of all samples ``[H, W]`` that the file holds, as the linearization table leaves them."""
    area = active_area(tags, samples.shape)
    levels = DngLevels.of(tags, area, path)
    masked = masked_areas(tags, samples.shape)
    border = border_black(samples, area, cfa, levels.white)
    measured = masked_black(samples, masked, area, cfa) if masked else border
    if measured is not None and not levels.tells_black:
        levels = levels.with_black(measured, cfa)
    stored = store(samples[area.slices], levels, cfa)
    if measured is not None:
        red, green_red, green_blue, blue = ((level + stored.lift) * stored.scale for level in measured)
        measured = red, green_red, green_blue, blue
    warn_of_black(stored.black, measured, stored.white, path)
    orientation = int(tags.numbers(_ORIENTATION, 1)[0])
    return RawImage(
        stored.mosaic,
        _profile(tags, stored, cfa, metadata, path),
        metadata,
        orientation if orientation in range(1, 9) else 1,
        _crop(tags, *stored.mosaic.shape),
        optical_black=measured,
    )


def _samples(tags: DngTags, path: Path) -> tuple[Array, PhotoMetadata]:
    """Return the linear samples ``[H, W]`` of the RAW picture, with the masked border, and how it was taken."""
    if not _needs_tifffile(tags):
        with open_libraw(path) as raw:
            stored, metadata = raw.raw_image, libraw_metadata(raw, path)
            if stored is not None and stored.shape == (tags.page.imagelength, tags.page.imagewidth):
                return stored.copy(), metadata  # LibRaw frees its array when the file is closed
    return _decoded(tags), read_metadata(path)  # also where LibRaw takes another picture of the file


def _needs_tifffile(tags: DngTags) -> bool:
    """Whether LibRaw cannot decode the samples, or not exactly: it keeps 14 bits of floating-point samples."""
    page = tags.page
    wide = page.sampleformat == FLOATING or page.bitspersample > 16
    return bool(wide or page.compression == COMPRESSIONS["jpegxl"].code or _fields(tags) != (1, 1))


def _fields(tags: DngTags) -> tuple[int, int]:
    rows, columns = (int(tags.numbers(code, 1)[0]) for code in (_ROW_FACTOR, _COLUMN_FACTOR))
    return rows, columns


def _decoded(tags: DngTags) -> Array:
    """Return the linear samples ``[H, W]``, decoded by tifffile."""
    samples: Array = join_fields(tags.page.asarray(), _fields(tags))
    table = tags.numbers(LINEARIZATION)
    if table.size and samples.dtype.kind == "u":
        samples = table.astype(np.uint16)[np.minimum(samples, table.size - 1)]
    return samples


def _profile(tags: DngTags, stored: Stored, cfa: CFA, metadata: PhotoMetadata, path: Path) -> CameraProfile:
    """Build the profile of the active area.

    Raises:
        ConfigError: levels or matrix are not valid.
    """
    colours = CameraColours.of(tags)
    shot = as_shot(tags, colours)
    if colours is None:
        warnings.warn(f"{path}: stores no colour matrix: sRGB's is used", stacklevel=5)
    if shot is None:
        warnings.warn(f"{path}: stores no white balance: a neutral of 1 is used", stacklevel=5)
    matrix = np.linalg.inv(SRGB_TO_XYZ) if colours is None else colours.color_matrix(shot)
    neutral: Array = np.ones(3) if shot is None else shot.neutral / shot.neutral[1]
    return CameraProfile(
        make=metadata.make or "Unknown",
        model=metadata.model or "Unknown",
        cfa=cfa,
        black_level=stored.black,
        white_level=stored.white,
        bits=min(16, max(int(stored.white).bit_length(), int(stored.mosaic.max()).bit_length())),
        color_matrix=matrix.tolist(),
        as_shot_neutral=tuple(neutral.tolist()),
    )


def _crop(tags: DngTags, height: int, width: int) -> Rectangle | None:
    """Return the camera's picture area within the active one; None if the area is missing or not valid."""
    origin, size = tags.numbers(_CROP_ORIGIN), tags.numbers(_CROP_SIZE)
    if origin.size != 2 or size.size != 2 or not np.isfinite([*origin, *size]).all():
        return None
    (left, top), (across, along) = np.rint(origin).astype(int).tolist(), np.rint(size).astype(int).tolist()
    return picture_area(Rectangle(top, left, along, across), height, width)
