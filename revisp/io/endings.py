"""File endings of what is read and written; free of heavy imports, so that commands can plan with them."""

from __future__ import annotations

__all__ = ["OUTPUT_ENDINGS", "PHOTO_ENDINGS"]

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
"""By which photos are found in a folder. A file that is named outright is recognised by its content."""

OUTPUT_ENDINGS = (".dng", ".npy", ".tiff", ".tif", ".png")
"""RAW files that a photo can become."""
