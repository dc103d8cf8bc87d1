"""Write Adobe DNG files as cameras and converters write them.

The first directory holds a thumbnail and all that concerns the file. Two directories below it hold the RAW and a
JPEG preview. The plain layout is the simplest that the format has: one directory and one uncompressed strip.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile
from revisp.errors import ConfigError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.dng.codec import LEAST_SIDE, encode_samples, find_compression
from revisp.io.dng.layout import Directory, write_directories
from revisp.io.dng.preview import developed, jpeg_directory, thumbnail_directory
from revisp.io.dng.provenance import Provenance
from revisp.io.dng.tags import camera_tags, exif_tags, file_tags, level_tags, noise_tags, sample_tags
from revisp.io.exif import PhotoMetadata
from revisp.io.ifd import Tag
from revisp.io.mosaic_file import as_array, require_normalised, stored_mosaic
from revisp.io.photo_record import PhotoRecord
from revisp.io.xmp import write_packet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["write_dng", "write_linear_dng"]

Array = np.ndarray[Any, Any]

_EXIF, _GPS, _SUB_DIRECTORIES, _XMP = 34665, 34853, 330, 700

MOST_EXPOSURE = 32
"""Greatest BaselineExposure in EV, either way: far beyond any camera's."""

LINEAR_LEVELS = {"black_level": (0.0,) * 4, "white_level": 65535.0, "bits": 16}
"""Levels of a linear DNG: those of a camera of few bits would lose what interpolation adds."""


class _Told(NamedTuple):
    """What a file tells besides its samples; see `write_dng`."""

    metadata: PhotoMetadata
    orientation: int
    exposure: float
    record: PhotoRecord
    provenance: Provenance | None
    noise: NoiseLevels | None = None


def write_dng(
    path: str | Path,
    bayer: Tensor | Array,
    profile: CameraProfile,
    *,
    metadata: PhotoMetadata | None = None,
    orientation: int = 1,
    exposure: float = 0.0,
    compression: str = "jpeg",
    plain: bool = False,
    record: PhotoRecord | None = None,
    provenance: Provenance | None = None,
    noise: NoiseLevels | None = None,
) -> None:
    """Write a mosaic as a DNG that RAW converters open.

    The whole mosaic is stored without loss, odd sizes included, as 16-bit values in the units of the profile.
    Reading the file returns the same integers. A thumbnail and a JPEG preview show the mosaic, developed by
    `revisp.camera.develop`.

    Args:
        path: the ``.dng`` file.
        bayer: one mosaic ``[H, W]``, ``[1, H, W]`` or ``[1, 1, H, W]``: floating point and normalised (black 0,
            white 1), or uint16 in stored units.
        profile: the camera: CFA, levels, colour matrix, neutral, make and model.
        metadata: date, exposure and lens to record.
        orientation: EXIF orientation (1 to 8) of the mosaic; 1 is upright.
        exposure: EV by which converters shall brighten the picture (BaselineExposure). Adobe's obey it; LibRaw,
            dcraw, darktable and RawTherapee do not.
        compression: ``"jpeg"`` (lossless), which all converters read; ``"none"``;
            ``"jpegxl"``, which is smaller and which few read.
        plain: write one directory with an uncompressed strip, without thumbnail and preview;
            ``compression`` does not matter.
        record: what the photo says about itself, to be carried over; it comes before ``metadata``.
        provenance: where the RAW comes from; None leaves the note out.
        noise: the noise of the normalised values, by which Adobe's programs denoise (NoiseProfile); None, or a
            shot noise of 0, leaves it out.

    Raises:
        ShapeError: the input is not one mosaic; a value needs more bits than the profile has; or the mosaic is
            smaller than 16 pixels and not plain.
        ConfigError: the orientation is not in 1 to 8, exposure or noise is out of range, the compression is
            unknown, or a text or number cannot be stored.
        OutputError: the file cannot be written.

    Example:
        >>> revisp.io.write_dng("photo.dng", model.predict(srgb).bayer, model.profile)  # doctest: +SKIP
    """
    _write(
        path,
        stored_mosaic(bayer, profile),
        profile,
        _Told(metadata or PhotoMetadata(), orientation, exposure, record or PhotoRecord(), provenance, noise),
        "none" if plain else compression,
        plain=plain,
    )


def write_linear_dng(
    path: str | Path,
    raw_rgb: Tensor | Array,
    profile: CameraProfile,
    *,
    metadata: PhotoMetadata | None = None,
    orientation: int = 1,
    exposure: float = 0.0,
    compression: str = "jpeg",
    record: PhotoRecord | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Write demosaiced RAW as a DNG of three planes (LinearRaw), which converters need not demosaic.

    Args:
        path: the ``.dng`` file.
        raw_rgb: ``[3, H, W]`` or ``[1, 3, H, W]``, not white-balanced: floating point, black 0, white 1; or
            uint16, black 0, white 65535, as the file stores them, whatever the levels of the profile.
        profile: the camera: colour matrix, neutral, make and model.
        metadata: as for `write_dng`.
        orientation: as for `write_dng`.
        exposure: as for `write_dng`.
        compression: as for `write_dng`.
        record: as for `write_dng`.
        provenance: as for `write_dng`.

    Raises:
        ShapeError: the input is not one RAW of three planes, or is smaller than 16 pixels.
        ConfigError: as for `write_dng`.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io.dng import read_linear_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_linear_dng(f"{folder}/photo.dng", np.ones((3, 32, 48), np.float32), SIMULATED.profile)
        ...     int(read_linear_dng(f"{folder}/photo.dng").min())
        65535
    """
    told = _Told(metadata or PhotoMetadata(), orientation, exposure, record or PhotoRecord(), provenance)
    _write(path, _stored_planes(raw_rgb), profile.replace(**LINEAR_LEVELS), told, compression, plain=False)


def _stored_planes(raw_rgb: Tensor | Array) -> Array:
    """Return demosaiced RAW as it is stored, uint16 ``[H, W, 3]``."""
    array = as_array(raw_rgb, "demosaiced RAW")
    if array.ndim not in (3, 4) or array.shape[-3] != 3 or (array.ndim == 4 and array.shape[0] != 1):
        raise ShapeError(f"demosaiced RAW must have shape [3, H, W] or [1, 3, H, W], got {list(array.shape)}")
    planes = array.reshape(array.shape[-3:]).transpose(1, 2, 0)
    if array.dtype == np.uint16:
        return np.ascontiguousarray(planes)
    if not np.issubdtype(array.dtype, np.floating):
        raise ShapeError(f"demosaiced RAW must be floating point (normalised) or uint16, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ShapeError("the RAW holds values that are not finite numbers")
    require_normalised(array)
    return np.rint(planes.clip(0, 1) * np.float32(65535)).astype(np.uint16)


def _write(
    path: str | Path, stored: Array, profile: CameraProfile, told: _Told, compression: str, *, plain: bool
) -> None:
    """Write stored samples ``[H, W]`` or ``[H, W, 3]`` in the units of the profile."""
    if told.orientation not in range(1, 9):
        raise ConfigError(f"orientation must be an EXIF orientation, 1 to 8, got {told.orientation}")
    if not abs(told.exposure) <= MOST_EXPOSURE:
        raise ConfigError(f"exposure must lie within {MOST_EXPOSURE} EV of 0, got {told.exposure}")
    if told.noise is not None and not all(0 <= value <= 1 for value in told.noise):
        raise ConfigError(f"noise must be variances of normalised values, in [0, 1], got {tuple(told.noise)}")
    if not plain and min(stored.shape[:2]) < LEAST_SIDE:
        raise ShapeError(f"a RAW of {stored.shape[1]}x{stored.shape[0]} has no room for tiles: take plain=True")
    root, version = _directories(stored, profile, told, compression, plain=plain)
    record = told.record
    root.tags |= record.descriptions | file_tags(told.orientation, told.metadata, version)
    root.tags |= camera_tags(profile, told.exposure)
    properties = [*record.xmp, *(told.provenance.properties() if told.provenance else ())]
    if properties:
        root.tags[_XMP] = Tag("byte", write_packet(properties))
    root.children[_EXIF] = [Directory(exif_tags(told.metadata) | record.exif)]
    if record.gps:
        root.children[_GPS] = [Directory(dict(record.gps))]
    with atomic_write(path) as file:
        write_directories(file, root)


def _directories(
    stored: Array, profile: CameraProfile, told: _Told, compression: str, *, plain: bool
) -> tuple[Directory, tuple[int, ...]]:
    """Return the directories of the pixels, and the oldest DNG version that reads them."""
    chosen = find_compression(compression)
    with ThreadPoolExecutor(1) as pool:
        encoding = pool.submit(encode_samples, stored, chosen)
        picture = None if plain else developed(stored, profile, told.exposure)  # on the cores that the caller has
        encoded = encoding.result()
    levels = level_tags(profile, mosaic=stored.ndim == 2) | noise_tags(told.noise)
    raw = Directory(sample_tags(stored, chosen, encoded) | levels, encoded.pieces)
    return raw if picture is None else _with_previews(raw, picture), chosen.version


def _with_previews(raw: Directory, picture: Array) -> Directory:
    """Return a first directory with a thumbnail, above the RAW and its preview."""
    root = thumbnail_directory(picture)
    root.children[_SUB_DIRECTORIES] = [raw, jpeg_directory(picture)]
    return root
