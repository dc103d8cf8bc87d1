"""How much disk a preparation will need, from file headers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from revisp.errors import RevispError
from revisp.io.header import photo_size, raw_header
from revisp.prepare.items import ChallengeTile, Item, LonelyPhoto, MosaicFile, PairFile, PlainPhoto
from revisp.prepare.options import PrepareOptions

__all__ = ["bytes_needed"]

RAW, TARGET = 2, 6
"""Bytes a pixel of the arrays that renderings of one RAW share."""

PHOTO, DEEP_PHOTO = 3, 6
"""Bytes a pixel of a photo of 8 bits, and of 16."""

SMALL = 40_000
"""Bytes of a picture's list of overexposed pixels, at most, and of the arrays' headers."""


def bytes_needed(items: Iterable[Item], options: PrepareOptions) -> int:
    """Return an estimate, rather from above, of the bytes that the arrays of items will take."""
    return sum(_bytes(item, options) for item in items)


def _bytes(item: Item, options: PrepareOptions) -> int:
    pixels = 0 if isinstance(item, LonelyPhoto) else _pixels(item)
    if pixels == 0:
        return 0
    if isinstance(item, PlainPhoto):
        return options.cameras * (SMALL + pixels * (RAW + TARGET + PHOTO))
    if isinstance(item, PairFile):
        return SMALL + pixels * (RAW + TARGET + DEEP_PHOTO)
    if isinstance(item, ChallengeTile) or len(item.files) > 1:
        return SMALL + pixels * (RAW + TARGET + PHOTO)
    from revisp.io.developers import STYLES

    renderings = len(options.developers) * len(options.styles or STYLES)
    return renderings * SMALL + pixels * (RAW + TARGET + renderings * DEEP_PHOTO)


def _pixels(item: Item) -> int:
    """Return the pixels of an item's picture; 0 where the header tells nothing, as then nothing will be made."""
    file = item.files[0]
    try:
        if isinstance(item, PlainPhoto | PairFile):
            size = photo_size(item.files[-1])
        elif isinstance(item, MosaicFile | ChallengeTile):
            size = _array_size(file)
        else:
            header = raw_header(file)
            size = None if header is None else header[:2]
    except (RevispError, OSError, ValueError):
        return 0
    return 0 if size is None else size[0] * size[1]


def _array_size(file: Path) -> tuple[int, int] | None:
    if file.suffix.lower() != ".npy":
        return photo_size(file)
    shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
    return (2 * shape[0], 2 * shape[1]) if len(shape) == 3 else shape[:2]
