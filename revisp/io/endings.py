"""File endings of what is read and written; free of heavy imports, so that commands can plan with them."""

from __future__ import annotations

__all__ = ["MOSAIC_ENDINGS", "OUTPUT_ENDINGS", "PHOTO_ENDINGS", "RAW_ENDINGS"]

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
"""By which photos are found in a folder. A file that is named outright is recognised by its content."""

RAW_ENDINGS = (
    ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".eip", ".erf",
    ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx",
    ".pxn", ".r3d", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
"""By which camera RAW files are found in a folder."""

MOSAIC_ENDINGS = (".png", ".npy", ".tif", ".tiff")
"""Mosaics of 16 bits, whose camera profile lies beside them."""

OUTPUT_ENDINGS = (".dng", ".npy", ".tiff", ".tif", ".png")
"""RAW files that a photo can become."""
