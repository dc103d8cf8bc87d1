"""The light on the sensors of a batch of shots: `revisp.camera.simulate.sensor_light` for many photos at once.

Every nonlinear step of a camera is a curve of one channel, or of a pixel's brightest channel. Each curve is read
from a table: one entry for each 8-bit value, exact, or `FINE_INTERVALS` intervals for floating point. Only
the samples that the filter array passes are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from revisp.camera.detail import cell_means
from revisp.camera.expansion import BLUR_CELL, BLUR_SIGMA, blur_cells, highlight_share
from revisp.camera.highlights import inverse_shoulder, undo_desaturation
from revisp.camera.isp import inverse_tone_curve, srgb_to_linear
from revisp.camera.packed_detail import enlarged_planes
from revisp.camera.place import Place
from revisp.camera.shading import plane_squares, shading_at
from revisp.camera.simulate import SimulatedCamera, sensor_light
from revisp.camera.tables import FINE_INTERVALS, read_tables
from revisp.cfa import CFA, PLANE_COLOURS, pack
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["as_float", "even", "packed_light"]


def packed_light(
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
        Planes R, Gr, Gb, B ``[B, 4, ceil(H / 2), ceil(W / 2)]``, float32, the sensor's saturation at 1. At an odd
        size the photos' last row or column is repeated.
    """
    place = place or Place(0, 0, *photos.shape[-2:])
    photos = even(photos)
    if any(camera.rendering is not None for camera in cameras):
        lights = [
            sensor_light(photo, camera, exposure=exposure, place=place)
            for photo, camera, exposure in zip(as_float(photos), cameras, exposures, strict=True)
        ]
        return pack(mosaic(torch.stack(lights), cfa), cfa)
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
    tables = torch.stack([_curves(camera, photos.dtype == torch.uint8) for camera in cameras]).to(photos.device)
    packed = pack(photos.unsqueeze(2), cfa)  # [B, colour, plane, h, w]
    brightest = packed.amax(dim=1)
    matrices = _matrices(cameras, exposures).to(photos.device)[..., None, None]
    white = read_tables(tables[:, 1], brightest) if any(_desaturates(camera) for camera in cameras) else None
    light: Any = 0
    for colour in range(3):  # one after the other: all three do not fit into the processor's cache
        values = read_tables(tables[:, 0], packed[:, colour])
        values = values if white is None else values.sub_(white).clamp_min_(0)
        light = torch.addcmul(light, values, matrices[:, :, colour]) if colour else values.mul_(matrices[:, :, 0])
    if white is not None:
        light.mul_(read_tables(tables[:, 2], brightest))
    share = read_tables(tables[:, 3], brightest)
    if share.amax() > 0:  # several times faster than any()
        factor = light.new_tensor([camera.expansion for camera in cameras]).view(-1, 1, 1, 1)
        light.mul_(_spread(share, cfa).mul_(share).mul_(factor - 1).add_(1))
    if any(camera.shading for camera in cameras):
        rows, columns = photos.shape[-2:]
        squares = plane_squares(rows, columns, cfa, place, device=photos.device)
        for each, camera in zip(light, cameras, strict=True):
            each.div_(shading_at(squares, camera.shading))
    return light


def _spread(share: Tensor, cfa: CFA) -> Tensor:
    """Blur the shares of highlights ``[B, 4, h, w]`` by `BLUR_SIGMA`."""
    height, width = share.shape[-2:]
    tiles = share.mean(dim=1, keepdim=True)
    step = BLUR_CELL // 2
    if height % step or width % step:
        tiles = F.pad(tiles, (0, -width % step, 0, -height % step), mode="replicate")
    cells = blur_cells(cell_means(tiles, step), BLUR_CELL, BLUR_SIGMA)
    return enlarged_planes(cells[:, 0], BLUR_CELL, cfa)[..., :height, :width]


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
    """Return matrices ``[B, 4, 3]`` from linear sRGB to the planes: exposure, headroom, colour, white balance."""
    matrices = [
        camera.profile.srgb_to_camera
        / np.asarray(camera.profile.gains)[:, None]
        * (2.0**exposure / camera.headroom)
        for camera, exposure in zip(cameras, exposures, strict=True)
    ]
    return torch.from_numpy(np.stack(matrices)[:, list(PLANE_COLOURS)]).float()
