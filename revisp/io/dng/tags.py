"""The tags of a DNG's directories (DNG specification 1.7.1, chapters 4 to 6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from revisp import __version__
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile
from revisp.io.dng.codec import Compression, Encoded
from revisp.io.exif import PhotoMetadata
from revisp.io.ifd import Tag
from revisp.io.primaries import D50, xyz_to_srgb

__all__ = [
    "CFA_SAMPLES",
    "LINEAR_SAMPLES",
    "camera_tags",
    "exif_tags",
    "file_tags",
    "level_tags",
    "noise_tags",
    "preview_tags",
    "sample_tags",
]

Array = np.ndarray[Any, Any]

CFA_SAMPLES, LINEAR_SAMPLES = 32803, 34892
"""Values of PhotometricInterpretation: a mosaic, and demosaiced RAW."""

_D65, _SRGB = 21, 2


def _picture_tags(shape: tuple[int, ...], photometric: int, compression: int, *, reduced: bool) -> dict[int, Tag]:
    """Return the tags that describe pixels ``[H, W]`` or ``[H, W, C]`` in one strip."""
    height, width, channels = (*shape, 1)[:3]
    return {
        254: Tag("long", [int(reduced)]),  # NewSubfileType: the main picture, or a smaller one of it
        256: Tag("long", [width]),
        257: Tag("long", [height]),
        258: Tag("short", [8 if reduced else 16] * channels),  # BitsPerSample
        259: Tag("short", [compression]),
        262: Tag("short", [photometric]),
        277: Tag("short", [channels]),  # SamplesPerPixel
        278: Tag("long", [height]),  # RowsPerStrip
        284: Tag("short", [1]),  # PlanarConfiguration
    }


def sample_tags(stored: Array, compression: Compression, encoded: Encoded) -> dict[int, Tag]:
    """Return the tags that describe RAW samples ``[H, W]`` or ``[H, W, 3]`` and how they are stored."""
    photometric = CFA_SAMPLES if stored.ndim == 2 else LINEAR_SAMPLES
    tags = _picture_tags(stored.shape, photometric, compression.code, reduced=False)
    if compression.interleaved and stored.ndim == 2:
        tags |= {50975: Tag("short", [2]), 52547: Tag("short", [2])}  # RowInterleaveFactor, ColumnInterleaveFactor
    if encoded.tile is not None:
        del tags[278]
        height, width = encoded.tile
        tags |= {322: Tag("long", [width]), 323: Tag("long", [height])}  # TileWidth, TileLength
    return tags


def preview_tags(shape: tuple[int, ...], *, jpeg: bool) -> dict[int, Tag]:
    """Return the tags of an sRGB picture ``[h, w, 3]`` of 8 bits, made by revisp."""
    tags = _picture_tags(shape, 6 if jpeg else 2, 7 if jpeg else 1, reduced=True)
    if jpeg:
        tags |= {530: Tag("short", [2, 2]), 531: Tag("short", [1])}  # YCbCrSubSampling, YCbCrPositioning: centred
    return tags | {
        50966: Tag("ascii", "revisp"),  # PreviewApplicationName
        50967: Tag("ascii", __version__),  # PreviewApplicationVersion
        50970: Tag("long", [_SRGB]),  # PreviewColorSpace
    }


def file_tags(orientation: int, metadata: PhotoMetadata, version: tuple[int, ...]) -> dict[int, Tag]:
    """Return the tags of the first directory that concern the whole file.

    Args:
        orientation: EXIF orientation of all its pictures.
        metadata: how the photo was taken.
        version: the oldest DNG version that reads it.
    """
    tags = {
        274: Tag("short", [orientation]),
        305: Tag("ascii", f"revisp {__version__}"),  # Software
        50706: Tag("byte", max(version, (1, 4, 0, 0))),  # DNGVersion
        50707: Tag("byte", version),  # DNGBackwardVersion
    }
    if metadata.date is not None:
        tags[306] = Tag("ascii", metadata.date)  # DateTime
    return tags


def level_tags(profile: CameraProfile, *, mosaic: bool) -> dict[int, Tag]:
    """Return the tags that define the samples: levels, and the colour filter array of a mosaic."""
    if not mosaic:
        red, green_red, green_blue, blue = profile.black_level
        return {
            50714: Tag("rational", [red, (green_red + green_blue) / 2, blue]),  # BlackLevel
            50717: Tag("long", [round(profile.white_level)] * 3),  # WhiteLevel
        }
    black = dict(zip(profile.cfa.offsets, profile.black_level, strict=True))
    return {
        33421: Tag("short", [2, 2]),  # CFARepeatPatternDim
        33422: Tag("byte", profile.cfa.indices),  # CFAPattern
        50710: Tag("byte", [0, 1, 2]),  # CFAPlaneColor: R, G, B
        50711: Tag("short", [1]),  # CFALayout: rectangular
        50713: Tag("short", [2, 2]),  # BlackLevelRepeatDim
        50714: Tag("rational", [black[at] for at in sorted(black)]),  # BlackLevel, by rows
        50717: Tag("long", [round(profile.white_level)]),  # WhiteLevel
    }


def noise_tags(noise: NoiseLevels | None) -> dict[int, Tag]:
    """Return the tag of the noise of all planes, if it is known; DNG takes no shot noise of 0."""
    return {51041: Tag("double", noise)} if noise is not None and noise.shot > 0 else {}  # NoiseProfile


def camera_tags(profile: CameraProfile, exposure: float) -> dict[int, Tag]:
    """Return the tags that define the colours; ``exposure`` is the EV by which to brighten."""
    tags = {
        271: Tag("ascii", profile.make),
        272: Tag("ascii", profile.model),
        50708: Tag("ascii", profile.name),  # UniqueCameraModel
        50721: Tag("srational", [value for row in profile.color_matrix for value in row]),  # ColorMatrix1
        50728: Tag("rational", profile.as_shot_neutral),  # AsShotNeutral
        50778: Tag("short", [_D65]),  # CalibrationIlluminant1
        50964: Tag("srational", [value for row in _forward_matrix(profile) for value in row]),  # ForwardMatrix1
    }
    if exposure:
        tags[50730] = Tag("srational", [round(exposure, 2)])  # BaselineExposure
    return tags


def _forward_matrix(profile: CameraProfile) -> list[list[float]]:
    """Return white-balanced camera RGB to CIE XYZ (D50) ``[3, 3]``.

    Adobe's programs then show the colours of `revisp.camera.develop`. By ColorMatrix alone they adapt the light's
    white by Bradford's method: under tungsten light, colours differ by 3.4 CIEDE2000 on average.
    """
    matrix: list[list[float]] = (np.linalg.inv(xyz_to_srgb(D50)) @ profile.camera_to_srgb).tolist()
    return matrix


def exif_tags(metadata: PhotoMetadata) -> dict[int, Tag]:
    """Return the tags of the EXIF directory (EXIF 2.31, section 4.6) that the photo has."""
    tags = {36864: Tag("undefined", b"0231")}  # ExifVersion
    rationals = {33434: metadata.exposure_time, 33437: metadata.f_number, 37386: metadata.focal_length}
    texts = {36867: metadata.date, 42036: metadata.lens}
    tags |= {tag: Tag("rational", [value]) for tag, value in rationals.items() if value is not None}
    tags |= {tag: Tag("ascii", text) for tag, text in texts.items() if text is not None}
    if metadata.iso is not None:  # 16 bits; EXIF writes 65535 for all higher values
        tags[34855] = Tag("short", [min(metadata.iso, 65535)])
        if metadata.iso > 65535:
            tags[34864] = Tag("short", [2])  # SensitivityType: recommended exposure index
            tags[34866] = Tag("long", [metadata.iso])
    return tags
