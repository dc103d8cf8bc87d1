"""The array format of the AIM 2022 and NTIRE 2025 challenges: ``.npy``, uint16 ``[h, w, 4]``, R, Gr, Gb, B.

`revisp.challenges` holds the levels of each challenge.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from revisp.cfa import CFA, pack, unpack
from revisp.challenges import challenge_scale
from revisp.errors import ImageError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.boundary import decoding
from revisp.io.mosaic_file import single_mosaic
from revisp.io.npy import NPY_MAGIC, read_npy

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_predicted_npy", "read_challenge_npy", "write_challenge_npy"]

Array = np.ndarray[Any, Any]

_MARK = b" " * 256
"""Spaces at the end of the header of a predicted array. NumPy writes at most 84; the format allows any number."""

_HEADER_AT = len(NPY_MAGIC) + 4  # after the version and the length of the header


def write_challenge_npy(
    path: str | Path,
    bayer: Tensor | Array,
    cfa: CFA | str,
    *,
    bits: int = 10,
    black: float = 0.0,
    white: float | None = None,
    predicted: bool = False,
) -> None:
    """Write a normalised mosaic as packed RGGB uint16 ``[h, w, 4]``.

    *Convention*: a mosaic of another phase is cut to RGGB: it loses its first and last row or column. The planes
    in the file then keep their true positions. A warning says so.

    Args:
        path: the ``.npy`` file.
        bayer: one mosaic ``[H, W]``, ``[1, H, W]`` or ``[1, 1, H, W]``, floating point, normalised; clipped to
            [0, 1].
        cfa: Bayer phase of the mosaic.
        bits: 10 (scale 1024) or 12 (scale 4095).
        black: stored value of normalised 0, such as the pedestal of the RAW of the P20 track.
        white: stored value of normalised 1; None takes the scale.
        predicted: note in the file that its RAW was predicted (`is_predicted_npy`): the header ends in more
            spaces, which readers skip.

    Raises:
        ConfigError: ``bits`` is neither 10 nor 12.
        ShapeError: not one mosaic, or not floating point.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_challenge_npy(f"{folder}/0_0.npy", np.full((8, 8), 0.5, np.float32), "RGGB")
        ...     stored = np.load(f"{folder}/0_0.npy")
        >>> stored.shape, stored.dtype, int(stored.max())
        ((4, 4, 4), dtype('uint16'), 512)
    """
    scale = challenge_scale(bits)
    array = single_mosaic(bayer)[None]
    if not np.issubdtype(array.dtype, np.floating):
        raise ShapeError(f"challenge files are made from a normalised floating-point mosaic, got {array.dtype}")
    top, left = CFA.parse(cfa).offset_to(CFA.RGGB)
    height, width = ((n - cut) // 2 * 2 for n, cut in zip(array.shape[-2:], (top, left), strict=True))
    if (height, width) != array.shape[-2:]:
        size = f"{array.shape[-1]}x{array.shape[-2]}"
        warnings.warn(
            f"{Path(path).name}: {size} {cfa} is cut to {width}x{height} to pack as RGGB",
            stacklevel=2,
        )
    packed = pack(array[:, top : top + height, left : left + width], CFA.RGGB)
    span = (scale if white is None else white) - black
    values = np.clip(packed, 0, 1) * np.float32(span) + np.float32(black)
    stored = np.ascontiguousarray(np.floor(values).transpose(1, 2, 0).astype(np.uint16))
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(stored))
        if predicted:
            end = file.tell()
            file.seek(end - 1)  # in place of its line break
            file.write(_MARK + b"\n")
            file.seek(_HEADER_AT - 2)
            file.write(struct.pack("<H", end + len(_MARK) - _HEADER_AT))
            file.seek(end + len(_MARK))
        file.write(stored.data)


def is_predicted_npy(path: str | Path) -> bool:
    """Whether an array says that `write_challenge_npy` stored a predicted RAW in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("given", "predicted"):
        ...         write_challenge_npy(
        ...             f"{folder}/{name}.npy", np.zeros((8, 8), np.float32), "RGGB", predicted=name == "predicted"
        ...         )
        ...     [is_predicted_npy(f"{folder}/{name}.npy") for name in ("given", "predicted")]
        [False, True]
    """
    with decoding(path), Path(path).open("rb") as file:
        start = file.read(_HEADER_AT)
        if not start.startswith(NPY_MAGIC + b"\1\0") or len(start) < _HEADER_AT:
            return False
        (length,) = struct.unpack_from("<H", start, _HEADER_AT - 2)
        return file.read(length).endswith(_MARK + b"\n")


def read_challenge_npy(path: str | Path, *, bits: int = 10) -> Array:
    """Read a challenge file as a normalised RGGB mosaic, float32 ``[H, W]`` in [0, 1].

    Raises:
        ConfigError: ``bits`` is neither 10 nor 12.
        ImageError: the file is missing, damaged, not uint16 ``[h, w, 4]``, or holds a value above the scale of
            ``bits``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/0_0.npy", np.full((4, 4, 4), 512, np.uint16))
        ...     mosaic = read_challenge_npy(f"{folder}/0_0.npy", bits=10)
        >>> mosaic.shape, float(mosaic.max())
        ((8, 8), 0.5)
    """
    scale = challenge_scale(bits)
    stored = read_npy(path)
    if stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[-1] != 4:
        raise ImageError(
            f"{path}: a challenge file is uint16 [h, w, 4], this is {stored.dtype} {list(stored.shape)}"
        )
    if stored.size and int(stored.max()) > scale:
        raise ImageError(f"{path}: holds {int(stored.max())}, above the {scale} of {bits} bits: read it with more")
    packed = stored.transpose(2, 0, 1).astype(np.float32) / np.float32(scale)
    mosaic: Array = unpack(packed, CFA.RGGB)[0]
    return mosaic
