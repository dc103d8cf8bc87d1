"""The pictures in a DNG that show what it holds, made from the very samples that are stored."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from revisp.camera.develop import develop
from revisp.camera.profile import CameraProfile
from revisp.cfa import pack
from revisp.demosaic import demosaic
from revisp.io.dng.layout import Directory
from revisp.io.dng.tags import preview_tags

__all__ = ["PREVIEW_SIZE", "developed", "jpeg_directory", "thumbnail_directory"]

Array = np.ndarray[Any, Any]

PREVIEW_SIZE = 2048
"""Greatest side of the preview in pixels. Up to it, the preview has the size of the RAW; a larger RAW is halved by
the mean of its 2x2 tiles first, which needs no demosaicing."""

_BAND = 64
"""Rows of the preview that are developed at once. Their tensors stay in the cache: a third of the time."""

_THUMBNAIL_SIZE = 256
_JPEG_QUALITY = 80  # of Pillow's scale


def developed(stored: Array, profile: CameraProfile, exposure: float) -> Array:
    """Develop stored samples to sRGB, uint8 ``[h, w, 3]`` of at most `PREVIEW_SIZE`.

    Args:
        stored: a mosaic ``[H, W]``, or demosaiced RAW ``[H, W, 3]``, in the units of the profile.
        profile: the camera.
        exposure: EV by which the picture is brightened; highlights are bent, not clipped.
    """
    pictures = (
        develop(raw_rgb, profile, exposure=exposure, highlights="shoulder") for raw_rgb in _bands(stored, profile)
    )
    pixels = np.concatenate([srgb.mul_(255).round_().to(torch.uint8).permute(1, 2, 0) for srgb in pictures])
    if max(pixels.shape) <= PREVIEW_SIZE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
    return np.asarray(image)


def _bands(stored: Array, profile: CameraProfile) -> Iterator[torch.Tensor]:
    """Yield demosaiced RAW ``[3, h, w]``, normalised and reduced, from top to bottom."""
    longest = max(stored.shape)
    if stored.ndim == 3:
        step, reduce = -(-longest // PREVIEW_SIZE), _thinned
    elif longest > PREVIEW_SIZE:
        step, reduce = 2, _halved
        stored = stored[: len(stored) // 2 * 2]
    else:  # as a whole: demosaicing looks at neighbours
        yield from demosaic(torch.from_numpy(profile.normalise(stored))[None], profile.cfa).split(_BAND, dim=-2)
        return
    for top in range(0, len(stored), step * _BAND):
        yield reduce(stored[top : top + step * _BAND], profile, step)


def _halved(stored: Array, profile: CameraProfile, step: int) -> torch.Tensor:
    """Return the mean of each 2x2 tile of a mosaic."""
    even = profile.normalise(stored[:, : stored.shape[1] // step * step])
    red, green_red, green_blue, blue = torch.from_numpy(pack(even[None], profile.cfa))
    return torch.stack((red, (green_red + green_blue) / 2, blue))


def _thinned(stored: Array, profile: CameraProfile, step: int) -> torch.Tensor:
    """Return each ``step``-th row and column of demosaiced RAW ``[H, W, 3]``."""
    red, green_red, green_blue, blue = profile.black_level
    black = np.array([red, (green_red + green_blue) / 2, blue], np.float32)
    scaled = (stored[::step, ::step].astype(np.float32) - black) / (profile.white_level - black)
    return torch.from_numpy(scaled).permute(2, 0, 1)


def thumbnail_directory(picture: Array) -> Directory:
    """Return the first directory of a DNG: an uncompressed thumbnail, which every program reads."""
    image = Image.fromarray(picture)
    image.thumbnail((_THUMBNAIL_SIZE, _THUMBNAIL_SIZE))
    small = np.asarray(image)
    return Directory(preview_tags(small.shape, jpeg=False), [small.tobytes()])


def jpeg_directory(picture: Array) -> Directory:
    """Return the directory of the preview, a JPEG."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0")
    return Directory(preview_tags(picture.shape, jpeg=True), [data.getvalue()])
