"""A camera RAW in memory: mosaic, profile, metadata and geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

import numpy as np
import torch

from revisp.camera.develop import develop, viewing_exposure
from revisp.camera.profile import CameraProfile
from revisp.cfa import pack
from revisp.display import LONGEST_SIDE, cfa_pattern, figure, rich_display, shrink
from revisp.io.exif import PhotoMetadata
from revisp.symmetry import Symmetry

__all__ = ["Planes", "RawImage", "Rectangle", "picture_area"]

Array = np.ndarray[Any, Any]

Planes = tuple[float, float, float, float]
"""One number for each of R, Gr, Gb, B."""


class Rectangle(NamedTuple):
    """A rectangle of a mosaic, in pixels.

    Example:
        >>> window = Rectangle(top=2, left=4, height=8, width=16)
        >>> np.zeros((32, 48))[window.slices].shape
        (8, 16)
        >>> window.fits(32, 48)
        True
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of rows and columns, to index ``[H, W]``."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def fits(self, height: int, width: int) -> bool:
        """Whether the rectangle is not empty and lies within ``height`` x ``width``."""
        return (
            min(self.top, self.left) >= 0
            and min(self.height, self.width) > 0
            and self.top + self.height <= height
            and self.left + self.width <= width
        )

    def turned(self, symmetry: Symmetry, height: int, width: int) -> Rectangle:
        """Return the rectangle after ``symmetry`` is applied to a picture of ``height`` x ``width``."""
        top = height - self.top - self.height if symmetry.vflip else self.top
        left = width - self.left - self.width if symmetry.hflip else self.left
        if symmetry.transpose:
            return Rectangle(left, top, self.width, self.height)
        return Rectangle(top, left, self.height, self.width)


def picture_area(area: Rectangle, height: int, width: int) -> Rectangle | None:
    """Return a stated area if it can be the camera's picture on a sensor of ``height`` x ``width``, else None.

    It lies within the sensor, and covers more than a quarter of it.
    """
    covers = 4 * area.height * area.width > height * width
    return area if area.fits(height, width) and covers else None


@dataclass(frozen=True)
class RawImage:
    """A camera's RAW.

    Attributes:
        mosaic: stored values of the visible area, uint16 ``[H, W]``, in the orientation of the sensor.
        profile: CFA of the visible area, levels in stored units, colour.
        metadata: how the photo was taken.
        orientation: EXIF orientation (1 to 8) that makes the mosaic upright.
        crop: part of the mosaic that the camera's own pictures show; None if the file does not state it.
        optical_black: mean of the masked border for R, Gr, Gb, B, in stored units; None without a border.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> stored = np.full((32, 48), SIMULATED.profile.white_level, np.uint16)
        >>> raw = RawImage(stored, SIMULATED.profile, PhotoMetadata(), orientation=6)
        >>> float(raw.normalised().max()), raw.upright().mosaic.shape
        (1.0, (48, 32))
    """

    mosaic: Array
    profile: CameraProfile
    metadata: PhotoMetadata
    orientation: int
    crop: Rectangle | None = None
    optical_black: Planes | None = None

    def normalised(self) -> Array:
        """Return the mosaic as float32 ``[H, W]``: (value − black) / (white − black), unclamped."""
        return self.profile.normalise(self.mosaic)

    def _repr_html_(self) -> str:
        """Show the RAW in a notebook: developed at half its size, with its ranges and its camera."""
        raw = self.upright()
        rows, columns = (side // 2 * 2 for side in raw.mosaic.shape)
        red, green_red, green_blue, blue = pack(
            torch.from_numpy(raw.normalised())[None, :rows, :columns], raw.profile.cfa
        )
        raw_rgb = torch.stack((red, (green_red + green_blue) / 2, blue)).clamp(0, 1)
        exposure = viewing_exposure(raw_rgb, raw.profile)
        picture = develop(
            shrink(raw_rgb, LONGEST_SIDE // 2), raw.profile, exposure=exposure, highlights="shoulder"
        )
        height, width = self.mosaic.shape
        taken = (f"{name} {value}" for name, value in vars(self.metadata).items() if value is not None)
        facts = [
            ("size", f"{width} × {height}, orientation {self.orientation}"),
            ("stored", f"{self.mosaic.min()} to {self.mosaic.max()}, {self.mosaic.dtype}"),
            ("camera", escape(self.profile.name)),
            ("CFA", cfa_pattern(self.profile.cfa.value)),
            ("levels", f"black {self.profile.black_level[0]:g}, white {self.profile.white_level:g}"),
            ("taken", escape(", ".join(taken)) or "not stated"),
        ]
        return rich_display("RawImage", facts, [figure(picture, f"developed, upright, {exposure:+.1f} EV")])

    def upright(self) -> RawImage:
        """Return the RAW turned upright (orientation 1): mosaic, CFA, levels and crop window.

        If rows and columns are exchanged, the greens in red rows become the greens in blue rows. Their levels are
        then exchanged too.
        """
        symmetry = Symmetry.of_orientation(self.orientation)
        if symmetry == Symmetry():
            return replace(self, orientation=1)
        height, width = self.mosaic.shape
        # torch flips no uint16; the bits are the same
        turned = symmetry.apply(torch.from_numpy(self.mosaic.view(np.int16))).contiguous().numpy()
        greens = _exchange_greens if symmetry.transpose else _keep
        profile = self.profile.replace(
            cfa=symmetry.phase_after(self.profile.cfa, height, width), black_level=greens(self.profile.black_level)
        )
        return replace(
            self,
            mosaic=turned.view(np.uint16),
            profile=profile,
            orientation=1,
            crop=None if self.crop is None else self.crop.turned(symmetry, height, width),
            optical_black=None if self.optical_black is None else greens(self.optical_black),
        )


def _keep(levels: Planes) -> Planes:
    return levels


def _exchange_greens(levels: Planes) -> Planes:
    red, green_red, green_blue, blue = levels
    return red, green_blue, green_red, blue
