"""JPEG: its segments (ITU-T T.81, annex B), and the pictures that are appended to it (CIPA DC-007)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["SIGNATURE", "JpegFile", "appended_pictures", "parse_jpeg"]

SIGNATURE = b"\xff\xd8\xff"

_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers."""

_BARE = {0x01, *range(0xD0, 0xD8)}
"""Markers without a length."""

_EXIF = b"Exif\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_ISO_GAIN = b"urn:iso:std:iso:ts:21496:-1\0"
_MOST_APPENDED = 64
"""Most places at which a picture may begin after the first: a film behind a photo holds such bytes by chance."""


class JpegFile(NamedTuple):
    """What the segments before the pixels hold.

    Attributes:
        exif: the EXIF, from its TIFF header on; None where there is none.
        xmp: the XMP packet.
        icc: the colour profile.
        iso_gain: metadata of ISO 21496-1; of the photo itself only its version.
        bits: bits of a sample.
        size: height and width as stored.
        end: where the picture ends in the bytes.
        frame: marker of the frame header, which tells the process.
    """

    exif: bytes | None
    xmp: bytes | None
    icc: bytes | None
    iso_gain: bytes | None
    bits: int
    size: tuple[int, int]
    end: int
    frame: int = 0xC0


def parse_jpeg(data: bytes, start: int = 0) -> JpegFile | None:
    """Read the segments of a JPEG that begins at a place; return None where none does.

    A segment that is cut off ends the search: what was found until there is returned if a frame header was.
    """
    if data[start : start + 3] != SIGNATURE:
        return None
    exif: list[bytes] = []
    profile: dict[int, bytes] = {}
    xmp = iso_gain = None
    frame: tuple[int, int, tuple[int, int]] | None = None
    at = start + 2
    for marker, first, last in _segments(data, at):
        at = last
        payload = data[first:last] if 0xE0 <= marker <= 0xEF or marker in _FRAMES else b""
        if marker in _FRAMES and frame is None and len(payload) >= 5:
            frame = marker, payload[0], (int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big"))
        elif marker == 0xE1 and payload.startswith(_EXIF):
            part = payload[6:]  # the byte after the zero pads; some writers put no zero there
            if not exif or part[:2] not in (b"II", b"MM"):  # EXIF of more than 64 kB goes on in the next segment
                exif.append(part)
        elif marker == 0xE1 and payload.startswith(_XMP):
            xmp = xmp or payload[len(_XMP) :]
        elif marker == 0xE2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 2:
            profile.setdefault(payload[len(_ICC)], payload[len(_ICC) + 2 :])
        elif marker == 0xE2 and payload.startswith(_ISO_GAIN):
            iso_gain = payload[len(_ISO_GAIN) :]
    if frame is None:
        return None
    end = data.find(_END, at)
    return JpegFile(
        exif=b"".join(exif) or None,
        xmp=xmp,
        icc=b"".join(profile[number] for number in sorted(profile)) or None,
        iso_gain=iso_gain,
        bits=frame[1],
        size=frame[2],
        end=len(data) if end < 0 else end + 2,
        frame=frame[0],
    )


def appended_pictures(data: bytes, first: JpegFile) -> Iterator[tuple[int, JpegFile]]:
    """Yield the place and the segments of each JPEG behind the first.

    They are searched by their first bytes. The lengths that a file states are often those of an earlier version of
    it: an editor that rewrites the EXIF moves what follows.
    """
    at = first.end
    for _ in range(_MOST_APPENDED):
        at = data.find(SIGNATURE, at)
        if at < 0:
            return
        found = parse_jpeg(data, at)
        if found is not None:
            yield at, found
        at = at + 2 if found is None else found.end


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, first byte and end of the payload of each segment up to the first scan.

    Bytes between segments are passed over, as libjpeg does.
    """
    while match := _MARKER.search(data, at, at + _MOST_BETWEEN):
        marker, at = match.group()[-1], match.end()
        if marker in _BARE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in (0xD8, 0xD9) or length < 2 or at + length > len(data):
            return
        yield marker, at + 2, at + length
        if marker == _START_OF_SCAN:
            return
        at += length


_MARKER = re.compile(rb"\xff+[^\xff\0]", re.DOTALL)
_MOST_BETWEEN = 4096
"""Most bytes between two segments."""
