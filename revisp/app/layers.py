"""The pictures that the page lays over each other, read in windows at the size of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, pack
from revisp.demosaic import demosaic
from revisp.errors import ConfigError
from revisp.schema import Whole, check_fields

__all__ = ["Layer", "PhotoLayer", "RawLayer", "Window"]

Array = np.ndarray[Any, Any]

MOST_PIXELS = 2**23
"""Most pixels of a window as it is sent: a screen of 3840x2160."""

REACH = 2
"""Pixels around a window that its demosaicing reads."""

BAND = 256
"""Rows of the result that are made at once, which bounds the memory for photos of any size."""

WHITE = 65535


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, and the size at which it is shown.

    Attributes:
        top: its first row.
        left: its first column.
        height: its rows.
        width: its columns.
        rows: rows of the result, at most ``height``.
        columns: columns of the result, at most ``width``.

    Raises:
        ConfigError: a size is 0, the result is larger than the rectangle or has too many pixels.

    Example:
        >>> Window(0, 0, 3000, 4000, rows=600, columns=800).height
        3000
        >>> Window(0, 0, 30, 40, rows=60, columns=80)
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: a window of 40x30 pixels cannot be shown at 80x60: give 1 to 40x30
    """

    top: Whole
    left: Whole
    height: Whole
    width: Whole
    rows: Whole
    columns: Whole

    def __post_init__(self) -> None:
        check_fields(self, "window", ConfigError)
        fits = 0 < self.rows <= self.height and 0 < self.columns <= self.width
        if not fits or self.rows * self.columns > MOST_PIXELS:
            raise ConfigError(
                f"a window of {self.width}x{self.height} pixels cannot be shown at {self.columns}x{self.rows}: "
                f"give 1 to {self.width}x{self.height}"
            )

    def check_inside(self, height: int, width: int) -> None:
        """Require that the rectangle lies in a picture.

        Raises:
            ConfigError: it does not.
        """
        if self.top + self.height > height or self.left + self.width > width:
            raise ConfigError(f"the window reaches beyond the picture of {width}x{height} pixels")


class Layer(Protocol):
    """A picture that is read in windows."""

    def read(self, window: Window) -> bytes:
        """Return a window at the size of the screen, each pixel the mean of those that it stands for.

        Raises:
            ConfigError: the window reaches beyond the picture.
        """


@dataclass(frozen=True)
class PhotoLayer:
    """A photo and its mask, which come as bytes R, G, B, mask for each pixel.

    Attributes:
        path: ``.npy`` with uint8 ``[H, W, 4]``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     layer = PhotoLayer.write(Path(folder, "a.npy"), torch.ones(3, 32, 48), torch.zeros(1, 32, 48))
        ...     list(layer.read(Window(0, 0, 32, 48, rows=1, columns=1)))
        [255, 255, 255, 0]
    """

    path: Path

    @classmethod
    def write(cls, path: Path, srgb: Tensor, mask: Tensor) -> PhotoLayer:
        """Store a photo ``[3, H, W]`` and its mask ``[1, H, W]``, both in [0, 1], and return the layer."""
        pixels = np.empty((*srgb.shape[-2:], 4), np.uint8)
        for channel, plane in enumerate((*srgb, *mask)):
            pixels[..., channel] = (plane * 255).round_().clamp_(0, 255).byte().numpy()
        np.save(path, pixels)
        return cls(path)

    def read(self, window: Window) -> bytes:
        """Return a window as bytes R, G, B, mask."""
        pixels = np.load(self.path, mmap_mode="r")
        window.check_inside(*pixels.shape[:2])
        part = pixels[window.top : window.top + window.height, window.left : window.left + window.width]
        size = (window.columns, window.rows)
        photo = Image.fromarray(np.ascontiguousarray(part[..., :3])).resize(size, Image.Resampling.BOX)
        mask = Image.fromarray(np.ascontiguousarray(part[..., 3])).resize(size, Image.Resampling.BOX)
        return np.concatenate((np.asarray(photo), np.asarray(mask)[..., None]), axis=2).tobytes()


@dataclass(frozen=True)
class RawLayer:
    """A RAW, which comes demosaiced: R, G, B of 16 bits, little-endian, linear, black 0, white 65535.

    Attributes:
        path: ``.npy`` with float32 ``[1, H, W]`` (a mosaic) or ``[3, H, W]`` (demosaiced), black 0, white 1.
        cfa: Bayer phase of a mosaic.
        gains: white-balance gains, by which Malvar's filters demosaic it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     layer = RawLayer.write(Path(folder, "a.npy"), torch.full((1, 32, 48), 0.5), CFA.RGGB)
        ...     np.frombuffer(layer.read(Window(4, 8, 24, 24, rows=1, columns=2)), "<u2").tolist()
        [32768, 32768, 32768, 32768, 32768, 32768]
    """

    path: Path
    cfa: CFA
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def write(cls, path: Path, raw: Tensor, cfa: CFA, profile: CameraProfile | None = None) -> RawLayer:
        """Store a RAW of a camera and return the layer."""
        np.save(path, raw.float().contiguous().numpy())
        return cls(path, cfa) if profile is None else cls(path, cfa, profile.gains)

    def values(self) -> Tensor:
        """Return the RAW as it was stored."""
        return torch.from_numpy(np.load(self.path))

    def read(self, window: Window) -> bytes:
        """Return a window as R, G, B of 16 bits."""
        stored = np.load(self.path, mmap_mode="r")
        window.check_inside(*stored.shape[1:])
        bands = []
        for first in range(0, window.rows, BAND):
            last = min(first + BAND, window.rows)
            top, bottom = (window.top + edge * window.height // window.rows for edge in (first, last))
            span = (slice(top, bottom), slice(window.left, window.left + window.width))
            planes = self._demosaiced(stored, span, window)
            band = F.interpolate(planes[None], (last - first, window.columns), mode="area")[0]
            bands.append((band.clamp_(0, 1) * WHITE).round_().permute(1, 2, 0).numpy().astype("<u2"))
        return np.concatenate(bands).tobytes()

    def _demosaiced(self, stored: Array, span: tuple[slice, slice], window: Window) -> Tensor:
        """Return a part ``[3, h, w]``; at half the size where each pixel of the screen has all colours anyway."""
        rows, columns = span
        if stored.shape[0] == 3:
            return torch.from_numpy(np.array(stored[:, rows, columns]))
        if window.height >= 4 * window.rows and window.width >= 4 * window.columns:
            rows, columns = (slice(part.start // 2 * 2, part.stop // 2 * 2) for part in span)
            red, green_red, green_blue, blue = pack(torch.from_numpy(np.array(stored[:, rows, columns])), self.cfa)
            return torch.stack((red, (green_red + green_blue) / 2, blue))
        outer = [
            slice(max(0, part.start - REACH), min(part.stop + REACH, size))
            for part, size in zip(span, stored.shape[1:], strict=True)
        ]
        cfa = self.cfa.crop(outer[0].start, outer[1].start)
        mosaic = torch.from_numpy(np.array(stored[:, outer[0], outer[1]]))
        whole = demosaic(mosaic, cfa, "malvar", gains=self.gains)
        kept = (
            slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(span, outer, strict=True)
        )
        return whole[:, *kept]
