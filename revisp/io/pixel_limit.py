"""The largest picture that is read. Pillow warns at 89 megapixels and fails at 179; phones make 200."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from revisp.errors import ImageError
from revisp.limits import MEGAPIXELS_VARIABLE, max_pixels

__all__ = ["check_pixels", "pixel_limit"]

MOST_SAMPLES = 5
"""Most samples of a pixel: CMYK and alpha."""


def check_pixels(path: str | Path, width: int, height: int, samples: int = 1) -> None:
    """Refuse a picture that would take too much memory, before it is decoded.

    Args:
        path: the file.
        width: columns that its header states.
        height: rows that its header states.
        samples: samples of a pixel.

    Raises:
        ImageError: more than `revisp.limits.max_pixels`, or more than five samples a pixel.

    Example:
        >>> check_pixels("photo.jpg", 16000, 12000)
        >>> check_pixels("forged.png", 2**31, 2**31)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        revisp.errors.ImageError: forged.png: 2147483648x2147483648, more than ...
    """
    most = max_pixels()
    if width * height > most:
        raise ImageError(
            f"{path}: {width}x{height}, more than the {most // 10**6} megapixels that are read; "
            f"if you trust it, give --max-megapixels, or set {MEGAPIXELS_VARIABLE} to more"
        )
    if samples > MOST_SAMPLES:
        raise ImageError(f"{path}: {samples} samples a pixel, at most {MOST_SAMPLES} are read")


@contextlib.contextmanager
def pixel_limit() -> Iterator[None]:
    """Replace Pillow's limit by ours while photos are opened.

    Raises:
        PIL.Image.DecompressionBombError: raised by Pillow inside the context for more than twice as many pixels as
            `revisp.limits.max_pixels`. Pillow only warns between once and twice as many.
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


class _Limit:
    """Pillow's limit, which all threads share. It is ours while at least one photo is open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers = 0
        self.before: int | None = None

    def enter(self) -> None:
        with self.lock:
            if not self.readers:
                self.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels()
            self.readers += 1

    def leave(self) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                Image.MAX_IMAGE_PIXELS = self.before


_limit = _Limit()
