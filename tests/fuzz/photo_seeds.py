"""Small valid photos of every format, those with gain maps among them, which mutations begin from."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import photo_writers as writers
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin

__all__ = ["HEIGHT", "PHOTOS", "WIDTH", "pixels"]

HEIGHT, WIDTH = 64, 96


def pixels(dtype: Any = np.uint8, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return a smooth photo ``[64, 96, 3]``."""
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8))
    photo = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return photo.astype(dtype) * (257 if dtype == np.uint16 else 1)


def _exif() -> Any:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x010E] = "Acme", "One", 6, "a caption"
    photo = exif.get_ifd(0x8769)
    rational = TiffImagePlugin.IFDRational
    photo[0x829A], photo[0x829D], photo[0x8827], photo[0x9003] = (
        rational(1, 60),
        rational(28, 10),
        200,
        "2026:01:02 03:04:05",
    )
    photo[0x927C] = b"maker note"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (rational(48), rational(8), rational(0))
    return exif


def _pillow(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels()).save(out, kind, **options)
    return out.getvalue()


def _icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _ultra_hdr() -> bytes:
    values = pixels()[: HEIGHT // 2, : WIDTH // 2, 0]
    map_ = writers.jpeg(values, [writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))])
    return (
        writers.jpeg(
            pixels(),
            [
                writers.iso_segment(bytes(4)),
                writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False)),
            ],
        )
        + map_
    )


def _avif_with_map() -> bytes:
    values = writers.av1_item(pixels()[..., 0])
    return writers.avif_with_map(writers.av1_item(pixels()), values, writers.iso_metadata(writers.Fields()))


def _apple_jpeg() -> bytes:
    photo = writers.jpeg(pixels(), exif=b"Exif\0\0" + writers.apple_exif(1.2, 0.005, 6))
    return photo + writers.jpeg(pixels()[::2, ::2, 0], [writers.xmp_segment(writers.apple_xmp(None))])


def _heif_with_map() -> bytes:
    photo, values = np.tile(pixels(), (2, 2, 1))[:64, :128], pixels()[..., 0][:64, :64]
    name = b"urn:com:apple:photo:2020:aux:hdrgainmap\0"
    auxiliary = writers.hevc_item(values, (b"auxC", bytes(4) + name))
    items = [
        writers.hevc_item(photo),
        auxiliary._replace(references=[(b"auxl", [1])], hidden=True),
        writers.Item(
            b"mime", writers.apple_xmp(None).encode(), references=[(b"cdsc", [2])],
            content_type=b"application/rdf+xml",
        ),
        writers.Item(b"Exif", bytes(4) + writers.apple_exif(1.2, 0.005), references=[(b"cdsc", [1])]),
    ]  # fmt: skip
    return writers.item_file(items, brands=b"heicmif1miaf")


def _heif() -> bytes:
    return writers.item_file([writers.hevc_item(np.tile(pixels(), (2, 2, 1))[:64, :128])], brands=b"heicmif1heic")


def _tiff(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


PHOTOS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _pillow("JPEG", quality=90, exif=_exif(), icc_profile=_icc(), xmp=writers._xmp("").encode()),
    "progressive.jpeg": lambda: _pillow("JPEG", quality=90, progressive=True),
    "ultrahdr.jpeg": _ultra_hdr,
    "png": lambda: _pillow("PNG", exif=_exif(), icc_profile=_icc()),
    "png16": lambda: bytes(imagecodecs.png_encode(pixels(np.uint16))),
    "webp": lambda: _pillow("WEBP", exif=_exif(), icc_profile=_icc()),
    "tiff": lambda: _pillow("TIFF", exif=_exif(), icc_profile=_icc(), compression="tiff_lzw"),
    "tiff16": lambda: _tiff(pixels(np.uint16), compression="zlib", predictor=True, rowsperstrip=16),
    "tiff.jpeg": lambda: _pillow("TIFF", compression="jpeg"),
    "avif": lambda: writers.item_file([writers.av1_item(pixels(), turn=1)], brands=b"avifmif1miaf"),
    "map.avif": _avif_with_map,
    "coded.avif": lambda: bytes(imagecodecs.avif_encode(pixels(), primaries=12, transfer=13)).replace(
        b"colr", b"free"
    ),
    "sequence.avif": lambda: _pillow("AVIF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
    "heif": _heif,
    "coded.heif": lambda: _heif().replace(b"colr", b"free"),
    "jxl": lambda: bytes(imagecodecs.jpegxl_encode(pixels(), lossless=True, usecontainer=True)),
    "apple.jpeg": _apple_jpeg,
    "map.heif": _heif_with_map,
    "map.jxl": lambda: writers.jxl_with_map(
        pixels(), pixels()[: HEIGHT // 2, : WIDTH // 2, 0], writers.iso_metadata(writers.Fields())
    ),
}
