"""Estimate the disk space and memory of a preparation from file headers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from revisp.errors import RevispError
from revisp.io.header import photo_size, raw_header
from revisp.io.npy import open_npy
from revisp.prepare.items import ChallengeTile, Item, LonelyPhoto, MosaicFile, PairFile, PlainPhoto
from revisp.prepare.options import PrepareOptions

__all__ = ["affordable_workers", "bytes_needed"]

RAW_BYTES, TARGET_BYTES = 2, 6
"""Bytes a pixel of the arrays that all renderings of one RAW share."""

PHOTO_BYTES, DEEP_PHOTO_BYTES = 3, 6
"""Bytes a pixel of a photo of 8 bits, and of 16."""

SMALL_BYTES = 40_000
"""Most bytes of the list of overexposed pixels of a picture and of the array headers."""


WORKER_BYTES, PIXEL_BYTES = 700_000_000, 220
"""Bytes of memory of a worker process with its libraries, and bytes for each pixel of its picture."""

MEMORY_SHARE = 0.8
"""Share of the memory of the machine that workers may use."""


def affordable_workers(items: Iterable[Item]) -> int:
    """Return the processes that cores and memory allow if all are at the largest picture; at least one."""
    cores = os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return cores
    largest = max(map(_pixels, items), default=0)
    return max(1, min(cores, int(MEMORY_SHARE * memory / (WORKER_BYTES + PIXEL_BYTES * largest))))


def bytes_needed(items: Iterable[Item], options: PrepareOptions) -> int:
    """Return an estimate, rather too high than too low, of the bytes of the arrays of items."""
    return sum(_bytes(item, options) for item in items)


def _bytes(item: Item, options: PrepareOptions) -> int:
    pixels = 0 if isinstance(item, LonelyPhoto) else _pixels(item)
    if pixels == 0:
        return 0
    if isinstance(item, PlainPhoto):
        return options.cameras * (SMALL_BYTES + pixels * (RAW_BYTES + TARGET_BYTES + PHOTO_BYTES))
    if isinstance(item, PairFile):
        return SMALL_BYTES + pixels * (RAW_BYTES + TARGET_BYTES + DEEP_PHOTO_BYTES)
    if isinstance(item, ChallengeTile) or len(item.files) > 1:
        return SMALL_BYTES + pixels * (RAW_BYTES + TARGET_BYTES + PHOTO_BYTES)
    from revisp.io.converters import STYLES

    renderings = len(options.converters) * len(options.styles or STYLES)
    return renderings * SMALL_BYTES + pixels * (RAW_BYTES + TARGET_BYTES + renderings * DEEP_PHOTO_BYTES)


def _pixels(item: Item) -> int:
    """Return the pixels of the picture of an item; 0 if the header is not readable: no picture is made then."""
    file = item.files[0]
    try:
        if isinstance(item, PlainPhoto | PairFile):
            size = photo_size(item.files[-1])
        elif isinstance(item, MosaicFile | ChallengeTile):
            size = _array_size(file)
        else:
            header = raw_header(file)
            size = None if header is None else header[:2]
    except RevispError:
        return 0
    return 0 if size is None else size[0] * size[1]


def _array_size(file: Path) -> tuple[int, int] | None:
    if file.suffix.lower() != ".npy":
        return photo_size(file)
    shape = open_npy(file).shape
    return (2 * shape[0], 2 * shape[1]) if len(shape) == 3 else shape[:2]
