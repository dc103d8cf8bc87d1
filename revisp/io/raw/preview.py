"""Read the preview in a RAW file: the camera's own rendering, which is often small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from revisp.io.photo import decode_srgb
from revisp.io.pixel_limit import pixel_limit
from revisp.io.raw.gpr import gpr_preview
from revisp.io.raw.libraw import libraw_preview
from revisp.io.readable import check_file
from revisp.symmetry import Symmetry

__all__ = ["read_preview"]

_ORIENTATION = 0x0112  # EXIF tag


def read_preview(path: str | Path) -> Tensor | None:
    """Read the largest preview embedded in a RAW file as sRGB ``[3, H, W]``, float32 in [0, 1], upright.

    The preview is turned by its own EXIF orientation. A preview without one is turned by the orientation of the
    RAW, unless it is upright already (a portrait picture in a RAW that is turned by 90 degrees).

    Returns:
        The preview, or None if the file has no preview.

    Raises:
        ImageError: the file is missing, empty or not a RAW file, or the preview is damaged.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import write_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_dng(f"{folder}/photo.dng", torch.rand(1, 32, 48), SIMULATED.profile)
        ...     read_preview(f"{folder}/photo.dng").shape
        torch.Size([3, 32, 48])
    """
    path = check_file(path)
    found = gpr_preview(path) if path.suffix.lower() == ".gpr" else libraw_preview(path)
    if found is None:
        return None
    data, orientation = found
    if isinstance(data, bytes):
        picture = decode_srgb(data, f"{path} (its preview)")
        if _own_orientation(data):
            return picture
    else:
        picture = torch.from_numpy(data.astype(np.float32) / 255).permute(2, 0, 1)
    symmetry = Symmetry.of_orientation(orientation)
    height, width = picture.shape[-2:]
    if symmetry.transpose and height > width:
        return picture
    return symmetry.apply(picture).contiguous()


def _own_orientation(data: bytes) -> bool:
    """Whether a JPEG states its orientation."""
    with pixel_limit(), Image.open(io.BytesIO(data)) as image:
        return _ORIENTATION in image.getexif()
