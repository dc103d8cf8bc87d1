"""Read RAW files by LibRaw."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError, ImageError
from revisp.io.boundary import decoding
from revisp.io.damaged import Damaged
from revisp.io.exif import PhotoMetadata, read_exif, read_metadata
from revisp.io.jpeg_data import check_lossless_jpeg
from revisp.io.pixel_limit import check_pixels
from revisp.io.raw.bayer import OTHER_PATTERN, not_bayer, phase_of
from revisp.io.raw.ciff import read_ciff
from revisp.io.raw.masked_border import border_black, warn_of_black
from revisp.io.raw.rawimage import Planes, RawImage, Rectangle, picture_area
from revisp.io.readable import check_largest, tiff_pages

__all__ = ["libraw_metadata", "libraw_preview", "open_libraw", "read_libraw"]

Array = np.ndarray[Any, Any]

_ORIENTATION = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
"""LibRaw's flip (1: left-right, 2: top-bottom, 4: exchange of rows and columns) to EXIF orientation."""

_PERIOD = 48  # pixels: a multiple of every period (2, 4, 6, 8, 16) of the patterns that LibRaw knows


def read_libraw(path: Path, damaged: Damaged = "refuse") -> RawImage:
    """Read a RAW file that LibRaw knows; see `revisp.io.read_raw`.

    Raises:
        ImageError: the file is cut off, damaged, not a RAW file, or has no 2x2 Bayer mosaic.
    """
    _check_complete(path, damaged)
    try:
        with decoding(path), open_libraw(path) as raw:
            _check_header(raw, path)
            cfa = _bayer(raw, path)
            mosaic = raw.raw_image_visible.copy()  # LibRaw frees its array when the file is closed
            metadata = libraw_metadata(raw, path)
            sizes = raw.sizes
            visible = Rectangle(sizes.top_margin, sizes.left_margin, *mosaic.shape)
            border = border_black(raw.raw_image, visible, cfa, raw.white_level)
            profile = _profile(raw, mosaic, cfa, border, metadata, path)
    except ConfigError as error:
        raise ImageError(f"{path}: {error}") from error
    return RawImage(
        mosaic, profile, metadata, _ORIENTATION[sizes.flip & 7], _crop(sizes, *mosaic.shape), optical_black=border
    )


def libraw_preview(path: Path) -> tuple[bytes | Array, int] | None:
    """Return the largest preview in a RAW file and the RAW's EXIF orientation; None if it has no preview.

    Returns:
        JPEG bytes or uint8 pixels ``[h, w, 3]``, and the orientation.

    Raises:
        ImageError: LibRaw cannot open the file.
    """
    with decoding(path), open_libraw(path) as raw:
        try:
            preview = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            return None
        data = _as_stored(preview.data) if isinstance(preview.data, bytes) else preview.data
        return data, _ORIENTATION[raw.sizes.flip & 7]


@contextlib.contextmanager
def open_libraw(path: Path) -> Iterator[rawpy.RawPy]:
    """Open a file by LibRaw.

    Raises:
        ImageError: LibRaw raised one of its own errors.
    """
    try:
        with contextlib.ExitStack() as stack:
            source: Any = str(path)
            if not source.isascii() and any("\udc80" <= letter <= "\udcff" for letter in source):
                source = stack.enter_context(path.open("rb"))  # LibRaw takes names of UTF-8 only
            yield stack.enter_context(rawpy.imread(source))
    except rawpy.LibRawError as error:
        raise ImageError(f"{path}: LibRaw cannot read it: {_reason(error)}") from error


def _as_stored(jpeg: bytes) -> bytes:
    """Remove the EXIF that LibRaw adds to a JPEG without EXIF: its orientation is the RAW's, right or wrong."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")  # end of the first segment, whose length counts from byte 4
    return jpeg[:2] + jpeg[end:] if jpeg[2:4] == b"\xff\xe1" and b"dcraw" in jpeg[:end] else jpeg


def _reason(error: rawpy.LibRawError) -> str:
    """Return why LibRaw fails, in a few words."""
    text = error.args[0] if error.args else error
    text = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        return f"no camera RAW, or of a kind that LibRaw {'.'.join(map(str, rawpy.libraw_version))} does not know"
    if isinstance(error, rawpy.LibRawIOError | rawpy.LibRawDataError):
        return f"cut off, damaged or no camera RAW ({text})"
    return text


def _check_complete(path: Path, damaged: Damaged) -> None:
    """Report a TIFF-based RAW that is cut off or damaged, since some decoders fill the missing part with grey."""
    try:
        with tifffile.TiffFile(path) as tiff:
            check_largest(tiff, path, damaged)
            for page in tiff_pages(tiff):
                check_lossless_jpeg(page, path, damaged)
    except (ImageError, Warning):
        raise
    except Exception:  # not a TIFF, or damaged: LibRaw decides
        return


def _check_header(raw: rawpy.RawPy, path: Path) -> None:
    """Refuse a file that is too large or has no header: LibRaw would guess its shape and colours from its size."""
    samples = raw.sizes.raw_height * raw.sizes.raw_width
    check_pixels(path, raw.sizes.raw_width, raw.sizes.raw_height)
    if path.stat().st_size in (samples, samples * 5 // 4, samples * 3 // 2, samples * 2):
        raise ImageError(
            f"{path}: has no header that says its size or camera: make a 16-bit PNG or .npy of it, with the "
            "camera's profile next to it as JSON"
        )


def _bayer(raw: rawpy.RawPy, path: Path) -> CFA:
    """Return the phase of the visible mosaic.

    Raises:
        ImageError: the file has no 2x2 Bayer mosaic; the message says what it has.
    """
    if raw.raw_type != rawpy.RawType.Flat:
        raise not_bayer(path, "it holds full colour (a linear DNG, or a Foveon sensor)")
    if raw.num_colors == 1:
        raise not_bayer(path, "the sensor is monochrome")
    if raw.num_colors != 3 or raw.color_desc[:3] != b"RGB":
        raise not_bayer(path, f"the sensor's colours are {raw.color_desc.decode('ascii', 'replace')}")
    cfa = None if raw.raw_pattern is None else phase_of(raw.raw_colors_visible[:_PERIOD, :_PERIOD])
    if cfa is None:
        raise not_bayer(path, OTHER_PATTERN)
    return cfa


def _profile(
    raw: rawpy.RawPy, mosaic: Array, cfa: CFA, border: Planes | None, metadata: PhotoMetadata, path: Path
) -> CameraProfile:
    pattern, by_colour = raw.raw_colors_visible[:2, :2], raw.black_level_per_channel
    red, green_red, green_blue, blue = (float(by_colour[pattern[row, column]]) for row, column in cfa.offsets)
    black: Planes = red, green_red, green_blue, blue
    if not any(black) and border is not None:
        black = border
    white = float(raw.white_level)
    warn_of_black(black, border, white, path)
    matrix: Array = np.asarray(raw.rgb_xyz_matrix, float)[:3]
    if not matrix.any():
        warnings.warn(f"{path}: LibRaw has no colour matrix of this camera: sRGB's is used", stacklevel=4)
        matrix = np.linalg.inv(SRGB_TO_XYZ)
    gains = np.asarray(raw.camera_whitebalance[:3], float)
    if not (gains > 0).all():
        warnings.warn(f"{path}: stores no white balance: a neutral of 1 is used", stacklevel=4)
        gains = np.ones(3)
    return CameraProfile(
        make=metadata.make or "Unknown",
        model=metadata.model or "Unknown",
        cfa=cfa,
        black_level=black,
        white_level=white,
        bits=max(int(white).bit_length(), int(mosaic.max()).bit_length()),
        color_matrix=matrix.tolist(),
        as_shot_neutral=tuple(np.round(gains[1] / gains, 6)),
    )


def _crop(sizes: Any, height: int, width: int) -> Rectangle | None:
    """Return the camera's picture area within the visible one; None if the area is not valid."""
    window = Rectangle(
        sizes.crop_top_margin - sizes.top_margin,
        sizes.crop_left_margin - sizes.left_margin,
        sizes.crop_height,
        sizes.crop_width,
    )
    return picture_area(window, height, width)


def libraw_metadata(raw: rawpy.RawPy, path: Path) -> PhotoMetadata:
    """Return how an opened RAW file was taken.

    Each field comes from the first source that has it: EXIF in TIFF form, records of a CRW, EXIF of the embedded
    JPEG, LibRaw.
    """
    found = read_metadata(path)
    if found.exposure_time is not None and found.make is not None:
        return found
    for source in (read_ciff(path), _of_preview(raw), _of_libraw(raw)):
        missing = {name: value for name, value in vars(source).items() if getattr(found, name) is None}
        found = replace(found, **missing)
    return found


def _of_preview(raw: rawpy.RawPy) -> PhotoMetadata:
    """Return the EXIF of the embedded JPEG; LibRaw adds make and model if it has no EXIF."""
    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return PhotoMetadata()
    return read_exif(io.BytesIO(preview.data)) if isinstance(preview.data, bytes) else PhotoMetadata()


def _of_libraw(raw: rawpy.RawPy) -> PhotoMetadata:
    other = raw.other
    date = other.timestamp.strftime("%Y:%m:%d %H:%M:%S") if other.timestamp.year > 1970 else None  # 1970: unset
    return PhotoMetadata(
        lens=raw.lens.model or None,
        date=date,
        exposure_time=_fraction(other.shutter_speed),
        f_number=_fraction(other.aperture),
        iso=round(other.iso_speed) or None,
        focal_length=_fraction(other.focal_length),
    )


def _fraction(value: float) -> Fraction | None:
    return Fraction(value).limit_denominator(10_000) if np.isfinite(value) and value > 0 else None
