"""File names: the endings of files that are read and written, and natural order.

It has no heavy imports, so that commands can plan with it.
"""

from __future__ import annotations

import os
import re
from typing import Literal

__all__ = [
    "MOSAIC_ENDINGS",
    "OUTPUT_ENDINGS",
    "PHOTO_ENDINGS",
    "PREVIEW_ENDING",
    "RAW_ENDINGS",
    "SCENE_ENDINGS",
    "name_kind",
    "natural_key",
]

PHOTO_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif", ".hif", ".avif",
    ".jxl",
)  # fmt: skip
"""Endings of photos in a folder. A file that is given by name is recognised by its content."""

RAW_ENDINGS = (
    ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".eip", ".erf",
    ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx",
    ".pxn", ".r3d", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
"""Endings of camera RAW files in a folder."""

SCENE_ENDINGS = (".hdr", ".pic", ".exr")
"""Pictures of linear light: Radiance and OpenEXR."""

MOSAIC_ENDINGS = (".png", ".npy", ".tif", ".tiff")
"""Endings of 16-bit mosaics, whose camera profile is a separate file."""

OUTPUT_ENDINGS = (".dng", ".npy", ".tiff", ".tif", ".png")
"""Endings of the RAW files that a photo can be converted to."""

PREVIEW_ENDING = ".preview.png"
"""Ending of the developed RAW that `revisp-predict --preview` writes: ``photo.preview.png`` for ``photo.dng``."""


def name_kind(name: str) -> Literal["photo", "preview", "hidden", "other"]:
    """Return which kind of file a name in a folder of photos has.

    Example:
        >>> [name_kind(name) for name in ("a.JPG", "a.preview.png", ".a.jpg", "a.txt")]
        ['photo', 'preview', 'hidden', 'other']
    """
    if name.startswith("."):
        return "hidden"
    if name.lower().endswith(PREVIEW_ENDING):
        return "preview"
    return "photo" if os.path.splitext(name)[1].lower() in PHOTO_ENDINGS else "other"  # noqa: PTH122  # a Path is slow


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts digits as numbers.

    Example:
        >>> sorted(["img10", "img2"], key=natural_key)
        ['img2', 'img10']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name
