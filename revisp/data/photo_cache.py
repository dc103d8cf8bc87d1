"""Photos that are decoded once to arrays on disk. To read a window costs only the window's pixels."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from revisp.camera.isp import linear_to_srgb, srgb_to_linear
from revisp.data.base import check_whole
from revisp.data.entry import MAX_OE, MIN_SIDE
from revisp.errors import ImageError, OutputError
from revisp.io.atomic import atomic_write
from revisp.io.header import photo_size
from revisp.io.locking import begin_folder
from revisp.io.photo import read_srgb
from revisp.mask import THRESHOLDS, overexposure_mask

__all__ = ["PhotoCache"]

LAYOUT = "[3, H, W]"
"""Axes of the pixels. Files of another layout are not found."""


class PhotoCache:
    """A folder of decoded photos, three bytes a pixel. A photo is decoded again if its file or a setting changes.

    Args:
        folder: the folder.
        exposure: exposure in EV for which overexposed pixels are found.
        max_side: reduce larger photos to this longest side, in linear light; None keeps their size. The reduction
            also averages out their own noise and compression artefacts.

    Raises:
        ConfigError: ``max_side`` is not a whole number, or too small.
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path, *, exposure: float = 0.0, max_side: int | None = None) -> None:
        if max_side is not None:
            check_whole(max_side, "max_side", MIN_SIDE)
        self.folder = Path(folder)
        self.exposure = exposure
        self.max_side = max_side
        begin_folder(folder)

    def add(self, path: Path) -> tuple[Path, Path]:
        """Decode a photo, unless the folder contains it already.

        Returns:
            Two NumPy files: the pixels, uint8 ``[3, H, W]``, H and W even; and (row, column) of the pixels that
            are overexposed at ``exposure``, int32 ``[n, 2]``. If there are more than `MAX_OE`, so many are drawn
            of them.

        Raises:
            ImageError: the photo cannot be read, or is too small.
            OutputError: the files cannot be written.
        """
        pixels, positions = self._files(path)
        if not (pixels.is_file() and positions.is_file()):
            photo = self._reduced(read_srgb(path))
            height, width = (side // 2 * 2 for side in photo.shape[-2:])
            if min(height, width) < MIN_SIDE:
                raise ImageError(f"{path}: {width}x{height} pixels, at least {MIN_SIDE} a side are needed")
            stored = (photo[:, :height, :width] * 255).round().byte()
            _save(positions, self._overexposed(stored))
            _save(pixels, stored.numpy())
        return pixels, positions

    def require_space(self, paths: Iterable[Path]) -> None:
        """Require disk space for the photos that are not decoded yet.

        Raises:
            OutputError: there is not enough space.
        """
        missing = [path for path in paths if not self._files(path)[0].is_file()]
        needed = sum(3 * self._pixels(path) for path in missing)
        if needed > (free := shutil.disk_usage(self.folder).free):
            raise OutputError(
                f"{len(missing)} decoded photos take {needed / 1e9:.1f} GB, but {self.folder} has "
                f"{free / 1e9:.1f} GB free: set data.cache to a folder on a larger disk, or data.max_side"
            )

    def _files(self, path: Path) -> tuple[Path, Path]:
        try:
            state = path.stat()
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from error
        known = (str(path.resolve()), state.st_size, state.st_mtime_ns, self.exposure, self.max_side, LAYOUT)
        key = hashlib.sha256(repr(known).encode()).hexdigest()[:32]
        return self.folder / f"{key}.npy", self.folder / f"{key}.oe.npy"

    def _pixels(self, path: Path) -> int:
        height, width = photo_size(path) or (0, 0)
        share = 1.0 if self.max_side is None else min(1.0, self.max_side / max(height, width, 1))
        return round(height * share) * round(width * share)

    def _reduced(self, photo: torch.Tensor) -> torch.Tensor:
        height, width = photo.shape[-2:]
        if self.max_side is None or max(height, width) <= self.max_side:
            return photo
        share = self.max_side / max(height, width)
        size = (max(1, round(height * share)), max(1, round(width * share)))
        return linear_to_srgb(F.adaptive_avg_pool2d(srgb_to_linear(photo), size)).clamp(0, 1)

    def _overexposed(self, stored: torch.Tensor) -> np.ndarray[Any, Any]:
        light = srgb_to_linear(torch.arange(256) / 255) * 2.0**self.exposure
        exposed = linear_to_srgb(light.clamp(0, 1))
        bright = (exposed >= THRESHOLDS["luma"]).nonzero()
        maybe = stored.amax(dim=0) >= (bright.min() if len(bright) else 256)  # few pixels: luma <= maximum
        mask = overexposure_mask(exposed[stored[:, maybe].int()].unsqueeze(1))[0, 0] >= 0.5
        found = maybe.nonzero()[mask].int().numpy()
        return found if len(found) <= MAX_OE else np.random.default_rng(0).choice(found, MAX_OE, replace=False)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with atomic_write(path) as file:
        np.save(file, array, allow_pickle=False)
