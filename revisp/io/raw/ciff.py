"""Canon's CIFF container (``.CRW``, 1998 to 2004): make and model of the camera, and the date.

LibRaw does not return the names and shifts the date by the computer's time zone. Layout: "The Canon RAW (CRW) File
Format" by Phil Harvey (exiftool.org/canon_raw.html).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

from revisp.io.exif import PhotoMetadata

__all__ = ["read_ciff"]

_MAKE_MODEL, _DATE = 0x080A, 0x180E
_FOLDERS = (0x2800, 0x3000)  # data types of a record that is itself a directory
_DEEPEST = 6


def read_ciff(path: Path) -> PhotoMetadata:
    """Return make, model and date of a CRW file; all fields are None for other or damaged files."""
    with path.open("rb") as file:
        if file.read(14)[6:] != b"HEAPCCDR":
            return PhotoMetadata()
        file.seek(0)
        data = file.read()
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        (start,) = struct.unpack_from(f"{order}I", data, 2)
        records = _records(data[start:], order, _DEEPEST)
        names = records.get(_MAKE_MODEL, b"").split(b"\0")
        make, model = (name.decode("ascii", "replace").strip() or None for name in (*names, b"", b"")[:2])
        date = None
        if _DATE in records:  # seconds since 1970 by the camera's clock, in an unknown time zone
            (seconds,) = struct.unpack_from(f"{order}I", records[_DATE])
            date = datetime.fromtimestamp(seconds, UTC).strftime("%Y:%m:%d %H:%M:%S") if seconds else None
    except (struct.error, KeyError):
        return PhotoMetadata()
    return PhotoMetadata(make=make, model=model, date=date)


def _records(heap: bytes, order: str, depth: int) -> dict[int, bytes]:
    """Return the bytes of all records of a heap, and of the heaps in it, by tag.

    A heap ends with the offset of its directory. The directory is a count, then a tag, a size and an offset for
    each record. If bit 14 of the tag is set, eight bytes of value follow the tag instead.
    """
    (at,) = struct.unpack_from(f"{order}I", heap, len(heap) - 4)
    (count,) = struct.unpack_from(f"{order}H", heap, at)
    found: dict[int, bytes] = {}
    for n in range(count):
        tag, size, offset = struct.unpack_from(f"{order}HII", heap, at + 2 + 10 * n)
        start, stop = (at + 4 + 10 * n, at + 12 + 10 * n) if tag & 0x4000 else (offset, offset + size)
        if tag & 0x3800 in _FOLDERS and depth:
            found |= _records(heap[start:stop], order, depth - 1)
        else:
            found[tag & 0x3FFF] = heap[start:stop]
    return found
