"""Developed pictures for scores of visible differences, and a region's weight for their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from revisp.camera.develop import develop
from revisp.cfa import pack, unpack
from revisp.checks import check_image
from revisp.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.profile import CameraProfile

__all__ = ["picture", "picture_weight"]


def picture(raw: Tensor, profile: CameraProfile, exposure: float = 0.0) -> Tensor:
    """Develop RAW by `revisp.camera.develop.develop`.

    Demosaiced RAW is developed directly. Packed planes and mosaics give a picture of half size: each pixel is one
    Bayer quad with the mean of its greens. So no demosaicing artefacts enter the score.

    Args:
        raw: demosaiced RAW ``[B,3,H,W]``, packed RAW ``[B,4,h,w]``, or a mosaic ``[B,1,H,W]`` of the profile's
            phase.
        profile: the camera.
        exposure: stops to brighten by.

    Returns:
        sRGB in [0,1], ``[B,3,H,W]`` or of half that size.

    Raises:
        ShapeError: not one of these forms, or not floating point.
    """
    if raw.ndim != 4 or raw.shape[1] not in (1, 3, 4):
        raise ShapeError(
            "RAW must be demosaiced [B, 3, H, W], packed [B, 4, h, w] or a mosaic [B, 1, H, W], "
            f"got {list(raw.shape)}"
        )
    if raw.shape[1] == 1:
        raw = pack(raw, profile.cfa)
    if raw.shape[1] == 4:
        red, *greens, blue = raw.unbind(1)
        raw = torch.stack([red, (greens[0] + greens[1]) / 2, blue], dim=1)
    return develop(raw, profile, exposure=exposure)


def picture_weight(region: Tensor | None, like: Tensor, profile: CameraProfile) -> Tensor | None:
    """Return the weight of each pixel of a `picture`: the mean weight of the samples that it is made of.

    Args:
        region: weights in [0,1], ``[B,1,H,W]`` at full resolution or packed ``[B,4,h,w]``; None counts all.
        like: the picture ``[B,3,H,W]`` or ``[B,3,h,w]``.
        profile: the camera, whose phase a packed region has.

    Returns:
        ``[B,1,...]`` of the picture's size, or None.

    Raises:
        ShapeError: not floating point, or a size that does not fit the picture.
    """
    if region is None:
        return None
    check_image(region, region.shape[-3] if region.ndim > 2 else 1, "region")
    size = like.shape[-2:]
    weight = region
    if region.ndim == 4 and region.shape[1] == 4:
        weight = region.mean(1, keepdim=True) if region.shape[-2:] == size else unpack(region, profile.cfa)
    elif region.ndim == 4 and region.shape[1] == 1 and region.shape[-2:] != size:
        weight = pack(region, profile.cfa).mean(1, keepdim=True)
    if weight.shape != (like.shape[0], 1, *size):
        raise ShapeError(f"region {list(region.shape)} does not fit pictures {list(like.shape)}")
    return weight
