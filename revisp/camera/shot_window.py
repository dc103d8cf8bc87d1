"""A window of a simulated shot, for training: what `revisp.camera.simulate.simulate` gives, several times faster.

Curves are read from tables, light is computed only where the filter array passes it, and the last steps of the
rendering run on the window alone.
"""

from __future__ import annotations

from functools import cache
from types import EllipsisType
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.camera.detail import DENOISE_REACH, denoise, local_tone, sharpen, sharpen_reach
from revisp.camera.highlights import desaturation, shoulder
from revisp.camera.isp import ISPSettings, linear_to_srgb, tone_curve
from revisp.camera.jpeg import compress_jpeg, round_to_8_bits
from revisp.camera.mosaic_light import MosaicLight
from revisp.camera.mosaic_sensor import add_noise_, store_
from revisp.camera.shading import shading_gain
from revisp.cfa import pack, unpack
from revisp.demosaic import demosaic_planes
from revisp.errors import ShapeError

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
"""Intervals of the table from the root of light to encoded values: the error is at most 1/20 of an 8-bit step."""


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

    def grown(self, pixels: int, multiple: int, size: tuple[int, int]) -> CropArea:
        """Return the least rectangle with some pixels around that begins and ends at multiples, or at the border.

        Args:
            pixels: how many pixels are around.
            multiple: of rows and columns.
            size: rows and columns of the picture.
        """
        starts, ends = [], []
        for start, length, side in zip(self[:2], self[2:], size, strict=True):
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
        raw_rgb: the RAW in the window, demosaiced by `revisp.demosaic.demosaic` (``"malvar"``),
            ``[3, height, width]``.
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
        photo: sRGB ``[3, H, W]``, uint8, H and W even and at least 6. Its first pixel is that of a JPEG block.
        camera: the camera.
        window: part of the photo.
        exposure: exposure of this shot in EV; at 0 the photo's display white becomes that of the JPEG.
        place: where the photo lies in its frame, for the shading; None: it is whole.
        generator: source of the noise, on the CPU.

    Raises:
        ShapeError: an odd height or width.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> photo, generator = torch.randint(256, (3, 64, 80), dtype=torch.uint8), torch.Generator().manual_seed(0)
        >>> shot = shoot_window(photo, SIMULATED, CropArea(16, 20, 32, 32), generator=generator)
        >>> shot.srgb.shape, shot.bayer.shape
        (torch.Size([3, 32, 32]), torch.Size([1, 64, 80]))
    """
    height, width = photo.shape[-2:]
    if height % 2 or width % 2:
        raise ShapeError(f"photo must have an even height and width, got {height}x{width}: cut off the last")
    profile, cfa = camera.profile, camera.profile.cfa
    blocks = window.grown(CHROMA_REACH, JPEG_GRID, (height, width))
    with torch.inference_mode():  # saves a tenth; what is returned is made outside, so that it can be trained with
        light = MosaicLight(photo[None], [camera], [exposure], cfa, place)
        mosaics = light.rows(slice(0, height)).clamp_(0, camera.full_well)
        add_noise_(mosaics, [camera.noise], torch.randn(mosaics.shape, generator=generator))
        store_(mosaics, [profile], cfa, quantise=True)
        bayer = mosaics[0]
        raw_rgb = unpack(demosaic_planes(pack(bayer, cfa), cfa, profile.gains), cfa)[:, 0]
        if camera.rendering is None:
            srgb = _developed(raw_rgb, camera, place, blocks)
        else:
            srgb = camera.develop(raw_rgb, place)[blocks.of]
    if camera.jpeg_quality is None:
        decoded = round_to_8_bits(srgb)
    else:
        decoded = compress_jpeg(srgb, camera.jpeg_quality, camera.jpeg_chroma)
    return WindowShot(decoded[window.within(blocks).of].contiguous(), bayer.clone(), raw_rgb[window.of].clone())


def _developed(raw_rgb: Tensor, camera: SimulatedCamera, place: Place | None, window: CropArea) -> Tensor:
    """Return a window ``[3, height, width]`` of what `SimulatedCamera.develop` makes of a RAW ``[3, H, W]``."""
    settings = camera.settings
    height, width = raw_rgb.shape[-2:]
    balanced = raw_rgb * raw_rgb.new_tensor(camera.profile.gains).view(3, 1, 1)
    if settings.shading:
        balanced.mul_(shading_gain(height, width, settings.shading, place, device=raw_rgb.device))
    matrix = raw_rgb.new_tensor(camera.profile.camera_to_srgb * 2.0**settings.exposure)
    linear = (matrix @ balanced.clamp_(0, 1).flatten(1)).view(raw_rgb.shape)
    linear = local_tone(linear, settings.local_tone, settings.local_radius)
    reach = DENOISE_REACH * (settings.denoise > 0)
    reach += sharpen_reach(settings.sharpening_radius) * (settings.sharpening > 0)
    around = window.grown(reach, 2, (height, width))
    srgb = denoise(_encoded(linear[around.of], settings), settings.denoise)
    return sharpen(srgb, settings.sharpening, settings.sharpening_radius)[window.within(around).of]


@cache
def _light() -> tuple[Tensor, Tensor]:
    """Return light that rises as a square, from 0 to 1, and its sRGB values."""
    light = torch.linspace(0, 1, INTERVALS + 1).square()
    return light, linear_to_srgb(light)


def _desaturated(linear: Tensor, settings: ISPSettings) -> Tensor:
    """Roll light ``[3, ...]`` off by `desaturation`, in tables over the square root of the brightest channel."""
    light = linear.clamp_min(0)
    peak = light.amax(dim=0)
    most = max(peak.amax().item(), 1.0)
    tables = desaturation(_light()[0] * most, settings.knee, 2.0**settings.rolloff)
    knot = peak.mul_(INTERVALS**2 / most).sqrt_().round_().to(torch.int32)
    ratio, added = (table.index_select(0, knot.flatten()).view(knot.shape) for table in tables)
    return light.mul_(ratio).add_(added)


def _encoded(linear: Tensor, settings: ISPSettings) -> Tensor:
    """Roll light off and encode it, by a table over the square root of the light, which is as even as the eye."""
    white = 1.0
    light, encoded = _light()
    if settings.highlights == "shoulder":
        white = 2.0**settings.rolloff
        encoded = linear_to_srgb(shoulder(light * white, settings.knee, white))
    elif settings.highlights == "desaturate":
        linear = _desaturated(linear, settings)
    curve = tone_curve(encoded, settings.contrast, settings.gamma, settings.lift)
    knot = linear.clamp(0, white).mul_(INTERVALS**2 / white).sqrt_().round_().to(torch.int32)
    return curve.index_select(0, knot.flatten()).view(knot.shape)
