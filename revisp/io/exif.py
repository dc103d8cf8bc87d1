"""EXIF: how a photo was taken (CIPA DC-008, EXIF 3.0)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.tiff import Directory, DirectoryReader
from revisp.io.photo_parts import exif_block

__all__ = ["Exif", "PhotoMetadata", "parse_exif", "read_exif", "read_metadata"]

_PHOTO_DIRECTORY, _INTEROPERABILITY_DIRECTORY = 0x8769, 0xA005
_HIGHEST_SHORT = 65535
_SENSITIVITIES = (0x8832, 0x8833, 0x8831)
"""Tags of sensitivities of 32 bits: recommended exposure index, ISO speed, standard output sensitivity."""


@dataclass(frozen=True)
class PhotoMetadata:
    """How a photo was taken; a field is None if the file does not state it.

    Attributes:
        make: manufacturer of the camera that took the photo.
        model: model of the camera.
        lens: lens model.
        date: when the photo was taken, as EXIF writes it: ``"2021:04:08 14:51:29"``, local time.
        exposure_time: seconds.
        f_number: f-number of the aperture.
        iso: ISO speed.
        focal_length: millimetres.

    Example:
        >>> PhotoMetadata(iso=100, exposure_time=Fraction(1, 250)).exposure_time
        Fraction(1, 250)
        >>> PhotoMetadata().iso is None
        True
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    date: str | None = None
    exposure_time: Fraction | None = None
    f_number: Fraction | None = None
    iso: int | None = None
    focal_length: Fraction | None = None


@dataclass(frozen=True)
class Exif:
    """The directories of an EXIF block; an absent one is empty.

    Attributes:
        image: the first directory: camera, orientation, primaries.
        photo: exposure, lens, colour space, maker note.
        interoperability: by which rule the file was made.
    """

    image: Directory = field(default_factory=dict)
    photo: Directory = field(default_factory=dict)
    interoperability: Directory = field(default_factory=dict)

    @property
    def orientation(self) -> int:
        """Orientation, 1 to 8; 1 (upright) for other values."""
        value = _first(self.image, 0x0112)
        return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1

    @property
    def metadata(self) -> PhotoMetadata:
        """How the photo was taken."""
        return PhotoMetadata(
            make=_text(self.image, 0x010F),
            model=_text(self.image, 0x0110),
            lens=_text(self.photo, 0xA434),
            date=_date(_text(self.photo, 0x9003) or _text(self.image, 0x0132)),
            exposure_time=_number(self.photo, 0x829A),
            f_number=_number(self.photo, 0x829D),
            iso=_sensitivity(self.photo),
            focal_length=_number(self.photo, 0x920A),
        )


def read_metadata(path: str | Path) -> PhotoMetadata:
    """Read the EXIF of a JPEG, PNG, WebP, TIFF, HEIF, AVIF, JPEG XL or TIFF-based RAW file.

    Missing, damaged or unknown EXIF gives fields that are None. It never stops a photo from being used.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> exif = Image.Exif()
        >>> exif[0x0110] = "Pixel 6"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (16, 16)).save(f"{folder}/photo.jpg", exif=exif)
        ...     metadata = read_metadata(f"{folder}/photo.jpg")
        >>> metadata.model, metadata.iso
        ('Pixel 6', None)
    """
    try:
        with decoding(path), Path(path).open("rb") as file:
            return read_exif(file)
    except ImageError:  # reading the whole file reports the fault
        return PhotoMetadata()


def read_exif(file: BinaryIO) -> PhotoMetadata:
    """Read the EXIF of an open file; see `read_metadata`."""
    return parse_exif(exif_block(file)).metadata


def parse_exif(block: bytes | BinaryIO | None) -> Exif:
    """Read the directories of an EXIF block, or of an open TIFF.

    Args:
        block: from its TIFF header on; None gives empty directories, as does a damaged one.
    """
    if block is None:
        return Exif()
    try:
        reader = DirectoryReader(block)
        image = reader.read(reader.first)
    except DamagedError:
        return Exif()
    photo = _below(reader, image, _PHOTO_DIRECTORY)
    return Exif(image, photo, _below(reader, photo, _INTEROPERABILITY_DIRECTORY))


def _below(reader: DirectoryReader, directory: Directory, tag: int) -> Directory:
    """Return the directory that a tag points to; an empty one if it cannot be read."""
    place = _first(directory, tag)
    try:
        return reader.read(place) if isinstance(place, int) else {}
    except DamagedError:
        return {}


def _first(directory: Directory, tag: int) -> Any:
    value = directory.get(tag)
    return value[0] if isinstance(value, tuple) and value else None


def _text(directory: Directory, tag: int) -> str | None:
    """Return a text. EXIF 3.0 writes UTF-8; older files have Latin letters of one byte."""
    value = directory.get(tag)
    if not isinstance(value, bytes):
        return None
    plain = value.partition(b"\0")[0]
    try:
        text = plain.decode("utf-8")
    except UnicodeDecodeError:
        text = plain.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip() or None


def _number(directory: Directory, tag: int) -> Fraction | None:
    try:
        number = Fraction(_first(directory, tag))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number > 0 else None


def _sensitivity(photo: Directory) -> int | None:
    """Return the ISO speed. Its old tag has 16 bits and holds 65535 for more."""
    short = _number(photo, 0x8827)
    if short is not None and short < _HIGHEST_SHORT:
        return int(short)
    long = next((value for tag in _SENSITIVITIES if (value := _number(photo, tag)) is not None), None)
    if short is not None:
        return int(max(short, long or 0))
    return None if long is None else int(long)


def _date(text: str | None) -> str | None:
    """Return an EXIF date, or None for anything else (blank dates are common)."""
    if text is None or len(text) != 19:
        return None
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:]
    return text if digits.isascii() and digits.isdigit() and int(text[:4]) else None
