"""Read Radiance pictures (.hdr, .pic): pixels of three mantissas and a common exponent.

imagecodecs decodes the run-length coding of current files. The header, the older coding and the scale of the bytes
are decoded here. imagecodecs, OpenCV and OpenImageIO treat XYZ as RGB or refuse it, ignore exposures and
primaries, and cannot read the older coding. They also omit the half step that Radiance adds to a mantissa, since
its writers truncate. Without it a dim channel next to a bright one would be too dark, and a channel with mantissa
0 black.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from revisp.errors import ImageError
from revisp.io.pixel_limit import check_pixels
from revisp.io.primaries import REC709, Primaries, xyz_to_srgb
from revisp.io.scene_light import StoredLight

__all__ = ["is_radiance", "read_radiance"]

Array = np.ndarray[Any, Any]

_RESOLUTION = re.compile(rb"([+-])([XY]) (\d+) ([+-])([XY]) (\d+)\r?\n")
_EQUAL_ENERGY = (1 / 3, 1 / 3)
"""White of XYZ files that name none."""


@dataclass
class _Header:
    """The lines before the pixels.

    Attributes:
        end: position of the first pixel.
        lines: number of scanlines.
        length: pixels in each scanline.
        columns: whether a scanline is a column.
        flipped: whether rows are stored bottom-up, and whether columns are stored right to left.
        xyz: whether pixels are XYZ instead of RGB.
        factor: factor of each channel that pixels were multiplied by.
        primaries: primaries of the RGB; None if the file states none.
    """

    end: int = 0
    lines: int = 0
    length: int = 0
    columns: bool = False
    flipped: tuple[bool, bool] = (False, False)
    xyz: bool = False
    factor: Array = field(default_factory=lambda: np.ones(3))
    primaries: Primaries | None = None


def is_radiance(head: bytes) -> bool:
    """Whether a file with this beginning is a Radiance picture."""
    return head.startswith((b"#?RADIANCE", b"#?RGBE", b"#?AUTOPANO"))


def read_radiance(data: bytes, path: Path) -> StoredLight:
    """Decode a Radiance picture.

    Without ``PRIMARIES``, RGB has the primaries of sRGB, as nearly all writers intend. Pixels are divided by
    ``EXPOSURE`` and ``COLORCORR``.

    Args:
        data: content of the file.
        path: name of the file in errors.

    Raises:
        ImageError: the file is cut off, damaged, or too large.
    """
    header = _header(data, path)
    body = data[header.end :]
    pixels = (_decode if _is_run_length_coded(body, header) else _decode_old)(body, header, path)
    if header.columns:
        pixels = pixels.transpose(1, 0, 2)
    up, left = header.flipped
    pixels = pixels[:: -1 if up else 1, :: -1 if left else 1]
    if (header.factor != 1).any():
        pixels = pixels / header.factor.astype(np.float32)
    return _stored(np.ascontiguousarray(pixels), header)


def _stored(pixels: Array, header: _Header) -> StoredLight:
    primaries = header.primaries
    if header.xyz:
        white = _EQUAL_ENERGY if primaries is None else primaries.white
        return StoredLight(pixels, xyz_to_srgb(white), ("XYZ colours converted",))
    if primaries is None or primaries.same(REC709):
        return StoredLight(pixels)
    return StoredLight(pixels, primaries.to_srgb(), ("colours converted from the file's own primaries",))


def _header(data: bytes, path: Path) -> _Header:
    blank = re.search(rb"\n\r?\n", data[: 1 << 20])
    size = _RESOLUTION.match(data, blank.end()) if blank else None
    if blank is None or size is None or size[2] == size[5]:
        raise ImageError(f"{path}: a damaged Radiance file: its header has no size")
    header = _Header(end=size.end(), lines=int(size[3]), length=int(size[6]), columns=size[2] == b"X")
    signs = {size[2]: size[1], size[5]: size[4]}
    header.flipped = (signs[b"Y"] == b"+", signs[b"X"] == b"-")
    if not header.lines * header.length:
        raise ImageError(f"{path}: {header.length}x{header.lines}: no size")
    check_pixels(path, header.length, header.lines)
    for line in data[: blank.start()].decode("latin-1").splitlines():
        _take(line, header, path)
    return header


def _take(line: str, header: _Header, path: Path) -> None:
    """Add the value of a line to the header."""
    name, _, value = line.partition("=")
    name = name.strip()
    try:
        if name == "FORMAT":
            header.xyz = "xyze" in value
            if not header.xyz and "rgbe" not in value:
                raise ImageError(f"{path}: a Radiance file of another kind than RGB: {value.strip()}")
        elif name in ("EXPOSURE", "COLORCORR"):
            header.factor = header.factor * [float(number) for number in value.split()]
        elif name == "PRIMARIES":
            header.primaries = Primaries.of([float(number) for number in value.split()])
    except ValueError:
        raise ImageError(f"{path}: a damaged Radiance file: {line.strip()!r} in its header") from None
    if (header.factor <= 0).any() or not np.isfinite(header.factor).all():
        raise ImageError(f"{path}: a damaged Radiance file: {line.strip()!r} in its header")


def _is_run_length_coded(body: bytes, header: _Header) -> bool:
    """Whether the first scanline has the current coding: channel by channel, after 2, 2 and its length."""
    return 8 <= header.length < 1 << 15 and body[:4] == bytes([2, 2, header.length >> 8, header.length & 255])


def _decode(body: bytes, header: _Header, path: Path) -> Array:
    """Return light ``[lines, length, 3]`` of the current coding."""
    canonical = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (header.lines, header.length)
    try:
        light = imagecodecs.rgbe_decode(canonical + body)
    except (ValueError, RuntimeError) as error:
        raise ImageError(f"{path}: cut off or damaged ({error})") from error
    step = np.exp2(np.frexp(light.max(axis=-1, keepdims=True))[1].astype(np.float32) - 9)  # half a mantissa step
    return np.where(light.max(axis=-1, keepdims=True) > 0, light + step, 0).astype(np.float32)


def _decode_old(body: bytes, header: _Header, path: Path) -> Array:
    """Return light ``[lines, length, 3]`` of pixels in the old coding, or without coding.

    In the old coding 1, 1, 1, n repeats the previous pixel n times. Several of these in sequence are the digits of
    n to the base 256, the last digit first.
    """
    quads = np.frombuffer(body[: len(body) // 4 * 4], np.uint8).reshape(-1, 4)
    order = np.arange(len(quads))
    is_run = (quads[:, :3] == 1).all(axis=1)
    source = np.maximum.accumulate(np.where(is_run, 0, order))
    digit = np.clip(order - source - 1, 0, 3)
    counts = np.where(is_run, quads[:, 3].astype(np.int64) << (8 * digit), 1)
    wanted = header.lines * header.length
    ends = np.minimum(np.cumsum(counts), wanted)
    if not len(ends) or ends[-1] < wanted:
        raise ImageError(f"{path}: cut off or damaged: {ends[-1] if len(ends) else 0} of {wanted} pixels in it")
    pixels = quads[np.repeat(source, np.diff(ends, prepend=0))]
    step = np.where(pixels[:, 3:] > 0, np.exp2(pixels[:, 3:].astype(np.float32) - 136), 0)
    light = (pixels[:, :3] + np.float32(0.5)) * step
    return light.astype(np.float32).reshape(header.lines, header.length, 3)
