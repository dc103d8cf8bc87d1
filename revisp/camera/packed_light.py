"""The light on the sensors of a batch of shots: `revisp.camera.simulate.sensor_light` for many photos at once.

Every nonlinear step of a camera is a curve of one channel, or of a pixel's brightest channel. Each curve is read
from a table: one entry for each 8-bit value, exact, or `FINE_INTERVALS` intervals for floating point. Only
the samples that the filter array passes are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from revisp.camera.expansion import highlight_share, spread_gain
from revisp.camera.highlights import inverse_roll_off, undo_desaturation
from revisp.camera.isp import inverse_tone_curve, srgb_to_linear
from revisp.camera.place import Place
from revisp.camera.shading import shading_gain
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
    ramp = torch.arange(256) / 255 if photos.dtype == torch.uint8 else torch.linspace(0, 1, FINE_INTERVALS + 1)
    tables = torch.stack([_curves(camera, ramp) for camera in cameras]).to(photos.device)
    brightest = photos.amax(dim=1, keepdim=True)
    values = read_tables(tables[:, 0], pack(photos.unsqueeze(2), cfa))  # [B, colour, plane, h, w]
    if any(_desaturates(camera) for camera in cameras):
        peak = pack(brightest, cfa).unsqueeze(1)
        values = values.sub_(read_tables(tables[:, 1], peak)).clamp_min_(0).mul_(read_tables(tables[:, 2], peak))
    light = _mix(values, _matrices(cameras, exposures).to(values))
    share = read_tables(tables[:, 3], brightest)
    if share.amax() > 0:  # several times faster than any()
        factor = light.new_tensor([camera.expansion for camera in cameras]).view(-1, 1, 1, 1)
        light.mul_(pack(spread_gain(share, factor), cfa))
    if any(camera.shading for camera in cameras):
        rows, columns = photos.shape[-2:]
        gains = [shading_gain(rows, columns, camera.shading, place, device=light.device) for camera in cameras]
        light.div_(pack(torch.stack(gains), cfa))
    return light


def _curves(camera: SimulatedCamera, ramp: Tensor) -> Tensor:
    """Return tables ``[4, n]`` over the sRGB values ``ramp``.

    The first is read by channel, the other three by the brightest channel. Linear light is
    ``max(first - second, 0) * third``; the fourth table is `highlight_share`.
    """
    settings, linear = camera.settings, srgb_to_linear(ramp)
    share = highlight_share(linear)
    nothing, one = torch.zeros_like(ramp), torch.ones_like(ramp)
    if not camera.invert:
        return torch.stack([linear, nothing, one, share])
    display = srgb_to_linear(inverse_tone_curve(ramp, settings.contrast, settings.gamma, settings.lift))
    if not _desaturates(camera):
        grey = display.expand(3, 1, -1)
        curve = inverse_roll_off(grey, settings.highlights, knee=settings.knee, rolloff=settings.rolloff)[0, 0]
        return torch.stack([curve, nothing, one, share])
    toned = display.clamp(0, 1)
    white, ratio = undo_desaturation(toned, settings.knee, 2.0**settings.rolloff)
    return torch.stack([toned, white * toned, ratio / (1 - white), share])


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


def _mix(values: Tensor, matrices: Tensor) -> Tensor:
    """Multiply ``[B, 3, 4, h, w]`` by the row of each plane, ``[B, 4, 3]``: ``[B, 4, h, w]``."""
    columns = matrices[..., None, None].unbind(2)
    light = values[:, 0] * columns[0]
    for colour in (1, 2):
        light.addcmul_(values[:, colour], columns[colour])
    return light
