"""The light on the sensors of a batch of shots: `revisp.camera.simulate.sensor_light` for many photos at once.

Every nonlinear step of a camera is a curve of one channel, or of a pixel's brightest channel. Each curve is read
from a table: one entry for each 8-bit value, exact, or `FINE_INTERVALS` intervals for floating point. Only
the samples that the filter array passes are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from revisp.camera.detail import enlarged
from revisp.camera.expansion import BLUR_SIGMA, blur_cells, highlight_share, padded_means
from revisp.camera.highlights import inverse_shoulder, undo_desaturation
from revisp.camera.isp import inverse_tone_curve, srgb_to_linear
from revisp.camera.place import Place
from revisp.camera.shading import shading_factors
from revisp.camera.simulate import SimulatedCamera, sensor_light
from revisp.camera.tables import FINE_INTERVALS, PairTable, read_tables, strips
from revisp.cfa import CFA, PLANE_COLOURS, plane_rows
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GRID", "MosaicLight", "as_float", "even"]

PAIRED_FROM = 2**16
"""Pixels of a photo from which it pays to make a table of pairs."""

GRID = 4
"""Side of the cells on which highlights are blurred."""


class MosaicLight:
    """The light at each photosite, before clip and noise, of which strips are computed when they are asked for.

    Args:
        photos: sRGB ``[B, 3, H, W]``: uint8, or float32 in [0, 1]. At an odd size their last row or column is
            repeated, so that the mosaics have even ones.
        cameras: one for each photo; their own phase is ignored.
        exposures: exposure of each shot, in EV.
        cfa: the Bayer phase.
        place: where the photos lie in their frames, for the lens's shading; None: they are whole.

    Attributes:
        shape: of all mosaics, ``(B, 1, H, W)``.
    """

    def __init__(
        self,
        photos: Tensor,
        cameras: Sequence[SimulatedCamera],
        exposures: Sequence[float],
        cfa: CFA,
        place: Place | None = None,
    ) -> None:
        place = place or Place(0, 0, *photos.shape[-2:])
        photos = even(photos)
        height, width = photos.shape[-2:]
        self.shape = (len(photos), 1, height, width)
        self._whole: Tensor | None = None
        if any(camera.rendering is not None for camera in cameras):
            lights = [
                sensor_light(photo, camera, exposure=exposure, place=place)
                for photo, camera, exposure in zip(as_float(photos), cameras, exposures, strict=True)
            ]
            self._whole = mosaic(torch.stack(lights), cfa)
            return
        eight_bit = photos.dtype == torch.uint8
        self._photos = _planar(photos if eight_bit else photos.clamp(0, 1))
        self._brightest = torch.maximum(torch.maximum(self._photos[:, 0], self._photos[:, 1]), self._photos[:, 2])
        self._tables = torch.stack([_curves(camera, eight_bit) for camera in cameras]).to(photos.device)
        curves = self._tables[:, 0]
        by_two = eight_bit and len(photos) == 1 and self._brightest.numel() > PAIRED_FROM
        self._curves = PairTable(curves[0]) if by_two else partial(read_tables, curves)
        self._weights = plane_rows(_matrices(cameras, exposures), cfa, width).to(photos.device)[:, :, None]
        self._desaturates = any(_desaturates(camera) for camera in cameras)
        self._factors = self._tables.new_tensor([camera.expansion - 1 for camera in cameras]).view(-1, 1, 1)
        self._highlights = self._bright_rows()
        self._shading = [
            shading_factors(height, width, camera.shading, place, device=photos.device) if camera.shading else None
            for camera in cameras
        ]

    def rows(self, rows: slice, out: Tensor | None = None) -> Tensor:
        """Return the light of some rows.

        Args:
            rows: the rows; they begin and end at multiples of `GRID`, or at the border.
            out: where to write it, ``[B, 1, h, W]``.

        Returns:
            ``[B, 1, h, W]``, float32, the sensor's saturation at 1.
        """
        if self._whole is not None:
            return self._whole[..., rows, :] if out is None else out.copy_(self._whole[..., rows, :])
        peak = self._brightest[:, rows]
        if out is None:
            out = self._tables.new_empty((len(peak), 1, *peak.shape[1:]))
        light = out[:, 0]
        mixed = light.unflatten(-2, (-1, 2))  # two rows of the filter array side by side
        white = read_tables(self._tables[:, 1], peak) if self._desaturates else None
        for colour in range(3):
            values = self._curves(self._photos[:, colour, rows])
            values = (values if white is None else values.sub_(white).clamp_min_(0)).view(mixed.shape)
            if colour == 0:
                torch.mul(values, self._weights[:, colour], out=mixed)
            else:
                mixed.addcmul_(values, self._weights[:, colour])
        if white is not None:
            light.mul_(read_tables(self._tables[:, 2], peak))
        if self._highlights is not None:
            self._expand_(light, rows)
        for each, factors in zip(light, self._shading, strict=True):
            if factors is not None:
                each.div_(factors[0][rows] @ factors[1])
        return out

    def _bright_rows(self) -> tuple[slice, Tensor, Tensor] | None:
        """Return the rows that hold highlights, their shares ``[B, h, W]``, and the blur of these, or None.

        The rows are whole cells. The blur is that of `blur_cells`, enlarged in columns but not in rows.
        """
        shares = self._tables[:, 3]
        bright = read_tables(shares, self._brightest.amax(dim=-1)).amax(dim=0).nonzero().flatten()
        if not len(bright):
            return None
        count, height, width = self._brightest.shape
        first, end = int(bright[0]) // GRID * GRID, -((int(bright[-1]) + 1) // -GRID) * GRID
        peak = self._brightest[:, first:end]
        share = shares.new_empty(peak.shape)
        cells = shares.new_zeros((count, -(height // -GRID), -(width // -GRID)))
        for rows in strips(peak):
            share[:, rows] = read_tables(shares, peak[:, rows])
            start = (first + rows.start) // GRID
            means = padded_means(share[:, rows], GRID)
            cells[:, start : start + means.shape[1]] = means
        across = enlarged(blur_cells(cells, GRID, BLUR_SIGMA), (1, GRID))
        return slice(first, end), share, across[..., :width]

    def _expand_(self, light: Tensor, rows: slice) -> None:
        """Expand the highlights of some rows in place, where there are any."""
        if self._highlights is None:
            return
        bright, shares, across = self._highlights
        start, end = max(rows.start, bright.start), min(rows.stop, bright.stop, self.shape[2])
        if start >= end:
            return
        inside = slice(start - rows.start, end - rows.start)
        share = shares[:, start - bright.start : end - bright.start]
        first = max(0, start // GRID - 1)
        blurred = enlarged(across[:, first : -(end // -GRID) + 1], (GRID, 1))[:, start - first * GRID :]
        light[:, inside].mul_(blurred[:, : end - start].mul_(share).mul_(self._factors).add_(1))


def even(x: Tensor) -> Tensor:
    """Repeat the last row or column of ``[..., H, W]`` if their number is odd."""
    if x.shape[-2] % 2:
        x = torch.cat([x, x[..., -1:, :]], dim=-2)
    return torch.cat([x, x[..., -1:]], dim=-1) if x.shape[-1] % 2 else x


def as_float(photos: Tensor) -> Tensor:
    """Return photos as floating point in [0, 1]: 8-bit photos as float32, others clamped."""
    return photos.float() / 255 if photos.dtype == torch.uint8 else photos.clamp(0, 1)


def _planar(photos: Tensor) -> Tensor:
    """Return photos whose colours lie one after the other; NumPy takes those of decoders apart fastest."""
    if photos.is_contiguous() or photos.device.type != "cpu":
        return photos.contiguous()
    return torch.from_numpy(np.ascontiguousarray(photos.numpy()))


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
