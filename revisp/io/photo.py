"""Read photos (JPEG, PNG, TIFF, WebP; 8 or 16 bits a channel) as upright sRGB in [0, 1], and write previews.

Pillow reads files of 8 bits. It silently reduces 16-bit colour to 8 bits, so imagecodecs (PNG) and tifffile (TIFF)
read files of 16 bits. LittleCMS converts an embedded ICC profile to sRGB at 16 bits.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from revisp.checks import check_image
from revisp.errors import ImageError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.exif import PhotoMetadata, read_metadata
from revisp.io.pixel_limit import MAX_PIXELS, pixel_limit
from revisp.symmetry import Symmetry

__all__ = ["MIN_SIZE", "Photo", "decode_srgb", "read_photo", "read_srgb", "write_png"]

Array = np.ndarray[Any, Any]

MIN_SIZE = 16
"""Least height and width, in pixels."""

_FASTEST = 1
"""Compression level of zlib: it takes a fifth of the time of Pillow's level 6, and gives a fifth more bytes."""

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # an MPO opens as the JPEG at its beginning


@dataclass(frozen=True)
class Photo:
    """A photo and its EXIF.

    Attributes:
        srgb: display-referred sRGB ``[3, H, W]``, float32 in [0, 1], upright.
        metadata: how it was taken, from the EXIF.

    Example:
        >>> photo = Photo(torch.rand(3, 32, 48), PhotoMetadata(model="Pixel 6"))
        >>> photo.srgb.shape, photo.metadata.model
        (torch.Size([3, 32, 48]), 'Pixel 6')
    """

    srgb: Tensor
    metadata: PhotoMetadata


@dataclass(frozen=True)
class _Decoded:
    """Integer pixels ``[H, W]`` or ``[H, W, C]`` as stored, upright, with their colour space and profile."""

    pixels: Array
    mode: str  # "L", "LA", "RGB", "RGBA" or "CMYK"
    icc: bytes | None


def read_srgb(path: str | Path) -> Tensor:
    """Read a photo as sRGB ``[3, H, W]``, float32 in [0, 1].

    JPEG, PNG, TIFF and WebP of 8 or 16 bits are recognised by their content, not by the file's ending. The EXIF
    orientation is applied. A file with another ICC profile is converted to sRGB; values without a profile count as
    sRGB. Grey is repeated in three channels, a palette is looked up, an opaque alpha channel is dropped. CMYK is
    converted by its profile. If a file has several frames or pages, the first is read, with a warning.

    Raises:
        ImageError: the file is missing, empty, damaged, of another kind, smaller than 16 pixels or larger than 300
            megapixels; it has transparent pixels (no camera records them), CMYK without a profile, or
            floating-point values.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.ones(3, 32, 48))
        ...     srgb = read_srgb(f"{folder}/photo.png")
        >>> srgb.shape, srgb.max()
        (torch.Size([3, 32, 48]), tensor(1.))
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error


def decode_srgb(data: bytes, path: str | Path) -> Tensor:
    """Decode the bytes of a photo as `read_srgb` decodes a file.

    Args:
        data: bytes of a JPEG, PNG, TIFF or WebP.
        path: name of the photo in errors.

    Raises:
        ImageError: as for `read_srgb`.

    Example:
        >>> data = io.BytesIO()
        >>> Image.new("RGB", (48, 32), "white").save(data, "JPEG")
        >>> decode_srgb(data.getvalue(), "downloaded.jpg").shape
        torch.Size([3, 32, 48])
    """
    return _read(io.BytesIO(data), Path(path))


def _read(file: BinaryIO, path: Path) -> Tensor:
    """Return sRGB ``[3, H, W]`` of an open file; ``path`` is its name in errors."""
    if not file.read(1):
        raise ImageError(f"{path}: the file is empty")
    try:
        pixels = _to_rgb(_decode(file, path), path)
    except ImageError:
        raise
    except Exception as error:  # each decoder raises its own errors on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: damaged or not a photo ({reason})") from error
    top = np.float32(np.iinfo(pixels.dtype).max)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
    planes /= top
    return torch.from_numpy(planes)


def read_photo(path: str | Path) -> Photo:
    """Read a photo with its EXIF; the pixels are those of `read_srgb`.

    Raises:
        ImageError: as for `read_srgb`. Damaged EXIF is not an error.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.ones(3, 32, 48))
        ...     photo = read_photo(f"{folder}/photo.png")
        >>> photo.srgb.shape, photo.metadata.iso
        (torch.Size([3, 32, 48]), None)
    """
    return Photo(read_srgb(path), read_metadata(path))


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


def _decode(file: BinaryIO, path: Path) -> _Decoded:
    """Decode a file by its content.

    Raises:
        ImageError: the kind, size or frames of the file are not supported.
    """
    file.seek(0)
    head = file.read(26)
    file.seek(0)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        decoded = _decode_deep_tiff(file, path)
        if decoded is not None:
            return decoded
        file.seek(0)
    with pixel_limit(), _open(file, path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # an MPO adds e.g. a depth map
            warnings.warn(f"{path}: has {frames} frames, only the first is read", stacklevel=4)
        _check_size(path, *image.size)
        icc = image.info.get("icc_profile")
        if head[:4] == b"\x89PNG" and head[24] == 16:
            file.seek(0)
            pixels = imagecodecs.png_decode(file.read())
            pixels = _upright(pixels, image.getexif().get(0x0112, 1))
            return _Decoded(pixels, _mode_of(pixels), icc)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _decoded_of(upright, icc, path)


def _open(file: BinaryIO, path: Path) -> Image.Image:
    try:
        return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not a JPEG, PNG, TIFF or WebP photo") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path}: larger than {MAX_PIXELS // 10**6} megapixels, the most that is read") from None


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIZE:
        raise ImageError(f"{path}: {width}x{height} pixels, the least is {MIN_SIZE}x{MIN_SIZE}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{path}: {width}x{height}, more than the {MAX_PIXELS // 10**6} megapixels that are read")


def _decoded_of(image: Image.Image, icc: bytes | None, path: Path) -> _Decoded:
    """Convert a loaded 8-bit Pillow image to one of the modes of `_Decoded`."""
    if image.mode in ("F", "I", "LAB", "HSV"):
        raise ImageError(f"{path}: pixels of kind {image.mode} are not supported: convert it to 8- or 16-bit RGB")
    if image.mode == "YCbCr":
        image = image.convert("RGB")
    elif image.mode in ("P", "PA", "1", "La", "RGBa") or "transparency" in image.info:
        alpha = image.mode in ("PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if alpha else "RGB")
    return _Decoded(np.asarray(image), image.mode, icc)


def _decode_deep_tiff(file: BinaryIO, path: Path) -> _Decoded | None:
    """Decode a TIFF of 16 bits; return None for 8 bits, of which Pillow reads more variants."""
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages.first
        if page.bitspersample <= 8:
            return None
        if page.dtype != np.uint16 or page.photometric not in (0, 1, 2, 5):
            raise ImageError(
                f"{path}: a TIFF of this kind ({page.dtype}) is not a photo: convert it to 8- or 16-bit RGB"
            )
        _check_size(path, page.imagewidth, page.imagelength)
        if len(tiff.pages) > 1:
            warnings.warn(f"{path}: has {len(tiff.pages)} pages, only the first is read", stacklevel=5)
        pixels = page.asarray()
        if page.axes.startswith("S"):
            pixels = pixels.transpose(1, 2, 0)
        if page.photometric == 0:  # white is zero
            pixels = np.iinfo(np.uint16).max - pixels
        pixels = _upright(pixels, page.tags.valueof(274, default=1))
        mode = "CMYK" if page.photometric == 5 else _mode_of(pixels)
        return _Decoded(pixels, mode, page.iccprofile)


def _mode_of(pixels: Array) -> str:
    return {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[1 if pixels.ndim == 2 else pixels.shape[-1]]


def _upright(pixels: Array, orientation: int) -> Array:
    """Apply an EXIF orientation (1 to 8) to ``[H, W]`` or ``[H, W, C]``."""
    hflip, vflip, transpose = Symmetry.of_orientation(int(orientation))
    pixels = pixels[:: -1 if vflip else 1, :: -1 if hflip else 1]
    return pixels.swapaxes(0, 1) if transpose else pixels


def _to_rgb(decoded: _Decoded, path: Path) -> Array:
    """Return sRGB pixels ``[H, W, 3]``, uint8 or uint16."""
    pixels, mode = decoded.pixels, decoded.mode
    if mode in ("LA", "RGBA"):
        if (pixels[..., -1] != np.iinfo(pixels.dtype).max).any():
            raise ImageError(f"{path}: has transparent pixels, which no camera records: flatten it first")
        pixels = pixels[..., 0] if mode == "LA" else pixels[..., :3]
        mode = mode[:-1]
    if mode == "CMYK" and decoded.icc is None:
        raise ImageError(f"{path}: CMYK without a colour profile: convert it to sRGB first")
    if decoded.icc is not None:
        pixels, mode = _convert_profile(pixels, mode, decoded.icc, path)
    return np.stack([pixels] * 3, axis=-1) if mode == "L" else pixels


def _convert_profile(pixels: Array, mode: str, icc: bytes, path: Path) -> tuple[Array, str]:
    """Convert pixels to sRGB by their ICC profile; pixels that are sRGB already keep their values and depth."""
    space = icc[16:20].decode("ascii", "replace").strip()
    if space != {"L": "GRAY"}.get(mode, mode):
        if mode == "CMYK":
            raise ImageError(f"{path}: CMYK with a colour profile for {space}: convert it to sRGB first")
        return pixels, mode  # a grey photo with an RGB profile, or a wrong profile: viewers ignore it too
    if mode == "RGB" and _is_srgb(icc):
        return pixels, mode
    converted = imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        icc,
        imagecodecs.cms_profile("srgb"),
        colorspace={"L": "gray"}.get(mode, mode.lower()),
        outcolorspace="rgb",
        outdtype="u2",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
    )
    return converted, "RGB"


def _is_srgb(icc: bytes) -> bool:
    """Whether the conversion of a profile to sRGB changes no 8-bit colour by more than one step."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    through = imagecodecs.cms_transform(
        cube, icc, imagecodecs.cms_profile("srgb"), colorspace="rgb", outcolorspace="rgb"
    )
    return bool((np.abs(through.astype(int) - cube.astype(int)) <= 1).all())
