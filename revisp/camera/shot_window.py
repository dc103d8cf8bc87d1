"""A window of a simulated shot, for training: what `revisp.camera.simulate.simulate` gives, several times faster.

Curves are read from tables, light is computed only where the filter array passes it, and the last steps of the
rendering run on the window alone.
"""

from __future__ import annotations

from types import EllipsisType
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.camera.detail import DENOISE_REACH, denoise, local_tone, sharpen, sharpen_reach
from revisp.camera.highlights import roll_off, shoulder
from revisp.camera.isp import ISPSettings, linear_to_srgb, tone_curve
from revisp.camera.jpeg import compress_jpeg, round_to_8_bits
from revisp.camera.packed_light import even, packed_light
from revisp.camera.packed_sensor import add_noise_, store_
from revisp.camera.shading import shading_gain
from revisp.camera.tables import read_tables
from revisp.cfa import pack, unpack
from revisp.demosaic import demosaic

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.place import Place
    from revisp.camera.simulate import SimulatedCamera

__all__ = ["JPEG_GRID", "CropArea", "WindowShot", "shoot_window"]

JPEG_GRID = 16
"""Blocks of a JPEG begin at multiples of it, those of reduced chroma included."""

CHROMA_REACH = 2
"""Pixels beyond a block that the enlargement of its chroma looks at."""

INTERVALS = 4096
"""Intervals of the table from light to encoded values."""


class CropArea(NamedTuple):
    """A rectangle of a picture.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def of(self) -> tuple[EllipsisType, slice, slice]:
        """Index of the rectangle in ``[..., H, W]``."""
        return ..., slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def grown(self, pixels: int, multiples: tuple[int, int], size: tuple[int, int]) -> CropArea:
        """Return the least rectangle with some pixels around that begins and ends at multiples, or at the border.

        Args:
            pixels: how many pixels are around.
            multiples: of rows and columns.
            size: rows and columns of the picture.
        """
        starts, ends = [], []
        for start, length, multiple, side in zip(self[:2], self[2:], multiples, size, strict=True):
            starts.append(max(0, start - pixels) // multiple * multiple)
            ends.append(min(side, -((start + length + pixels) // -multiple) * multiple))
        return CropArea(starts[0], starts[1], ends[0] - starts[0], ends[1] - starts[1])

    def within(self, other: CropArea) -> CropArea:
        """Return the same rectangle, counted from the first pixel of another."""
        return self._replace(top=self.top - other.top, left=self.left - other.left)


class WindowShot(NamedTuple):
    """A shot whose photo is known in a window.

    Attributes:
        srgb: the decoded JPEG in the window, ``[3, height, width]`` in [0, 1], in steps of 1/255.
        bayer: the RAW of all that was given, ``[1, H, W]``, as in `revisp.camera.simulate.SimulatedPair`.
        raw_rgb: the RAW demosaiced by `revisp.demosaic.demosaic` (``"malvar"``), ``[3, H, W]``.
    """

    srgb: Tensor
    bayer: Tensor
    raw_rgb: Tensor


@torch.no_grad()
def shoot_window(
    photo: Tensor,
    camera: SimulatedCamera,
    window: CropArea,
    *,
    exposure: float = 0.0,
    place: Place | None = None,
    generator: torch.Generator,
) -> WindowShot:
    """Photograph the scene of a photo with a simulated camera, and develop a window of the shot.

    Noise is the same as that of `revisp.camera.simulate.simulate` for the same seed. Other values differ by about
    as much as those of two implementations of a curve.

    Args:
        photo: sRGB ``[3, H, W]``, uint8, H and W at least 5. Its first pixel is that of a JPEG block.
        camera: the camera.
        window: part of the photo.
        exposure: exposure of this shot in EV; at 0 the photo's display white becomes that of the JPEG.
        place: where the photo lies in its frame, for the shading; None: it is whole.
        generator: source of the noise, on the CPU.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> photo, generator = torch.randint(256, (3, 64, 80), dtype=torch.uint8), torch.Generator().manual_seed(0)
        >>> shot = shoot_window(photo, SIMULATED, CropArea(16, 20, 32, 32), generator=generator)
        >>> shot.srgb.shape, shot.bayer.shape
        (torch.Size([3, 32, 32]), torch.Size([1, 64, 80]))
    """
    height, width = photo.shape[-2:]
    profile = camera.profile
    light = packed_light(photo[None], [camera], [exposure], profile.cfa, place).clamp_(0, camera.full_well)
    noise = torch.randn((1, 1, height, width), generator=generator)
    add_noise_(light, [camera.noise], pack(even(noise), profile.cfa))
    planes = store_(light, [profile], quantise=True)[0]
    bayer = unpack(planes, profile.cfa)[..., :height, :width]
    raw_rgb = demosaic(bayer, profile.cfa, "malvar", gains=profile.gains)
    blocks = window.grown(CHROMA_REACH, (JPEG_GRID, JPEG_GRID), (height, width))
    srgb = _developed(raw_rgb, camera, place, blocks)
    if camera.jpeg_quality is None:
        decoded = round_to_8_bits(srgb)
    else:
        decoded = compress_jpeg(srgb, camera.jpeg_quality, camera.jpeg_chroma)
    return WindowShot(decoded[window.within(blocks).of].contiguous(), bayer, raw_rgb)


def _developed(raw_rgb: Tensor, camera: SimulatedCamera, place: Place | None, window: CropArea) -> Tensor:
    """Return a window of what `SimulatedCamera.develop` makes of a RAW."""
    if camera.rendering is not None:
        return camera.develop(raw_rgb, place)[window.of]
    settings, (height, width) = camera.settings, raw_rgb.shape[-2:]
    balanced = raw_rgb * raw_rgb.new_tensor(camera.profile.gains).view(3, 1, 1)
    if settings.shading:
        balanced.mul_(shading_gain(height, width, settings.shading, place))
    matrix = raw_rgb.new_tensor(camera.profile.camera_to_srgb * 2.0**settings.exposure)
    linear = (matrix @ balanced.clamp_(0, 1).flatten(1)).view_as(balanced)
    linear = local_tone(linear, settings.local_tone, settings.local_radius)
    reach = DENOISE_REACH * (settings.denoise > 0)
    reach += sharpen_reach(settings.sharpening_radius) * (settings.sharpening > 0)
    down, along = (side if side % 2 else 2 for side in (height, width))  # denoising looks at every second pixel
    around = window.grown(reach, (down, along), (height, width))
    srgb = denoise(_encoded(linear[around.of], settings), settings.denoise)
    return sharpen(srgb, settings.sharpening, settings.sharpening_radius)[window.within(around).of].clamp(0, 1)


def _encoded(linear: Tensor, settings: ISPSettings) -> Tensor:
    """Roll light off and encode it, by a table of one channel."""
    white = 2.0**settings.rolloff if settings.highlights == "shoulder" else 1.0
    display = torch.linspace(0, 1, INTERVALS + 1)
    if settings.highlights == "shoulder":
        display = shoulder(display * white, settings.knee, white)
    elif settings.highlights == "desaturate":
        linear = roll_off(linear, "desaturate", knee=settings.knee, rolloff=settings.rolloff)
    curve = tone_curve(linear_to_srgb(display), settings.contrast, settings.gamma, settings.lift)
    return read_tables(curve[None], (linear[None] / white).clamp_(0, 1))[0]
