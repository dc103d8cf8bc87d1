"""Write Adobe DNG files: a Bayer mosaic with all tags that a RAW converter needs (DNG specification 1.4).

The layout is the simplest that the format has, so every reader accepts it: one directory with its EXIF directory,
and one uncompressed strip.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from revisp import __version__
from revisp.camera.profile import CameraProfile
from revisp.errors import ConfigError
from revisp.io.atomic import atomic_write
from revisp.io.exif import PhotoMetadata
from revisp.io.ifd import Tag, directory_size, encode_directory
from revisp.io.mosaic_file import stored_mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["write_dng"]

Array = np.ndarray[Any, Any]

_HEADER = 8  # bytes: byte order, magic number, offset of the first directory
_STRIP_OFFSET, _EXIF_POINTER = 273, 34665
_CFA, _UNCOMPRESSED, _D65 = 32803, 1, 21


def write_dng(
    path: str | Path,
    bayer: Tensor | Array,
    profile: CameraProfile,
    *,
    metadata: PhotoMetadata | None = None,
    orientation: int = 1,
) -> None:
    """Write a mosaic as a DNG that RAW converters open.

    The whole mosaic is stored, odd sizes included, as 16-bit values in the units of the profile. Reading the file
    returns the same integers.

    Args:
        path: the ``.dng`` file.
        bayer: one mosaic ``[H, W]``, ``[1, H, W]`` or ``[1, 1, H, W]``: floating point and normalised (black 0,
            white 1), or uint16 in stored units.
        profile: the camera: CFA, levels, colour matrix, neutral, make and model.
        metadata: date, exposure and lens to record.
        orientation: EXIF orientation (1 to 8) of the mosaic; 1 is upright.

    Raises:
        ShapeError: the input is not one mosaic, or a value needs more bits than the profile has.
        ConfigError: the orientation is not in 1 to 8.
        OutputError: the file cannot be written.

    Example:
        >>> revisp.io.write_dng("photo.dng", model.predict(srgb).bayer, model.profile)  # doctest: +SKIP
    """
    if orientation not in range(1, 9):
        raise ConfigError(f"orientation must be an EXIF orientation, 1 to 8, got {orientation}")
    stored = stored_mosaic(bayer, profile)
    metadata = metadata or PhotoMetadata()
    exif = _exif(metadata)
    main = _picture(stored, orientation, metadata) | _camera(profile)
    exif_at = _HEADER + directory_size(main)
    main[_EXIF_POINTER] = Tag("long", [exif_at])
    main[_STRIP_OFFSET] = Tag("long", [exif_at + directory_size(exif)])
    with atomic_write(path) as file:
        file.write(struct.pack("<2sHI", b"II", 42, _HEADER))
        file.write(encode_directory(main, _HEADER))
        file.write(encode_directory(exif, exif_at))
        file.write(np.ascontiguousarray(stored, "<u2").data)


def _picture(stored: Array, orientation: int, metadata: PhotoMetadata) -> dict[int, Tag]:
    """Return the tags that every TIFF has."""
    height, width = stored.shape
    tags = {
        254: Tag("long", [0]),  # NewSubfileType: the main image
        256: Tag("long", [width]),
        257: Tag("long", [height]),
        258: Tag("short", [16]),  # BitsPerSample
        259: Tag("short", [_UNCOMPRESSED]),
        262: Tag("short", [_CFA]),  # PhotometricInterpretation
        _STRIP_OFFSET: Tag("long", [0]),
        274: Tag("short", [orientation]),
        277: Tag("short", [1]),  # SamplesPerPixel
        278: Tag("long", [height]),  # RowsPerStrip
        279: Tag("long", [stored.nbytes]),  # StripByteCounts
        284: Tag("short", [1]),  # PlanarConfiguration
        305: Tag("ascii", f"revisp {__version__}"),  # Software
        _EXIF_POINTER: Tag("long", [0]),
    }
    if metadata.date is not None:
        tags[306] = Tag("ascii", metadata.date)  # DateTime
    return tags


def _camera(profile: CameraProfile) -> dict[int, Tag]:
    """Return the tags that define the samples and colours."""
    black = dict(zip(profile.cfa.offsets, profile.black_level, strict=True))
    return {
        271: Tag("ascii", profile.make),
        272: Tag("ascii", profile.model),
        33421: Tag("short", [2, 2]),  # CFARepeatPatternDim
        33422: Tag("byte", profile.cfa.indices),  # CFAPattern
        50706: Tag("byte", [1, 4, 0, 0]),  # DNGVersion
        50707: Tag("byte", [1, 1, 0, 0]),  # DNGBackwardVersion: nothing here is newer
        50708: Tag("ascii", profile.name),  # UniqueCameraModel
        50710: Tag("byte", [0, 1, 2]),  # CFAPlaneColor: R, G, B
        50711: Tag("short", [1]),  # CFALayout: rectangular
        50713: Tag("short", [2, 2]),  # BlackLevelRepeatDim
        50714: Tag("rational", [black[at] for at in sorted(black)]),  # BlackLevel, by rows
        50717: Tag("long", [round(profile.white_level)]),  # WhiteLevel
        50721: Tag("srational", [value for row in profile.color_matrix for value in row]),  # ColorMatrix1
        50728: Tag("rational", profile.as_shot_neutral),  # AsShotNeutral
        50778: Tag("short", [_D65]),  # CalibrationIlluminant1
    }


def _exif(metadata: PhotoMetadata) -> dict[int, Tag]:
    """Return the tags of the EXIF directory (EXIF 2.31, section 4.6) that the photo has."""
    tags = {36864: Tag("undefined", b"0231")}  # ExifVersion
    rationals = {33434: metadata.exposure_time, 33437: metadata.f_number, 37386: metadata.focal_length}
    texts = {36867: metadata.date, 42036: metadata.lens}
    tags |= {tag: Tag("rational", [value]) for tag, value in rationals.items() if value is not None}
    tags |= {tag: Tag("ascii", text) for tag, text in texts.items() if text is not None}
    if metadata.iso is not None:  # 16 bits; EXIF writes 65535 for all higher values
        tags[34855] = Tag("short", [min(metadata.iso, 65535)])
    return tags
