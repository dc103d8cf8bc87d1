"""JPEG, PNG and WebP: Pillow decodes 8 bits. It would reduce 16-bit colour, which imagecodecs decodes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from revisp.errors import ImageError
from revisp.io.colour import Colour, colour_of_exif, colour_of_png
from revisp.io.containers.jpeg import JpegFile, parse_jpeg
from revisp.io.containers.png import parse_png
from revisp.io.containers.webp import parse_webp
from revisp.io.damaged import Damaged, report_damage
from revisp.io.decoders.decoded import DecodedPhoto, check_size, mode_of, upright
from revisp.io.exif import Exif, parse_exif
from revisp.io.gain_fields import xmp_values
from revisp.io.jpeg_data import ends_early, scans_missing
from revisp.io.jpeg_gain import read_jpeg_gain
from revisp.io.not_a_photo import refuse_mosaic
from revisp.io.pixel_limit import pixel_limit
from revisp.limits import MEGAPIXELS_VARIABLE, max_pixels

__all__ = ["decode_jpeg", "decode_png", "decode_webp", "pillow_pixels"]

Array = np.ndarray[Any, Any]

_TIFF_NAMESPACE = "http://ns.adobe.com/tiff/1.0/"
_ORIENTATION = 0x0112
_END = b"\xff\xd9"
_MISSING = 128
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of an EXIF orientation upright. Pillow's pixels of four bytes are quick to turn."""


def decode_jpeg(data: bytes, path: Path, *, gain: bool, damaged: Damaged = "refuse") -> DecodedPhoto:
    """Decode a JPEG of 8 or 12 bits.

    Args:
        data: the file.
        path: its name in errors.
        gain: whether its gain map is wanted.
        damaged: what to do if it ends early.

    Raises:
        ImageError: size or colours are not supported, or it ends early and is refused.
    """
    parsed = parse_jpeg(data) or JpegFile(
        None, None, None, None, 8, (0, 0), len(data)
    )  # Pillow says what is wrong
    if damaged == "warn" and data[parsed.end - 2 : parsed.end] != _END:
        data += _END  # else Pillow refuses it
        parsed = parsed._replace(end=len(data))
    exif = _with_orientation(parse_exif(parsed.exif), parsed.xmp)
    if parsed.bits == 8:
        pixels, mode = _pillow(data, path, exif.orientation)
        cut = _has_blank_corner(pixels) and ends_early(
            data, parsed.end, pixels, lambda more: _pillow(more, path, exif.orientation)[0]
        )
    else:
        check_size(path, *reversed(parsed.size))
        stored = imagecodecs.jpeg_decode(data)
        cut = ends_early(data, parsed.end, stored, imagecodecs.jpeg_decode)
        pixels = upright(stored, exif.orientation)
        check_size(path, pixels.shape[1], pixels.shape[0])
        mode = mode_of(pixels)
    if cut:
        report_damage(path, "ends early, its last rows are missing", damaged)
    elif scans_missing(data, parsed):
        report_damage(path, "ends early, its fine detail is missing", damaged)
    return DecodedPhoto(
        pixels,
        mode,
        white=2**parsed.bits - 1,
        colour=Colour(icc=parsed.icc) if parsed.icc else colour_of_exif(exif),
        exif=exif,
        gain=read_jpeg_gain(data, parsed, exif, path, wanted=gain),
    )


def decode_png(data: bytes, path: Path) -> DecodedPhoto:
    """Decode a PNG of any depth.

    Raises:
        ImageError: size or colours are not supported; a RAW mosaic.
    """
    parsed = parse_png(data)
    if parsed is None:
        raise ValueError("cut off")
    exif = _with_orientation(parse_exif(parsed.exif), parsed.xmp)
    pixels, mode = _pillow(data, path, exif.orientation, deep=parsed.bits == 16)
    refuse_mosaic(pixels, path, software=parsed.software)
    colour = colour_of_png(parsed, exif, path)
    return DecodedPhoto(pixels, mode, int(np.iinfo(pixels.dtype).max), colour, exif)


def decode_webp(data: bytes, path: Path) -> DecodedPhoto:
    """Decode the first frame of a WebP.

    Raises:
        ImageError: its size is not supported.
    """
    parsed = parse_webp(data)
    exif = _with_orientation(parse_exif(parsed.exif), parsed.xmp)
    pixels, mode = _pillow(data, path, exif.orientation)
    colour = Colour(icc=parsed.icc) if parsed.icc else colour_of_exif(exif)
    return DecodedPhoto(pixels, mode, 255, colour, exif)


def pillow_pixels(image: Image.Image, path: Path) -> tuple[Array, str]:
    """Return the pixels of a loaded Pillow image of 8 bits, in a mode of `DecodedPhoto`.

    Raises:
        ImageError: another kind of pixels.
    """
    if image.mode in ("F", "I", "LAB", "HSV"):
        raise ImageError(f"{path}: pixels of kind {image.mode} are not supported: convert it to 8- or 16-bit RGB")
    if image.mode == "YCbCr":
        image = image.convert("RGB")
    elif image.mode in ("P", "PA", "1", "La", "RGBa") or "transparency" in image.info:
        alpha = image.mode in ("PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if alpha else "RGB")
    return np.asarray(image), image.mode


def _pillow(data: bytes, path: Path, orientation: int, *, deep: bool = False) -> tuple[Array, str]:
    """Decode to upright pixels by Pillow, or by imagecodecs if ``deep``, after Pillow has read the header."""
    try:
        with pixel_limit(), Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # an MPO adds e.g. a depth map
                warnings.warn(f"{path}: has {frames} frames, only the first is read", stacklevel=6)
            check_size(path, *image.size)
            if deep:
                pixels = upright(imagecodecs.png_decode(data), orientation)
                return pixels, mode_of(pixels)
            image.load()
            turn = _TURNS.get(orientation)
            return pillow_pixels(image if turn is None else image.transpose(turn), path)
    except UnidentifiedImageError:
        raise ValueError("its header is damaged") from None
    except Image.DecompressionBombError:
        most = max_pixels() // 10**6
        raise ImageError(
            f"{path}: larger than {most} megapixels, the most that is read; if you trust it, give "
            f"--max-megapixels, or set {MEGAPIXELS_VARIABLE} to more"
        ) from None


def _has_blank_corner(pixels: Array) -> bool:
    """Whether a block in a corner has the grey that libjpeg fills in for data that are missing."""
    height, width = (-(-side // 8) * 8 - 8 for side in pixels.shape[:2])  # where the last block begins
    blocks = (pixels[at : at + 8, left : left + 8] for at in (0, height) for left in (0, width))
    return any((block == _MISSING).all() for block in blocks)


def _with_orientation(exif: Exif, xmp: bytes | None) -> Exif:
    """Take the orientation from the XMP where the EXIF has none."""
    if xmp is None or _ORIENTATION in exif.image or b"Orientation" not in xmp:
        return exif
    stated = xmp_values(xmp, _TIFF_NAMESPACE).get("Orientation")
    if not isinstance(stated, str) or not stated.strip().isdecimal():
        return exif
    return Exif(exif.image | {_ORIENTATION: (int(stated),)}, exif.photo, exif.interoperability)
