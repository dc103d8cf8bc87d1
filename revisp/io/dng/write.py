"""Write Adobe DNG files as cameras and converters write them.

The first directory holds a thumbnail and all that concerns the file. Two directories below it hold the RAW and a
JPEG preview. The plain layout is the simplest that the format has: one directory and one uncompressed strip.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from revisp.camera.profile import CameraProfile
from revisp.errors import ConfigError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.dng.codec import LEAST, encode_samples, find_compression
from revisp.io.dng.layout import Directory, write_directories
from revisp.io.dng.preview import developed, jpeg_directory, thumbnail_directory
from revisp.io.dng.provenance import Provenance
from revisp.io.dng.tags import camera_tags, exif_tags, file_tags, level_tags, sample_tags
from revisp.io.exif import PhotoMetadata
from revisp.io.ifd import Tag
from revisp.io.mosaic_file import stored_mosaic
from revisp.io.photo_record import PhotoRecord
from revisp.io.xmp import write_packet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["write_dng"]

Array = np.ndarray[Any, Any]

_EXIF, _GPS, _SUB_DIRECTORIES, _XMP = 34665, 34853, 330, 700


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

    Raises:
        ShapeError: the input is not one mosaic; a value needs more bits than the profile has; or the mosaic is
            smaller than 16 pixels and not plain.
        ConfigError: the orientation is not in 1 to 8, the compression is unknown, or a text cannot be stored.
        OutputError: the file cannot be written.

    Example:
        >>> revisp.io.write_dng("photo.dng", model.predict(srgb).bayer, model.profile)  # doctest: +SKIP
    """
    if orientation not in range(1, 9):
        raise ConfigError(f"orientation must be an EXIF orientation, 1 to 8, got {orientation}")
    stored = stored_mosaic(bayer, profile)
    if not plain and min(stored.shape) < LEAST:
        raise ShapeError(f"a mosaic of {stored.shape[1]}x{stored.shape[0]} has no room for tiles: take plain=True")
    root, version = _directories(stored, profile, exposure, "none" if plain else compression, plain=plain)
    metadata, record = metadata or PhotoMetadata(), record or PhotoRecord()
    root.tags |= record.descriptions | file_tags(orientation, metadata, version) | camera_tags(profile, exposure)
    properties = [*record.xmp, *(provenance.properties() if provenance else ())]
    if properties:
        root.tags[_XMP] = Tag("byte", write_packet(properties))
    root.children[_EXIF] = [Directory(exif_tags(metadata) | record.exif)]
    if record.gps:
        root.children[_GPS] = [Directory(dict(record.gps))]
    with atomic_write(path) as file:
        write_directories(file, root)


def _directories(
    stored: Array, profile: CameraProfile, exposure: float, compression: str, *, plain: bool
) -> tuple[Directory, tuple[int, ...]]:
    """Return the directories of the pixels, and the oldest DNG version that reads them."""
    chosen = find_compression(compression)
    with ThreadPoolExecutor(1) as pool:
        picture = None if plain else pool.submit(developed, stored, profile, exposure)
        encoded = encode_samples(stored, chosen)
    levels = level_tags(profile, mosaic=stored.ndim == 2)
    raw = Directory(sample_tags(stored, chosen, encoded) | levels, encoded.pieces)
    return raw if picture is None else _with_previews(raw, picture.result()), chosen.version


def _with_previews(raw: Directory, picture: Array) -> Directory:
    """Return a first directory with a thumbnail, above the RAW and its preview."""
    root = thumbnail_directory(picture)
    root.children[_SUB_DIRECTORIES] = [raw, jpeg_directory(picture)]
    return root
