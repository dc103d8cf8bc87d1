"""The array format of the AIM 2022 and NTIRE 2025 challenges: ``.npy``, uint16 ``[h, w, 4]``, R, Gr, Gb, B.

AIM 2022 stores 10 bits as ``floor(1024 x)`` (its declared maximum is 1024, not 1023); NTIRE 2025 stores 12 bits as
``floor(4095 x)``. Both know RGGB only.

Neither says anything of its cameras. `CHALLENGE_PROFILES` has the levels that the participants of AIM 2022 used:
the Samsung S7 has no pedestal, the Huawei P20 one of 60 below a white of 1020. Colour is not known: the white
balance assumed there only guides the demosaicing of training targets, and pictures for the eye.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA, pack, unpack
from revisp.errors import ConfigError, ImageError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.mosaic_file import single_mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CHALLENGE_PROFILES", "CHALLENGE_SCALE", "read_challenge_npy", "write_challenge_npy"]

Array = np.ndarray[Any, Any]

CHALLENGE_SCALE = {10: 1024, 12: 4095}
"""Stored value of normalised 1, by bits."""

ASSUMED_NEUTRAL = (1 / 2.0, 1.0, 1 / 1.7)
"""Camera RGB of white, of which most phones are near in daylight."""


def _profile(make: str, model: str, black: float, white: float, bits: int) -> CameraProfile:
    matrix = np.linalg.inv(SRGB_TO_XYZ).tolist()
    return CameraProfile(make, model, CFA.RGGB, (black,) * 4, white, bits, matrix, ASSUMED_NEUTRAL)


CHALLENGE_PROFILES = {
    "s7": _profile("Samsung", "S7 (AIM 2022)", 0, 1024, 10),
    "p20": _profile("Huawei", "P20 (AIM 2022)", 60, 1020, 10),
    "ntire2025": _profile("Phone", "(NTIRE 2025)", 0, 4095, 12),
}
"""Camera of each challenge."""


def _scale(bits: int) -> int:
    if bits not in CHALLENGE_SCALE:
        raise ConfigError(f"challenge files hold 10 bits (AIM 2022) or 12 bits (NTIRE 2025), not {bits}")
    return CHALLENGE_SCALE[bits]


def write_challenge_npy(
    path: str | Path,
    bayer: Tensor | Array,
    cfa: CFA | str,
    *,
    bits: int = 10,
    rounding: Literal["floor", "round"] = "floor",
    black: float = 0.0,
    white: float | None = None,
) -> None:
    """Write a normalised mosaic as packed RGGB uint16 ``[h, w, 4]``.

    *Convention*: a mosaic of another phase is cut to RGGB by its first row or column, and its last one, so that
    the file's planes keep their true positions; a warning says so.

    Args:
        path: the ``.npy`` file.
        bayer: one mosaic ``[H, W]``, ``[1, H, W]`` or ``[1, 1, H, W]``, floating point, normalised; clipped to
            [0, 1].
        cfa: its phase.
        bits: 10 (scale 1024) or 12 (scale 4095).
        rounding: ``"floor"``, as the challenges' own files, or ``"round"``, which is closer.
        black: stored value of normalised 0: the pedestal that the RAW of the P20 track has.
        white: stored value of normalised 1; None takes the scale.

    Raises:
        ConfigError: other bits or rounding.
        ShapeError: not one mosaic, or not floating point.
        OutputError: the file cannot be written.
    """
    scale = _scale(bits)
    if rounding not in ("floor", "round"):
        raise ConfigError(f"rounding must be 'floor' or 'round', got {rounding!r}")
    array = single_mosaic(bayer)[None]
    if not np.issubdtype(array.dtype, np.floating):
        raise ShapeError(f"challenge files are made from a normalised floating-point mosaic, got {array.dtype}")
    top, left = CFA.parse(cfa).offset_to(CFA.RGGB)
    height, width = ((n - cut) // 2 * 2 for n, cut in zip(array.shape[-2:], (top, left), strict=True))
    if (height, width) != array.shape[-2:]:
        warnings.warn(
            f"{path}: {array.shape[-1]}x{array.shape[-2]} {cfa} is cut to {width}x{height} to pack as RGGB",
            stacklevel=2,
        )
    packed = pack(array[:, top : top + height, left : left + width], CFA.RGGB)
    span = (scale if white is None else white) - black
    values = np.clip(packed, 0, 1) * np.float32(span) + np.float32(black)
    values = np.floor(values) if rounding == "floor" else np.rint(values)
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values.transpose(1, 2, 0).astype(np.uint16)))
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_challenge_npy(path: str | Path, *, bits: int = 10) -> Array:
    """Read a challenge file as a normalised RGGB mosaic, float32 ``[H, W]`` in [0, 1].

    Raises:
        ConfigError: bits other than 10 and 12.
        ImageError: missing, damaged, not uint16 ``[h, w, 4]``, or above the scale of ``bits``.
    """
    scale = _scale(bits)
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: not a readable .npy file ({error})") from error
    if stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[-1] != 4:
        raise ImageError(
            f"{path}: a challenge file is uint16 [h, w, 4], this is {stored.dtype} {list(stored.shape)}"
        )
    if stored.size and int(stored.max()) > scale:
        raise ImageError(f"{path}: holds {int(stored.max())}, above the {scale} of {bits} bits: read it with more")
    packed = stored.transpose(2, 0, 1).astype(np.float32) / np.float32(scale)
    mosaic: Array = unpack(packed, CFA.RGGB)[0]
    return mosaic
