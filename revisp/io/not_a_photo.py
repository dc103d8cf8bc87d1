"""Refuse files that are no photo, with the command that takes them: RAW files, mosaics, arrays, scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from revisp.errors import ImageError
from revisp.io.containers.tiff import Directory
from revisp.io.file_names import RAW_ENDINGS

__all__ = ["MOSAIC_SOFTWARE", "not_a_photo", "refuse_mosaic", "refuse_raw"]

Array = np.ndarray[Any, Any]

MOSAIC_SOFTWARE = "revisp mosaic"
"""What `revisp.io.write_mosaic` gives as the program, so that its files are known again."""

_RAW_STARTS = (
    b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"ARRI", b"IIII", b"MMMM"
)  # fmt: skip
_ARRAYS, _SCENES = (b"\x93NUMPY",), (b"#?RADIANCE", b"#?RGBE", b"\x76\x2f\x31\x01")
_CFA, _LINEAR_RAW = 32803, 34892
_RAW_COMPRESSIONS = {32767, 32769, 32770, 32867, 34316, 34713, 65000, 65535}
"""Of Sony, Epson, Samsung, Kodak, Panasonic, Nikon, Kodak, Pentax."""

_DNG_VERSION, _CFA_PATTERN, _PHOTOMETRIC, _COMPRESSION = 0xC612, 0x828E, 262, 259
_CHECKERED = 1.25
"""In a mosaic, neighbours differ more than second neighbours, which are of the same colour; in a picture less."""

_ROWS = 1024
"""Rows and columns from the middle that are looked at."""


def not_a_photo(path: Path, head: bytes) -> ImageError:
    """Return the error of a file that begins with no photo's bytes."""
    if head.startswith(_RAW_STARTS) or head[4:12] == b"ftypcrx " or head[6:14] == b"HEAPCCDR":
        return _raw(path)
    if head.startswith(_ARRAYS):
        return ImageError(
            f"{path}: an array of numbers, as predicted RAW is stored, not a photo: revisp-evaluate scores it"
        )
    if head.startswith(_SCENES):
        return ImageError(f"{path}: a scene of linear light, not a photo: revisp-prepare takes it")
    if path.suffix.lower() in RAW_ENDINGS:
        return _raw(path)
    return ImageError(f"{path}: not a JPEG, PNG, TIFF or WebP photo, nor HEIF, AVIF or JPEG XL")


def refuse_raw(directories: Sequence[Directory], path: Path) -> None:
    """Refuse a TIFF that is a RAW file: its first picture is only a preview.

    Args:
        directories: all directories of pictures, those below others included.
        path: the file.

    Raises:
        ImageError: it is one.
    """
    for each in directories:
        if (
            _DNG_VERSION in each
            or _CFA_PATTERN in each
            or _first(each, _PHOTOMETRIC) in (_CFA, _LINEAR_RAW)
            or _first(each, _COMPRESSION) in _RAW_COMPRESSIONS
        ):
            raise _raw(path)
    if path.suffix.lower() in RAW_ENDINGS:
        raise _raw(path)


def refuse_mosaic(pixels: Array, path: Path, software: str | None = None) -> None:
    """Refuse a picture of one channel that holds the colours of a Bayer pattern side by side.

    Args:
        pixels: ``[H, W]``; other shapes are no mosaic.
        path: the file.
        software: program that wrote it.

    Raises:
        ImageError: it is one.
    """
    if pixels.ndim == 2 and ((software or "").startswith(MOSAIC_SOFTWARE) or _is_checkered(pixels)):
        raise ImageError(
            f"{path}: a RAW mosaic of one channel, not a photo: "
            "revisp-prepare takes it, beside the profile.json of its camera"
        )


def _is_checkered(pixels: Array) -> bool:
    """Whether neighbours differ more than second neighbours, in both directions."""
    height, width = pixels.shape
    top, left = max(0, height - _ROWS) // 2, max(0, width - _ROWS) // 2
    part = pixels[top : top + _ROWS, left : left + _ROWS].astype(np.float32)
    near = np.abs(np.diff(part, axis=0)).mean(), np.abs(np.diff(part, axis=1)).mean()
    far = np.abs(part[2:] - part[:-2]).mean(), np.abs(part[:, 2:] - part[:, :-2]).mean()
    return all(close > _CHECKERED * second for close, second in zip(near, far, strict=True))


def _raw(path: Path) -> ImageError:
    return ImageError(
        f"{path}: a RAW file, not a photo: revisp-prepare and revisp.io.read_raw take it; "
        "to make a RAW of a photo, give the photo"
    )


def _first(directory: Directory, tag: int) -> Any:
    value = directory.get(tag)
    return value[0] if isinstance(value, tuple) and value else None
