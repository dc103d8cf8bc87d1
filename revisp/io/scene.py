"""Scenes in: pictures of linear light, from Radiance, OpenEXR, and ordinary pictures with a gain map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.exr import MAGIC, read_exr
from revisp.io.gain_map import gain_map_beside, has_gain_map, read_gain_map, read_gain_map_jpeg
from revisp.io.photo import MIN_SIZE
from revisp.io.radiance import is_radiance, read_radiance
from revisp.io.readable import check_file
from revisp.io.scene_light import Projection, StoredLight, luminance_plane, mend, refuse_eight_bits

__all__ = ["Scene", "read_scene"]

Array = np.ndarray[Any, Any]

_ORDINARY = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"BM": "BMP",
}
_HEAD = 1 << 16
"""Bytes of a JPEG in which it says that it has a gain map."""

_SEAM = 0.3
"""EV by which the left and right edge of a panorama may differ more than neighbouring columns do."""


@dataclass(frozen=True)
class Scene:
    """Light of a scene.

    Attributes:
        name: the file's, without ending.
        light: linear light ``[3, H, W]`` in the primaries of sRGB, float32, finite, at least 0; its scale is the
            file's.
        projection: ``"equirectangular"``: columns are 360 degrees, rows from the zenith to the nadir; or
            ``"planar"``.
        notes: what was found and mended, for a user to read.

    Example:
        >>> light = torch.full((3, 8, 16), 0.5)
        >>> light[:, 2, 3] = 128
        >>> Scene("lamp", light, "equirectangular").range_ev
        8.0
    """

    name: str
    light: Tensor
    projection: Projection
    notes: tuple[str, ...] = ()

    @property
    def range_ev(self) -> float:
        """EV of the brightest value above the median luminance.

        Example:
            >>> light = torch.full((3, 8, 16), 0.5)
            >>> light[:, 2, 3] = 128
            >>> Scene("lamp", light, "equirectangular").range_ev
            8.0
        """
        shown = luminance_plane(self.light.permute(1, 2, 0).numpy())
        lit = shown[shown > 0]
        return float(np.log2(float(self.light.max()) / float(np.median(lit)))) if lit.size else 0.0


def read_scene(path: str | Path, projection: Projection | None = None) -> Scene:
    r"""Read a scene: Radiance (.hdr, .pic), OpenEXR (.exr), or a picture with its gain map, by content.

    Args:
        path: the file; of a picture whose gain map lies beside it, the picture.
        projection: of the picture; None takes what the file says, or else equirectangular where it is twice as
            wide as high and its left edge goes on at its right one.

    Raises:
        ImageError: missing, empty, cut off, damaged, of another kind, without colours; more than 1 % of its pixels
            negative, infinite or no numbers; an ordinary picture of 8 bits.

    Example:
        >>> import tempfile
        >>> header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pixels = [bytes([n % 256, 99, 99, 120 + n // 256]) for n in range(512)]
        ...     _ = Path(folder, "room.hdr").write_bytes(header + b"".join(pixels))
        ...     scene = read_scene(f"{folder}/room.hdr", "equirectangular")
        >>> scene.light.shape, scene.projection
        (torch.Size([3, 16, 32]), 'equirectangular')
    """
    path = check_file(path)
    with decoding(path):
        stored = mend(_decode(path), path)
    height, width = stored.pixels.shape[:2]
    if min(height, width) < MIN_SIZE:
        raise ImageError(f"{path}: {width}x{height} pixels, the least is {MIN_SIZE}x{MIN_SIZE}")
    refuse_eight_bits(stored.pixels, path)
    shown = projection or stored.projection or ("equirectangular" if _closes(stored.pixels) else "planar")
    light = torch.from_numpy(np.ascontiguousarray(stored.pixels.transpose(2, 0, 1)))
    return Scene(path.stem, light, shown, stored.notes)


def _decode(path: Path) -> StoredLight:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(MAGIC):
        return read_exr(path)
    if is_radiance(head):
        return read_radiance(path.read_bytes(), path)
    if has_gain_map(head):
        return read_gain_map_jpeg(path.read_bytes(), path)
    if gain_map_beside(path) is not None:
        return read_gain_map(path)
    kind = next((name for first, name in _ORDINARY.items() if head.startswith(first)), None)
    if kind is None:
        raise ImageError(f"{path}: not a Radiance or OpenEXR picture, nor one with a gain map")
    raise ImageError(
        f"{path}: an ordinary {kind} picture without a gain map: its highlights are cut off, so it is no scene"
    )


def _closes(pixels: Array) -> bool:
    """Whether a picture is a panorama: twice as wide as high, and seamless where its edges meet."""
    height, width = pixels.shape[:2]
    if width != 2 * height:
        return False
    columns = luminance_plane(pixels[:, [-1, 0, 1]])
    last, first, second = np.log2(columns + 1e-4 * max(float(np.median(columns)), 1e-30)).T
    return bool(np.median(np.abs(first - last)) < 2 * np.median(np.abs(second - first)) + _SEAM)
