"""Images that Pillow holds in memory, as sRGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from revisp.errors import ImageError
from revisp.io.colour import Colour, to_srgb

__all__ = ["srgb_of_image"]


def srgb_of_image(image: Image.Image) -> Tensor:
    """Return the sRGB of a Pillow image: uint8 ``[3, H, W]``, or float32 if a profile was converted.

    Modes YCbCr and HSV become RGB. A profile other than sRGB that the image carries is converted.

    Raises:
        ImageError: another mode, which is no photo of three colours.

    Example:
        >>> srgb_of_image(Image.new("YCbCr", (4, 2), (255, 128, 128)))[:, 0, 0]
        tensor([255, 255, 255], dtype=torch.uint8)
    """
    if image.mode not in ("RGB", "YCbCr", "HSV"):
        raise ImageError(f"an image of mode {image.mode} is not a photo of three colours: convert it to RGB first")
    pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    icc = image.info.get("icc_profile")
    if icc and image.mode == "RGB":
        converted, white = to_srgb(pixels, "RGB", 255, Colour(icc=icc), Path("the image"))
        if white != 255:
            pixels = (converted / np.float32(white)).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
