"""EXIF: how a photo was taken."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["PhotoMetadata", "read_exif", "read_metadata"]

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # it logs an error for every photo without EXIF


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


def read_metadata(path: str | Path) -> PhotoMetadata:
    """Read the EXIF of a JPEG, PNG, WebP, TIFF or TIFF-based RAW file.

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
        with Path(path).open("rb") as file:
            return read_exif(file)
    except OSError:
        return PhotoMetadata()


def read_exif(file: BinaryIO) -> PhotoMetadata:
    """Read the EXIF of an open file; see `read_metadata`."""
    import exifread

    try:
        tags = exifread.process_file(file, details=False)
    except Exception:  # exifread fails in as many ways as EXIF can be damaged
        return PhotoMetadata()
    iso = _number(tags, "EXIF ISOSpeedRatings")
    return PhotoMetadata(
        make=_text(tags, "Image Make"),
        model=_text(tags, "Image Model"),
        lens=_text(tags, "EXIF LensModel"),
        date=_date(_text(tags, "EXIF DateTimeOriginal") or _text(tags, "Image DateTime")),
        exposure_time=_number(tags, "EXIF ExposureTime"),
        f_number=_number(tags, "EXIF FNumber"),
        iso=None if iso is None else int(iso),
        focal_length=_number(tags, "EXIF FocalLength"),
    )


def _text(tags: dict[str, Any], name: str) -> str | None:
    values = tags[name].values if name in tags else None
    text = values.strip(" \0") if isinstance(values, str) else ""
    return text.encode("ascii", "replace").decode() or None


def _number(tags: dict[str, Any], name: str) -> Fraction | None:
    try:
        value = tags[name].values[0]
        number = Fraction(value.num, value.den) if hasattr(value, "num") else Fraction(value)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number > 0 else None


def _date(text: str | None) -> str | None:
    """Return an EXIF date, or None for anything else (blank dates are common)."""
    if text is None or len(text) != 19:
        return None
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:]
    return text if digits.isdigit() and int(text[:4]) else None
