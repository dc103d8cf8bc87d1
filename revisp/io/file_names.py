"""File names: the endings of files that are read and written, and natural order.

Free of heavy imports, so that commands can plan with them.
"""

from __future__ import annotations

import re

__all__ = [
    "MOSAIC_ENDINGS",
    "OUTPUT_ENDINGS",
    "PHOTO_ENDINGS",
    "PREVIEW_ENDING",
    "RAW_ENDINGS",
    "SCENE_ENDINGS",
    "natural_key",
]

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
"""By which photos are found in a folder. A file that is named outright is recognised by its content."""

RAW_ENDINGS = (
    ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".eip", ".erf",
    ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx",
    ".pxn", ".r3d", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
"""By which camera RAW files are found in a folder."""

SCENE_ENDINGS = (".hdr", ".pic", ".exr")
"""Pictures of linear light: Radiance and OpenEXR."""

MOSAIC_ENDINGS = (".png", ".npy", ".tif", ".tiff")
"""Mosaics of 16 bits, whose camera profile lies beside them."""

OUTPUT_ENDINGS = (".dng", ".npy", ".tiff", ".tif", ".png")
"""RAW files that a photo can become."""

PREVIEW_ENDING = ".preview.png"
"""Of the developed RAW that `revisp-predict --preview` writes beside ``photo.dng``: ``photo.preview.png``."""


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts digits as numbers.

    Example:
        >>> sorted(["img10", "img2"], key=natural_key)
        ['img2', 'img10']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name
