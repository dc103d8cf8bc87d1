"""The largest photo that is read. Pillow warns at 89 megapixels and fails at 179; phones make 200."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from PIL import Image

__all__ = ["MAX_PIXELS", "pixel_limit"]

MAX_PIXELS = 300_000_000
"""Most pixels of a photo: a forged header must not be able to claim all memory."""


@contextlib.contextmanager
def pixel_limit() -> Iterator[None]:
    """Replace Pillow's limit by ours while photos are opened.

    Raises:
        PIL.Image.DecompressionBombError: raised by Pillow inside the context for more than twice `MAX_PIXELS`.
            Pillow only warns between once and twice `MAX_PIXELS`.
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
                self.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
            self.readers += 1

    def leave(self) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                Image.MAX_IMAGE_PIXELS = self.before


_limit = _Limit()
