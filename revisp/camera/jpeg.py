"""The last steps of a camera: rounding to 8 bits and JPEG compression. Neither has a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import imagecodecs
import numpy as np
import torch

from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ChromaSubsampling", "check_jpeg", "compress_jpeg", "round_to_8_bits"]

ChromaSubsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma at full size, at half width, at half width and height."""


def round_to_8_bits(srgb: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to steps of 1/255; any shape."""
    return (srgb.clamp(0, 1) * 255).round() / 255


def compress_jpeg(srgb: Tensor, quality: int, subsampling: ChromaSubsampling = "4:2:0") -> Tensor:
    """Round sRGB to 8 bits, pass it through a JPEG file, and return it decoded.

    Args:
        srgb: ``[3, H, W]`` in [0, 1].
        quality: quality on libjpeg's scale, as Pillow's, 1 to 95.
        subsampling: subsampling of the chroma.

    Returns:
        ``[3, H, W]`` in steps of 1/255, without gradient.

    Raises:
        ShapeError: not a single floating image of three channels.
        ConfigError: quality or subsampling out of range.
    """
    check_image(srgb, 3, "srgb")
    if srgb.ndim != 3:
        raise ShapeError(f"srgb must be a single image [3, H, W], got {list(srgb.shape)}")
    check_jpeg(quality, subsampling)
    planes = (srgb.detach() * 255).round_().clamp_(0, 255).cpu().numpy().astype(np.uint8)
    pixels = np.stack(list(planes), axis=-1)
    file = imagecodecs.jpeg8_encode(pixels, level=quality, subsampling=subsampling.replace(":", ""))
    decoded = imagecodecs.jpeg8_decode(file).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(decoded)).to(srgb.dtype).div_(255).to(srgb.device)


def check_jpeg(quality: int, subsampling: str) -> None:
    """Require a quality in 1..95 and a known subsampling.

    Raises:
        ConfigError: quality or subsampling out of range.
    """
    if not 1 <= quality <= 95:
        raise ConfigError(f"jpeg_quality must lie in 1..95, got {quality}")
    if subsampling not in get_args(ChromaSubsampling):
        raise ConfigError(
            f"chroma subsampling must be one of {', '.join(get_args(ChromaSubsampling))}, got {subsampling!r}"
        )
