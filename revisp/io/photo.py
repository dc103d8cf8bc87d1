"""Read photos as upright sRGB in [0, 1] with their EXIF and gain map, and write previews."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from revisp.checks import check_image
from revisp.errors import ImageError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.colour import to_srgb
from revisp.io.damaged import Damaged
from revisp.io.decoders.by_content import decode_photo
from revisp.io.decoders.decoded import MIN_SIZE, DecodedPhoto
from revisp.io.exif import PhotoMetadata
from revisp.io.photo_gain import GainMap
from revisp.io.sdr_rendition import gain_map_of, render_sdr

__all__ = ["MIN_SIZE", "Photo", "decode_srgb", "read_photo", "read_srgb", "write_png"]

Array = np.ndarray[Any, Any]

_FASTEST = 1
"""Compression level of zlib: it takes a fifth of the time of Pillow's level 6, and gives a fifth more bytes."""


@dataclass(frozen=True)
class Photo:
    """A photo, its EXIF and its gain map.

    Attributes:
        srgb: display-referred sRGB ``[3, H, W]``, float32 in [0, 1], upright.
        metadata: how it was taken, from the EXIF.
        gain: how far its HDR rendition is above it; None if the file holds none.
        colours: the colours that the file declares, in words; they are converted to sRGB.

    Example:
        >>> photo = Photo(torch.rand(3, 32, 48), PhotoMetadata(model="Pixel 6"))
        >>> photo.srgb.shape, photo.metadata.model
        (torch.Size([3, 32, 48]), 'Pixel 6')
    """

    srgb: Tensor
    metadata: PhotoMetadata
    gain: GainMap | None = None
    colours: str = "sRGB"


def read_srgb(path: str | Path, *, damaged: Damaged = "refuse") -> Tensor:
    """Read a photo as sRGB ``[3, H, W]``, float32 in [0, 1].

    JPEG, PNG, TIFF, WebP, HEIF, AVIF and JPEG XL of any depth are recognised by their content, not by the file's
    ending; HEIF needs the extra ``heif``. The orientation is applied. Colours that the file declares are converted
    to sRGB: a profile, cICP, gAMA and cHRM of a PNG, the numbers of a HEIF or AVIF, Adobe RGB and primaries of the
    EXIF; values without a declaration count as sRGB. Of an HDR picture with a gain map, the SDR rendition is made.
    Grey is repeated in three channels, a palette is looked up, an opaque alpha channel is dropped. CMYK is
    converted by its profile. If a file has several frames or pages, the first full one is read, with a warning.

    Args:
        path: the photo.
        damaged: ``"warn"`` reads a JPEG that ends early, or a TIFF without some strips or tiles, with a warning;
            what is missing is grey or black.

    Raises:
        ImageError: the file is missing, empty, damaged, of another kind, smaller than 16 pixels or larger than 300
            megapixels; a RAW file or a RAW mosaic; it has transparent pixels (no camera records them), CMYK
            without a profile, floating-point values, or an HDR picture only.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.ones(3, 32, 48))
        ...     srgb = read_srgb(f"{folder}/photo.png")
        >>> srgb.shape, srgb.max()
        (torch.Size([3, 32, 48]), tensor(1.))
    """
    return _srgb_of(_open(Path(path), gain=False, damaged=damaged), Path(path))


def decode_srgb(data: bytes, path: str | Path) -> Tensor:
    """Decode the bytes of a photo as `read_srgb` decodes a file.

    Args:
        data: bytes of a photo.
        path: name of the photo in errors.

    Raises:
        ImageError: as for `read_srgb`.

    Example:
        >>> data = io.BytesIO()
        >>> Image.new("RGB", (48, 32), "white").save(data, "JPEG")
        >>> decode_srgb(data.getvalue(), "downloaded.jpg").shape
        torch.Size([3, 32, 48])
    """
    return _srgb_of(decode_photo(io.BytesIO(data), Path(path), gain=False), Path(path))


def read_photo(path: str | Path, *, damaged: Damaged = "refuse") -> Photo:
    """Read a photo with its EXIF and its gain map; the pixels are those of `read_srgb`.

    Args:
        path: the photo.
        damaged: as for `read_srgb`.

    Raises:
        ImageError: as for `read_srgb`. Damaged EXIF is no error. A damaged gain map is left out, with a warning.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.ones(3, 32, 48))
        ...     photo = read_photo(f"{folder}/photo.png")
        >>> photo.srgb.shape, photo.metadata.iso, photo.gain
        (torch.Size([3, 32, 48]), None, None)
    """
    path = Path(path)
    picture = _open(path, gain=True, damaged=damaged)
    srgb = _srgb_of(picture, path)
    height, width = srgb.shape[-2:]
    return Photo(srgb, picture.exif.metadata, gain_map_of(picture, (height, width)), picture.colour.name)


def write_png(path: str | Path, srgb: Tensor) -> None:
    """Write sRGB ``[3, H, W]`` or ``[1, 3, H, W]``, clipped to [0, 1], as an 8-bit PNG.

    Raises:
        ShapeError: ``srgb`` has another shape or dtype.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.full((3, 32, 48), 2.0))
        ...     Image.open(f"{folder}/photo.png").getpixel((0, 0))
        (255, 255, 255)
    """
    check_image(srgb, 3, "srgb")
    if srgb.ndim > 4 or (srgb.ndim == 4 and srgb.shape[0] != 1):
        raise ShapeError(f"one picture [3, H, W] or [1, 3, H, W] is needed, got {list(srgb.shape)}")
    picture = srgb.detach().reshape(srgb.shape[-3:]).clamp(0, 1).mul(255).round().to(torch.uint8)
    with atomic_write(path) as file:
        Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(file, format="PNG", compress_level=_FASTEST)


def _open(path: Path, *, gain: bool, damaged: Damaged) -> DecodedPhoto:
    try:
        with path.open("rb") as file:
            return decode_photo(file, path, gain=gain, damaged=damaged)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error


def _srgb_of(picture: DecodedPhoto, path: Path) -> Tensor:
    """Return sRGB ``[3, H, W]`` of a decoded photo."""
    pixels, mode = _opaque(picture, path)
    if picture.gain is not None and picture.gain.meaning.base_is_hdr:
        return render_sdr(pixels, picture)
    rgb, white = to_srgb(pixels, mode, picture.white, picture.colour, path)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).astype(np.float32)
    planes /= np.float32(white)
    return torch.from_numpy(planes)


def _opaque(picture: DecodedPhoto, path: Path) -> tuple[Array, str]:
    """Return the pixels and mode of a photo without its alpha channel.

    Raises:
        ImageError: it has transparent pixels.
    """
    pixels, mode = picture.pixels, picture.mode
    if mode in ("LA", "RGBA"):
        if (pixels[..., -1] != picture.white).any():
            raise ImageError(f"{path}: has transparent pixels, which no camera records: flatten it first")
        pixels = pixels[..., 0] if mode == "LA" else pixels[..., :3]
        mode = mode[:-1]
    return pixels, mode
