"""Camera RAW files in, through LibRaw: the mosaic as stored, and the camera profile to make sense of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError, ImageError
from revisp.io.metadata import PhotoMetadata, read_metadata

__all__ = ["RawImage", "read_raw"]

Array = np.ndarray[Any, Any]

_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}
"""LibRaw's flip to EXIF orientation."""


@dataclass(frozen=True)
class RawImage:
    """A camera's RAW.

    Attributes:
        mosaic: stored values of the visible area, uint16 ``[H, W]``, not rotated.
        profile: CFA of the visible area, levels in stored units, colour.
        metadata: how the photo was taken.
        orientation: EXIF orientation (1 to 8) that makes it upright.
    """

    mosaic: Array
    profile: CameraProfile
    metadata: PhotoMetadata
    orientation: int

    def normalised(self) -> Array:
        """Return the mosaic as float32 ``[H, W]``: (value − black) / (white − black), unclamped."""
        return self.profile.normalise(self.mosaic)


def read_raw(path: str | Path) -> RawImage:
    """Read the mosaic and the camera profile of a RAW file (DNG, CR2, NEF, ARW, ...).

    Black levels are mapped from LibRaw's colour indices to R, Gr, Gb, B by position. A camera that LibRaw has no
    colour matrix or white balance for gets sRGB's matrix, or a neutral of 1, with a warning.

    Raises:
        ImageError: missing, damaged, unknown to LibRaw, or without a Bayer mosaic (X-Trans, Foveon, monochrome).
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    try:
        with rawpy.imread(str(path)) as raw:
            if raw.raw_type != rawpy.RawType.Flat or raw.num_colors != 3:
                raise ImageError(f"{path}: holds no Bayer mosaic (full-colour or monochrome sensor)")
            mosaic = raw.raw_image_visible.copy()  # LibRaw frees its own on closing
            metadata = _metadata(raw, path)
            profile = _profile(raw, mosaic, metadata, path)
            orientation = _ORIENTATION.get(raw.sizes.flip, 1)
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode("ascii", "replace") if isinstance(reason, bytes) else reason
        raise ImageError(f"{path}: LibRaw cannot read it ({reason})") from error
    except ConfigError as error:
        raise ImageError(f"{path}: {error}") from error
    return RawImage(mosaic, profile, metadata, orientation)


def _profile(raw: rawpy.RawPy, mosaic: Array, metadata: PhotoMetadata, path: Path) -> CameraProfile:
    if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2):
        raise ConfigError("the sensor has no 2x2 Bayer pattern, which is all revisp supports")
    pattern = raw.raw_colors_visible[:2, :2]
    cfa = CFA.from_indices(pattern)
    by_colour = raw.black_level_per_channel
    black = tuple(float(by_colour[pattern[row, column]]) for row, column in cfa.offsets)
    white = float(raw.white_level)
    matrix = np.asarray(raw.rgb_xyz_matrix, float)[:3]
    if not matrix.any():
        matrix = _dng_matrix(path)
    if not matrix.any():
        warnings.warn(f"{path}: LibRaw knows no colour matrix of this camera, sRGB's is taken", stacklevel=3)
        matrix = np.linalg.inv(SRGB_TO_XYZ)
    gains = np.asarray(raw.camera_whitebalance[:3], float)
    if not (gains > 0).all():
        warnings.warn(f"{path}: stores no white balance, a neutral of 1 is taken", stacklevel=3)
        gains = np.ones(3)
    return CameraProfile(
        make=metadata.make or "Unknown",
        model=metadata.model or "Unknown",
        cfa=cfa,
        black_level=black,  # type: ignore[arg-type]
        white_level=white,
        bits=max(int(white).bit_length(), int(mosaic.max()).bit_length()),
        color_matrix=matrix.tolist(),
        as_shot_neutral=tuple(np.round(gains[1] / gains, 6)),
    )


def _dng_matrix(path: Path) -> Array:
    """Return a DNG's ColorMatrix for D65 (the second of two), or zeros: LibRaw keeps it to itself."""
    try:
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            values = tags.valueof(50722) or tags.valueof(50721) or ()
    except (tifffile.TiffFileError, OSError):
        values = ()
    if len(values) != 18:
        return np.zeros((3, 3))
    numerators, denominators = np.asarray(values, float).reshape(9, 2).T
    matrix: Array = (numerators / denominators).reshape(3, 3)
    return matrix


def _metadata(raw: rawpy.RawPy, path: Path) -> PhotoMetadata:
    """EXIF where the file has it in the TIFF way, else what LibRaw found."""
    found = read_metadata(path)
    if found.exposure_time is not None:
        return found
    other = raw.other
    date = other.timestamp.strftime("%Y:%m:%d %H:%M:%S") if other.timestamp.year > 1970 else None  # 1970: unset
    return replace(
        found,
        lens=found.lens or raw.lens.model or None,
        date=found.date or date,
        exposure_time=_fraction(other.shutter_speed),
        f_number=found.f_number or _fraction(other.aperture),
        iso=found.iso or round(other.iso_speed) or None,
        focal_length=found.focal_length or _fraction(other.focal_length),
    )


def _fraction(value: float) -> Fraction | None:
    return Fraction(value).limit_denominator(10_000) if np.isfinite(value) and value > 0 else None
