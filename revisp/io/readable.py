"""Check that a file can be read."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from revisp.errors import ImageError
from revisp.io.damaged import Damaged, report_damage
from revisp.io.pixel_limit import check_pixels
from revisp.wording import counted

__all__ = ["check_complete", "check_file", "check_largest", "check_samples", "tiff_pages"]

_UNCOMPRESSED, _CONTIGUOUS = 1, 1  # of Compression and PlanarConfiguration

MOST_PAGES = 64
"""Most pages of a TIFF that are looked at, and most below each of them."""


def check_file(path: str | Path) -> Path:
    """Return the path of a file that can be opened and is not empty.

    Raises:
        ImageError: the file is missing, a folder, a pipe, not readable, or empty.
    """
    path = Path(path)
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():  # opening a pipe would wait for its writer
            raise ImageError(f"{path}: a pipe or device: give a file")
        with path.open("rb") as file:
            if not file.read(1):
                raise ImageError(f"{path}: the file is empty")
    except OSError as error:
        reason = "is a folder" if path.is_dir() else error.strerror or str(error)
        raise ImageError(
            f"{path}: {'no such file' if isinstance(error, FileNotFoundError) else reason}"
        ) from error
    return path


def tiff_pages(tiff: Any) -> list[Any]:
    """Return the pages of a ``tifffile.TiffFile`` and those below them, up to `MOST_PAGES` of each.

    A damaged table may name millions of pages, and tifffile reads each of them.
    """
    tops = itertools.islice(tiff.pages, MOST_PAGES)
    return [page for top in tops for page in (top, *itertools.islice(top.pages or (), MOST_PAGES))]


def check_complete(page: Any, path: Path, damaged: Damaged = "refuse") -> None:
    """Require that a ``tifffile.TiffPage`` has a sound size, and that its strips or tiles lie within its file.

    Some decoders fill gaps.

    Args:
        page: the page.
        path: its file.
        damaged: what to do about absent strips or tiles, and a file that is cut off.

    Raises:
        ImageError: too many pixels or samples, or it is damaged and refused.
    """
    check_pixels(path, page.imagewidth, page.imagelength * page.imagedepth, page.samplesperpixel)
    if 0 in page.databytecounts or len(page.databytecounts) < math.prod(page.chunked):
        report_damage(path, "damaged, strips or tiles of its picture are absent", damaged)
    ends = (at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=False))
    missing = max(ends, default=0) - path.stat().st_size
    if missing > 0:
        report_damage(path, f"cut off, {counted(missing, 'byte is', 'bytes are')} missing", damaged)


def check_samples(page: Any, path: Path, damaged: Damaged = "refuse") -> None:
    """Require that uncompressed strips or tiles of a ``tifffile.TiffPage`` are as long as their samples.

    Raises:
        ImageError: one is shorter, and is refused.
    """
    bits = page.samplesperpixel * page.bitspersample
    absent = 0 in page.databytecounts  # `check_complete` has told of it
    if absent or page.compression != _UNCOMPRESSED or page.planarconfig != _CONTIGUOUS:
        return
    if page.is_tiled:
        short = min(page.databytecounts) < page.tilelength * -(-page.tilewidth * bits // 8)
    else:
        short = sum(page.databytecounts) < page.imagelength * -(-page.imagewidth * bits // 8)
    if short:
        report_damage(path, "damaged, strips or tiles of its picture are too short", damaged)


def check_largest(tiff: Any, path: Path, damaged: Damaged = "refuse") -> None:
    """Require that the largest picture of an open ``tifffile.TiffFile`` is complete, as `check_complete` does.

    Raises:
        ImageError: the file is cut off.
    """
    check_complete(max(tiff_pages(tiff), key=lambda page: sum(page.databytecounts)), path, damaged)
