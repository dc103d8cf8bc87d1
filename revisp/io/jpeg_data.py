"""Whether the coded samples of a JPEG are as many as its picture needs.

Decoders fill what is missing, and pass over what is left. So a picture is decoded again with other bytes at the
end of its data: more of them change nothing if all samples were there, and others change something if all were
needed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from revisp.io.containers.jpeg import JpegFile, parse_jpeg
from revisp.io.damaged import Damaged, report_damage

__all__ = ["check_lossless_jpeg", "ends_early", "scans_missing"]

Array = np.ndarray[Any, Any]
Decode = Callable[[bytes], Array]

_LOSSLESS, _PROGRESSIVE = 0xC3, 0xC2
_COEFFICIENTS = 64
_JPEG = (6, 7)
"""Codes of Compression by which a TIFF holds JPEG."""

_MORE = bytes(range(0, 255, 2)) * 2
"""Bytes put before the end of a JPEG: a decoder that already has all of its pixels passes over them."""

_TAIL = 16
"""Bytes of which at least one is needed. Some encoders pad."""

_AT_ONCE = 4
"""Tiles that are decoded at once; the coder holds no lock."""


def ends_early(data: bytes, end: int, pixels: Array, decode: Decode) -> bool:
    """Whether more bytes before the end marker would change the picture.

    Args:
        data: the JPEG.
        end: where it ends, behind the end marker.
        pixels: the picture.
        decode: what has decoded it.
    """
    return not np.array_equal(pixels, decode(data[: end - 2] + _MORE + data[end - 2 :]))


def scans_missing(data: bytes, parsed: JpegFile) -> bool:
    """Whether a progressive JPEG (ITU-T T.81, annex G) lacks coefficients, or bits of them, of a component."""
    if parsed.frame != _PROGRESSIVE:
        return False
    bits: dict[int, list[int]] = {}
    at = data.find(b"\xff\xda")
    while 0 <= at < parsed.end:
        count = data[at + 4] if at + 4 < len(data) else 0
        first, last, lowest = data[at + 5 + 2 * count : at + 8 + 2 * count].ljust(3, b"\0")
        for component in data[at + 5 : at + 5 + 2 * count : 2]:
            own = bits.setdefault(component, [16] * _COEFFICIENTS)
            own[first : last + 1] = [lowest & 15] * (min(last, _COEFFICIENTS - 1) - first + 1)
        at = data.find(b"\xff\xda", at + 2)
    return any(any(own) for own in bits.values())


def check_lossless_jpeg(page: Any, path: Path, damaged: Damaged) -> None:
    """Require that each strip or tile of lossless JPEG holds as many samples as it must, and no more.

    A byte that is wrong shifts what follows, so that the samples end too early or too late. Damage that leaves
    their number as it was is not found.

    Args:
        page: a ``tifffile.TiffPage``; pages of other compressions pass.
        path: its file.
        damaged: what to do.

    Raises:
        ImageError: a part is damaged.
    """
    if page.compression not in _JPEG:
        return
    with path.open("rb") as file, ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = []
        for place, size in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(place)
            parts.append(file.read(size))
        wrong = sum(pool.map(_is_damaged, parts))
    if wrong:
        report_damage(
            path, f"damaged, {wrong} of {len(parts)} strips or tiles of its picture do not end well", damaged
        )


def _is_damaged(part: bytes) -> bool:
    parsed = parse_jpeg(part)
    if parsed is None or parsed.frame != _LOSSLESS:
        return False
    start, end = part.find(b"\xff\xda"), parsed.end
    if end - start < 4 * _TAIL or part[end - 2 : end] != b"\xff\xd9":
        return False
    try:
        samples = imagecodecs.jpeg8_decode(part)
        if _most_codes(part[:start]) > 1:
            other = imagecodecs.jpeg8_decode(_with_other_tail(part, end - 2))
            if np.array_equal(samples, other):
                return True
        return ends_early(part, end, samples, imagecodecs.jpeg8_decode)
    except (RuntimeError, ValueError):  # a kind that it does not decode, or markers by chance
        return False


def _most_codes(head: bytes) -> int:
    """Return the codes of the largest Huffman table. With a single one, any bits give the same samples."""
    most, at = 0, head.find(b"\xff\xc4")
    while at >= 0:
        end = at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
        at += 4
        while at + 17 <= end:
            codes = sum(head[at + 1 : at + 17])
            most, at = max(most, codes), at + 17 + codes
        at = head.find(b"\xff\xc4", end)
    return most


def _with_other_tail(part: bytes, end: int) -> bytes:
    """Return a JPEG with other bytes before a place. FF, and a zero behind it, stay, so that no marker appears."""
    changed = bytearray(part)
    for at in range(end - _TAIL, end):
        if part[at] != 0xFF and not (part[at] == 0 and part[at - 1] == 0xFF):
            changed[at] ^= 0x54 if part[at] == 0xAA else 0x55
    return bytes(changed)
