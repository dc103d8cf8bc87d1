"""All that a photo says about itself: EXIF, GPS and XMP, to be carried over to the RAW that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.ifd import Tag, decode_directory
from revisp.io.photo_parts import exif_block
from revisp.io.pixel_limit import pixel_limit
from revisp.io.xmp import DESCRIPTIVE, Property, read_packet

__all__ = ["PhotoRecord", "read_record"]

_EXIF, _GPS, _XMP = 34665, 34853, 700

_DESCRIPTIVE_TAGS = (
    270, 315, 18246, 18249, 33432,  # ImageDescription, Artist, Rating, RatingPercent, Copyright
    40091, 40092, 40093, 40094, 40095,  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
)  # fmt: skip
"""Tags of the first directory that describe the scene and not the file."""

_FILE_TAGS = (
    37121, 37122, 40960, 40961, 40962, 40963, 42240,  # coding, colour space and size of the photo's pixels
    40965,  # points to the interoperability directory
    41730,  # CFAPattern of the camera that took the photo
    37500,  # MakerNote: its offsets break, and converters would apply its colours to another camera's RAW
)  # fmt: skip
"""Tags of the EXIF directory that are wrong or harmful in another file."""


@dataclass(frozen=True)
class PhotoRecord:
    """What a photo says about itself, as it stands in the file.

    Attributes:
        descriptions: tags of the first directory: caption, author, copyright, rating.
        exif: tags of the EXIF directory, without those that hold for the photo's own file only.
        gps: tags of the GPS directory.
        xmp: descriptive properties of the XMP: caption, keywords, rating, rights, place.

    Example:
        >>> record = PhotoRecord(gps={1: Tag("ascii", "N")})
        >>> record.without_location().gps
        {}
    """

    descriptions: dict[int, Tag] = field(default_factory=dict)
    exif: dict[int, Tag] = field(default_factory=dict)
    gps: dict[int, Tag] = field(default_factory=dict)
    xmp: tuple[Property, ...] = ()

    def without_location(self) -> PhotoRecord:
        """Return a copy without coordinates and without names of places in XMP; a caption stays as it is."""
        return replace(
            self, gps={}, xmp=tuple(entry for entry in self.xmp if not DESCRIPTIVE[entry.name].is_place)
        )


def read_record(path: str | Path) -> PhotoRecord:
    r"""Read what a photo says about itself.

    Left out: the thumbnail, MakerNote, and what concerns the photo's own pixels, such as its colour space. Missing
    or damaged entries are left out too; they never stop a photo from being used.

    Args:
        path: a photo. XMP is read where Pillow opens it.

    Example:
        >>> import tempfile
        >>> exif = Image.Exif()
        >>> exif[270] = "a cat"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (16, 16)).save(f"{folder}/photo.jpg", exif=exif)
        ...     read_record(f"{folder}/photo.jpg").descriptions
        {270: Tag(kind='ascii', values=b'a cat\x00')}
    """
    try:
        with decoding(path):
            return _record(Path(path))
    except ImageError:  # reading the whole file reports the fault
        return PhotoRecord()


def _record(path: Path) -> PhotoRecord:
    block = _exif(path)
    main = decode_directory(block, 0)
    xmp = main[_XMP].values if _XMP in main else _xmp(path)
    exif = _below(block, main, _EXIF)
    return PhotoRecord(
        descriptions={tag: main[tag] for tag in _DESCRIPTIVE_TAGS if tag in main},
        exif={tag: entry for tag, entry in exif.items() if tag not in _FILE_TAGS},
        gps=_below(block, main, _GPS),
        xmp=read_packet(xmp if isinstance(xmp, bytes) else str(xmp).encode()),
    )


def _exif(path: Path) -> bytes:
    """Return the EXIF of a photo, from its TIFF header on; of a TIFF, the file."""
    with path.open("rb") as file:
        block = exif_block(file)
        if block is None or isinstance(block, bytes):
            return block or b""
        block.seek(0)
        return block.read()


def _xmp(path: Path) -> Any:
    """Return the XMP of a photo as text or bytes; empty where Pillow opens no such photo."""
    try:
        with decoding(path), pixel_limit(), Image.open(path) as image:
            return image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    except ImageError:
        return b""


def _below(block: bytes, main: Mapping[int, Tag], pointer: int) -> dict[int, Tag]:
    """Return the directory that a tag points to; nothing if there is none."""
    entry = main.get(pointer)
    if entry is None or len(entry.values) != 4 or not isinstance(entry.values, bytes):
        return {}
    offset = int.from_bytes(entry.values, "little")
    return decode_directory(block, offset) if offset else {}
