"""Gain maps as a photo has them, and the SDR rendition of an HDR picture with a gain map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from revisp.camera.isp import linear_to_srgb
from revisp.io.photo_gain import GainMap
from revisp.io.transfer import HLG, hlg_to_linear

if TYPE_CHECKING:
    from revisp.io.decoders.decoded import DecodedPhoto

__all__ = ["gain_map_of", "render_sdr"]

Array = np.ndarray[Any, Any]


def gain_map_of(picture: DecodedPhoto, size: tuple[int, int]) -> GainMap | None:
    """Return the gain map of a decoded photo of a size (height, width); None where it has none."""
    stored = picture.gain
    if stored is None:
        return None
    values = stored.values
    values = values[..., None] if values.ndim == 2 else values
    if stored.meaning.several is False:
        values = values[..., 1:2] if values.shape[-1] == 3 else values  # three equal channels, but for rounding
    planes = np.ascontiguousarray(values.transpose(2, 0, 1)).astype(np.float32) / np.float32(stored.white)
    matrix = (stored.colour or picture.colour).to_linear_srgb()
    is_srgb = np.abs(matrix - np.eye(3)).max() < 1e-3
    return GainMap(
        torch.from_numpy(planes), stored.meaning, size, stored.origin, None if is_srgb else matrix.tolist()
    )


def render_sdr(pixels: Array, picture: DecodedPhoto) -> Tensor:
    """Return the SDR rendition of an HDR picture, sRGB ``[3, H, W]`` in [0, 1], by its gain map."""
    gain = gain_map_of(picture, pixels.shape[:2])
    assert gain is not None
    assert picture.gain is not None
    rgb = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    colour = picture.colour
    light = colour.linear(rgb.astype(np.float32) / picture.white)
    if colour.transfer_number == HLG:
        light = hlg_to_linear(light, colour.primaries.to_xyz()[1])
    base, shown = colour.to_linear_srgb(), (picture.gain.colour or colour).to_linear_srgb()
    light = (light @ (np.linalg.inv(shown) @ base).T).astype(np.float32)  # to the colours that the map is for
    stops = gain.log2.permute(1, 2, 0).numpy()
    meaning = gain.meaning
    sdr = (light + meaning.offset_hdr) * np.exp2(-stops) - meaning.offset_sdr
    srgb = np.clip(sdr @ shown.T, 0, 1).astype(np.float32)
    return linear_to_srgb(torch.from_numpy(np.ascontiguousarray(srgb.transpose(2, 0, 1))))
