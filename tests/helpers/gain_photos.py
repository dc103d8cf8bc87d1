"""Small photos with gain maps as tests make and read them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from revisp.io import Photo, read_photo

HEIGHT, WIDTH = 48, 64


def smooth_photo(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth picture whose corners differ."""
    y, x = np.mgrid[:height, :width]
    planes = np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)
    return np.rint(planes * 255).astype(np.uint8)


def smooth_map(height: int = HEIGHT // 2, width: int = WIDTH // 2, channels: int = 1) -> np.ndarray:
    """Values of a map, smooth too, so that JPEG and interpolation change little."""
    y, x = np.mgrid[:height, :width]
    planes = [
        np.rint(255 * (a * x / (width - 1) + (1 - a) * y / (height - 1))) for a in (0.5, 0.2, 0.8)[:channels]
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)[..., slice(None) if channels > 1 else 0]


def read_bytes(folder: Path, data: bytes) -> Photo:
    (folder / "photo").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_photo(folder / "photo")


def resized(stops: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's linear interpolation of each channel."""
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
        for plane in stops.transpose(2, 0, 1)
    ]
    return np.stack(planes)
