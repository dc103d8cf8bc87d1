"""Read GoPro's GPR files: DNG with wavelet compression (VC-5), which flashraw can read and LibRaw cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError, ImageError
from revisp.io.boundary import decoding
from revisp.io.exif import read_metadata
from revisp.io.raw.matrices import matrix_near_d65
from revisp.io.raw.rawimage import RawImage, Rectangle

__all__ = ["gpr_preview", "open_gpr", "read_gpr"]

T = TypeVar("T")


def read_gpr(path: Path) -> RawImage:
    """Read a GPR (or DNG) file.

    The values are those of the sensor: a gain map or a warp in the file is not applied. `revisp.io.read_raw`
    applies gain maps on request.

    Raises:
        ImageError: flashraw is not installed, or the file is cut off, damaged or has no Bayer mosaic.
    """
    frame = open_gpr(path, lambda raw: raw.decode("raw-u16", corruption_policy="strict"))
    if frame.layout != "bayer" or frame.cfa is None:
        raise ImageError(f"{path}: holds no Bayer mosaic ({frame.layout})")
    active, crop = frame.active_area, frame.crop
    mosaic = np.ascontiguousarray(frame.active_view())
    window = Rectangle(crop.y - active.y, crop.x - active.x, crop.height, crop.width)
    try:
        profile = _profile(frame, int(mosaic.max()))
    except ConfigError as error:
        raise ImageError(f"{path}: {error}") from error
    inside = window if window.fits(*mosaic.shape) else None
    return RawImage(mosaic, profile, read_metadata(path), frame.orientation, inside)


def gpr_preview(path: Path) -> tuple[bytes, int] | None:
    """Return the bytes and EXIF orientation of the largest preview in a GPR file; None if it has no preview.

    Raises:
        ImageError: as for `read_gpr`.
    """
    preview = open_gpr(path, lambda raw: raw.preview("largest"))
    return None if preview is None else (preview.data, preview.info.orientation)


def open_gpr(path: Path, read: Callable[[Any], T]) -> T:
    """Open a ``flashraw.RawFile`` and return the result of ``read`` for it.

    Raises:
        ImageError: flashraw is not installed, or cannot read the file.
    """
    try:
        import flashraw
    except ImportError as error:
        raise ImageError(
            f'{path}: GoPro GPR files need the package flashraw: pip install "revisp[gpr]"'
        ) from error
    with decoding(path, "cut off, damaged or not a GPR file"), flashraw.open(path) as raw:
        return read(raw)


def _profile(frame: Any, maximum: int) -> CameraProfile:
    """Build the profile of the active area of a ``flashraw.Frame``.

    Raises:
        ConfigError: levels, matrix or neutral are missing or not valid.
    """
    active, camera = frame.active_area, frame.metadata.camera
    letters = "".join(frame.cfa.color_at(active.x + at % 2, active.y + at // 2) for at in range(4))
    cfa = CFA.parse(letters)
    black = [frame.black_level.at(active.x + column, active.y + row) for row, column in cfa.offsets]
    matrices = [(m.temperature, np.reshape(m.values, (m.rows, 3))) for m in frame.color_matrices.color]
    matrix, gains = matrix_near_d65(matrices), frame.white_balance
    if matrix is None or not gains:
        raise ConfigError("stores no colour matrix or no white balance")
    white = float(min(frame.white_level))
    return CameraProfile(
        make=camera.make or "Unknown",
        model=camera.model or "Unknown",
        cfa=cfa,
        black_level=black,  # type: ignore[arg-type]
        white_level=white,
        bits=max(int(white).bit_length(), maximum.bit_length()),
        color_matrix=matrix.tolist(),
        as_shot_neutral=tuple(np.round(gains[1] / np.asarray(gains[:3]), 6)),
    )
