"""Perspective views of equirectangular panoramas, true in area: a small sun neither vanishes nor flickers.

A panorama is kept as a pyramid, each level half as wide as the one before. A view takes the level whose pixels are
half to one of its own, and averages samples that lie at most half a level's pixel apart: all light of the level
arrives, whatever the angle. Towards the poles a level's rows are averaged over as many columns as a pixel at the
horizon is wide, so that the same distance of samples will do there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from revisp.camera.detail import cell_means
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Look", "halved", "look", "smoothed_poles"]

Array = np.ndarray[Any, Any]

MOST_SAMPLES = 4
"""Most samples of a view's pixel along each side: twice the pixels of a level that it can cover."""


class Look(NamedTuple):
    """Where a camera in the middle of a panorama looks, in degrees.

    Attributes:
        yaw: to the right of the panorama's middle.
        pitch: above the horizon.
        roll: of the camera about its axis, clockwise.
        field: angle of view of the longer side, in (0, 170].
    """

    yaw: float
    pitch: float
    roll: float = 0.0
    field: float = 60.0


def halved(light: Array) -> Array:
    """Return ``[H, W, 3]`` averaged over blocks of 2x2; an odd last row or column is left out.

    Example:
        >>> halved(np.arange(24.0).reshape(2, 4, 3))[..., 0].tolist()
        [[7.5, 13.5]]
    """
    height, width = (side // 2 * 2 for side in light.shape[:2])
    blocks = light[:height, :width].reshape(height // 2, 2, width // 2, 2, -1)
    mean: Array = blocks.mean(axis=(1, 3), dtype=np.float32)
    return mean


def smoothed_poles(light: Array) -> Array:
    """Average rows ``[H, W, 3]`` of a panorama over 1 / cos(latitude) columns, in a circle; light is kept."""
    height, width = light.shape[:2]
    out = np.empty_like(light, dtype=np.float32)
    columns = np.arange(width)
    for row in range(height):
        reach = min(width, 1 / math.cos(math.pi * (0.5 - (row + 0.5) / height))) / 2
        total = np.zeros((width + 1, light.shape[2]))
        np.cumsum(light[row], axis=0, dtype=np.float64, out=total[1:])
        ends = _until(total, columns + 0.5 + reach) - _until(total, columns + 0.5 - reach)
        out[row] = ends / (2 * reach)
    return out


def _until(total: Array, place: Array) -> Array:
    """Return the sum of a row up to places that may lie outside it, by its running total ``[W + 1, 3]``."""
    width = len(total) - 1
    turns, inside = np.divmod(place, width)
    first = np.minimum(inside.astype(int), width - 1)
    share = (inside - first)[:, None]
    sums: Array = turns[:, None] * total[-1] + total[first] * (1 - share) + total[first + 1] * share
    return sums


def look(levels: Sequence[Array], where: Look, size: tuple[int, int]) -> Tensor:
    """Return what a camera without lens errors sees.

    Args:
        levels: the panorama ``[H, W, 3]``, rows from the zenith to the nadir, and each time `halved`; all after
            `smoothed_poles`. Only the part in view is read.
        where: direction and angle of view.
        size: rows and columns of the view.

    Returns:
        Mean light over each pixel ``[3, h, w]``, float32.

    Raises:
        ConfigError: an angle of view outside its range.
    """
    if not 0 < where.field <= 170:
        raise ConfigError(f"a field of view must lie in (0, 170] degrees, got {where.field}")
    pitch_of_pixel = 2 * math.tan(math.radians(where.field) / 2) / max(size)
    finer = [level for level in levels if 2 * math.pi / level.shape[1] <= pitch_of_pixel]
    level = finer[-1] if finer else levels[0]
    samples = min(MOST_SAMPLES, max(1, math.ceil(pitch_of_pixel * level.shape[1] / math.pi)))
    latitude, longitude = _directions(where, size, samples)
    height, width = level.shape[:2]
    rows = latitude.mul_(-height / math.pi).add_(0.5 * height - 0.5)
    turned = (math.radians(where.yaw) + math.pi) * (width / (2 * math.pi)) - 0.5
    columns = longitude.mul_(width / (2 * math.pi)).add_(turned)
    (first_row, last_row), (first_column, last_column) = (
        (float(bound) for bound in torch.aminmax(places)) for places in (rows, columns)
    )
    top, left = max(0, math.floor(first_row)), math.floor(first_column)
    bottom, right = min(height, math.floor(last_row) + 2), math.floor(last_column) + 2
    part = _part(level, top, bottom, left, right)
    place = torch.stack(  # columns and rows each in one piece, which grid_sample reads faster than pairs
        [
            columns.sub_(left).mul_(2 / max(1, right - left - 1)).sub_(1),
            rows.sub_(top).mul_(2 / max(1, bottom - top - 1)).sub_(1),
        ]
    ).permute(1, 2, 0)
    seen = F.grid_sample(part[None], place[None], "bilinear", "border", align_corners=True)[0]
    return cell_means(seen, samples)


def _part(level: Array, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Read a part ``[3, h, w]`` whose columns may go around, as float32."""
    width = level.shape[1]
    start, stop = left % width, left % width + right - left
    pieces = [level[top:bottom, start:stop]]
    while stop > width:
        stop -= width
        pieces.append(level[top:bottom, :stop])
    part = np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
    return torch.from_numpy(np.array(part)).float().permute(2, 0, 1).contiguous()


def _directions(where: Look, size: tuple[int, int], samples: int) -> tuple[Tensor, Tensor]:
    """Return latitude, and longitude from the middle of the view, of samples of its pixels, in radians."""
    reach = math.tan(math.radians(where.field) / 2) / max(size)
    y, x = (((torch.arange(side * samples) + 0.5) * (2 / samples) - side) * reach for side in size)
    y, x = y[:, None], x[None, :]
    roll, pitch = math.radians(where.roll), math.radians(where.pitch)
    right = x * math.cos(roll) - y * math.sin(roll)
    down = x * math.sin(roll) + y * math.cos(roll)
    up = (down * -math.cos(pitch)).add_(math.sin(pitch))
    ahead = down.mul_(math.sin(pitch)).add_(math.cos(pitch))
    level = (right * right).addcmul_(ahead, ahead).sqrt_()
    return torch.atan2(up, level), torch.atan2(right, ahead)
