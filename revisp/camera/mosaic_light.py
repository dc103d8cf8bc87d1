"""The light on the sensors of a batch of shots: `revisp.camera.simulate.sensor_light` for many photos at once.

Every nonlinear step of a camera is a curve of one channel, or of a pixel's brightest channel. Each curve is read
from a table: one entry for each 8-bit value, exact, or `FINE_INTERVALS` intervals for floating point. Only
the samples that the filter array passes are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from revisp.camera.expansion import BLUR_SIGMA, highlight_share, spread_gain
from revisp.camera.highlights import inverse_shoulder, undo_desaturation
from revisp.camera.isp import inverse_tone_curve, srgb_to_linear
from revisp.camera.place import Place
from revisp.camera.shading import shading_gain
from revisp.camera.simulate import SimulatedCamera, sensor_light
from revisp.camera.tables import FINE_INTERVALS, read_tables, strips
from revisp.cfa import CFA, PLANE_COLOURS, plane_rows
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["as_float", "even", "mosaic_light"]

GRID = 4
"""Rows of the cells on which highlights are blurred: a part of a photo must begin with one."""


def mosaic_light(
    photos: Tensor,
    cameras: Sequence[SimulatedCamera],
    exposures: Sequence[float],
    cfa: CFA,
    place: Place | None = None,
) -> Tensor:
    """Return the light at each photosite, before clip and noise.

    Args:
        photos: sRGB ``[B, 3, H, W]``: uint8, or float32 in [0, 1].
        cameras: one for each photo; their own phase is ignored.
        exposures: exposure of each shot, in EV.
        cfa: the Bayer phase.
        place: where the photos lie in their frames, for the lens's shading; None: they are whole.

    Returns:
        Mosaics ``[B, 1, H, W]``, float32, the sensor's saturation at 1. At an odd size the photos' last row or
        column is repeated, so that the mosaics have even ones.
    """
    place = place or Place(0, 0, *photos.shape[-2:])
    photos = even(photos)
    if any(camera.rendering is not None for camera in cameras):
        lights = [
            sensor_light(photo, camera, exposure=exposure, place=place)
            for photo, camera, exposure in zip(as_float(photos), cameras, exposures, strict=True)
        ]
        return mosaic(torch.stack(lights), cfa)
    return _by_tables(photos, cameras, exposures, cfa, place)


def even(x: Tensor) -> Tensor:
    """Repeat the last row or column of ``[..., H, W]`` if their number is odd."""
    if x.shape[-2] % 2:
        x = torch.cat([x, x[..., -1:, :]], dim=-2)
    return torch.cat([x, x[..., -1:]], dim=-1) if x.shape[-1] % 2 else x


def as_float(photos: Tensor) -> Tensor:
    """Return photos as floating point in [0, 1]: 8-bit photos as float32, others clamped."""
    return photos.float() / 255 if photos.dtype == torch.uint8 else photos.clamp(0, 1)


def _by_tables(
    photos: Tensor, cameras: Sequence[SimulatedCamera], exposures: Sequence[float], cfa: CFA, place: Place
) -> Tensor:
    if photos.dtype != torch.uint8:
        photos = photos.clamp(0, 1)
    eight_bit = photos.dtype == torch.uint8
    tables = torch.stack([_curves(camera, eight_bit) for camera in cameras]).to(photos.device)
    weights = plane_rows(_matrices(cameras, exposures), cfa, photos.shape[-1]).to(photos.device)[:, :, None]
    desaturates = any(_desaturates(camera) for camera in cameras)
    photos = _planar(photos)
    brightest = torch.maximum(torch.maximum(photos[:, 0], photos[:, 1]), photos[:, 2])
    light = tables.new_empty(brightest.shape)
    for rows in strips(light):
        part, peak, into = photos[..., rows, :], brightest[:, rows], light[:, rows]
        mixed = into.unflatten(-2, (-1, 2))  # two rows of the filter array side by side
        white = read_tables(tables[:, 1], peak) if desaturates else None
        for colour in range(3):
            values = read_tables(tables[:, 0], part[:, colour])
            values = (values if white is None else values.sub_(white).clamp_min_(0)).view(mixed.shape)
            if colour == 0:
                torch.mul(values, weights[:, colour], out=mixed)
            else:
                mixed.addcmul_(values, weights[:, colour])
        if white is not None:
            into.mul_(read_tables(tables[:, 2], peak))
    _expand_(light, brightest, tables[:, 3], [camera.expansion for camera in cameras])
    height, width = light.shape[1:]
    for each, camera in zip(light, cameras, strict=True):
        if camera.shading:
            each.div_(shading_gain(height, width, camera.shading, place, device=each.device)[0])
    return light[:, None]


def _planar(photos: Tensor) -> Tensor:
    """Return photos whose colours lie one after the other; NumPy takes those of decoders apart fastest."""
    if photos.is_contiguous() or photos.device.type != "cpu":
        return photos.contiguous()
    return torch.from_numpy(np.ascontiguousarray(photos.numpy()))


def _expand_(light: Tensor, brightest: Tensor, shares: Tensor, factors: Sequence[float]) -> None:
    """Expand the highlights in place, where there are some.

    Args:
        light: ``[B, H, W]``.
        brightest: the photos' brightest channel, ``[B, H, W]``.
        shares: tables of `highlight_share`, ``[B, n]``.
        factors: light of the brightest place of each photo over display white.
    """
    peaks = brightest.amax(dim=-1)
    bright = read_tables(shares, peaks).amax(dim=0).nonzero()
    if not len(bright):
        return
    reach = 4 * math.ceil(BLUR_SIGMA)  # beyond it, nothing is left of the blur
    first, last = int(bright[0]), int(bright[-1])
    around = slice(max(0, first - reach) // GRID * GRID, last + 1 + reach)
    share = torch.empty_like(light[:, around])
    for rows in strips(share):
        share[:, rows] = read_tables(shares, brightest[:, around][:, rows])
    gain = spread_gain(share[:, None], light.new_tensor(factors).view(-1, 1, 1, 1))[:, 0]
    light[:, around].mul_(gain)


@cache
def _photo(eight_bit: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sRGB values of a table's entries, their light, and `highlight_share` of it, each ``[n]``."""
    ramp = torch.arange(256) / 255 if eight_bit else torch.linspace(0, 1, FINE_INTERVALS + 1)
    linear = srgb_to_linear(ramp)
    return ramp, linear, highlight_share(linear)


def _curves(camera: SimulatedCamera, eight_bit: bool) -> Tensor:
    """Return tables ``[4, n]`` over sRGB values: all of 8 bits, or finer ones.

    The first is read by channel, the other three by the brightest channel. Linear light is
    ``max(first - second, 0) * third``; the fourth table is `highlight_share`.
    """
    settings = camera.settings
    ramp, linear, share = _photo(eight_bit)
    tables = ramp.new_empty((4, len(ramp)))
    tables[1], tables[2], tables[3] = 0, 1, share
    if not camera.invert:
        tables[0] = linear
        return tables
    display = srgb_to_linear(inverse_tone_curve(ramp, settings.contrast, settings.gamma, settings.lift))
    if not _desaturates(camera):
        shouldered = settings.highlights == "shoulder"
        tables[0] = inverse_shoulder(display, settings.knee, 2.0**settings.rolloff) if shouldered else display
        return tables
    white, ratio = undo_desaturation(display, settings.knee, 2.0**settings.rolloff)
    tables[0], tables[1], tables[2] = display, white * display, ratio / (1 - white)
    return tables


def _desaturates(camera: SimulatedCamera) -> bool:
    return camera.invert and camera.settings.highlights == "desaturate"


def _matrices(cameras: Sequence[SimulatedCamera], exposures: Sequence[float]) -> Tensor:
    """Return weights ``[B, 3, 4]`` of linear sRGB in the planes: exposure, headroom, colour, white balance."""
    matrices = [
        camera.profile.srgb_to_camera
        / np.asarray(camera.profile.gains)[:, None]
        * (2.0**exposure / camera.headroom)
        for camera, exposure in zip(cameras, exposures, strict=True)
    ]
    return torch.from_numpy(np.stack(matrices)[:, list(PLANE_COLOURS)]).float().transpose(1, 2)
