"""Where in its photo a pixel lies: a crop's place, and the coordinates of its pixels.

Lens shading, sharpness and colour depend on the distance from the photo's middle. A crop or a tile does not show
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PLACE_CHANNELS", "Place", "place_map"]

PLACE_CHANNELS = 3
"""Channels of `place_map`: x, y and radius."""


class Place(NamedTuple):
    """Where a crop lies in its frame: its first row and column, and the frame's height and width, in pixels.

    Example:
        >>> Place(top=100, left=40, height=3000, width=4000)._asdict()["top"]
        100
    """

    top: int
    left: int
    height: int
    width: int

    def crop(self, top: int, left: int) -> Place:
        """Return the place, in the same frame, of a crop of this crop that begins at a row and column.

        Example:
            >>> Place(100, 40, 3000, 4000).crop(6, 8)
            Place(top=106, left=48, height=3000, width=4000)
        """
        return self._replace(top=self.top + top, left=self.left + left)


def place_map(height: int, width: int, place: Place | Tensor | None = None, *, device: Any = None) -> Tensor:
    """Return the coordinates in the frame of each pixel of a picture.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        place: where the picture lies in its frame; or, for a batch, the four numbers of each place, ``[B, 4]``;
            None: it is the whole frame.
        device: device of the result.

    Returns:
        float32 ``[3, H, W]``, or ``[B, 3, H, W]`` for a batch of places. x and y of the pixel's middle are -1 at
        the left and upper edge of the frame and 1 at the right and lower edge. The radius is the distance from the
        frame's middle, 1 in its corners. A crop's coordinates equal those of the whole frame exactly.

    Example:
        >>> x, y, radius = place_map(2, 4)
        >>> x[0].tolist(), y[:, 0].tolist()
        ([-0.75, -0.25, 0.25, 0.75], [-0.5, 0.5])
        >>> torch.equal(place_map(2, 4)[..., 1:, 2:], place_map(1, 2, Place(1, 2, 2, 4)))
        True
    """
    top, left, full_height, full_width = _numbers(place, height, width)
    y = (torch.arange(height, dtype=torch.float32, device=device) + top + 0.5) * 2 - full_height
    x = (torch.arange(width, dtype=torch.float32, device=device) + left + 0.5) * 2 - full_width
    corner = (full_height * full_height + full_width * full_width) ** 0.5
    rows, columns = (y / corner)[..., :, None], (x / corner)[..., None, :]
    radius = (rows.square() + columns.square()).sqrt()
    across, down = (x / full_width)[..., None, :], (y / full_height)[..., :, None]
    return torch.stack([across.expand_as(radius), down.expand_as(radius), radius], dim=-3)


def _numbers(place: Place | Tensor | None, height: int, width: int) -> tuple[Any, Any, Any, Any]:
    """Return top, left, height and width: as numbers, or as floats ``[B, 1]``."""
    if isinstance(place, torch.Tensor):
        top, left, full_height, full_width = place.float().unsqueeze(-1).unbind(1)
        return top, left, full_height, full_width
    return place or Place(0, 0, height, width)
