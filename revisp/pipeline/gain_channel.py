"""What a photo's gain map says, as an input channel of networks."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["GAIN_EV", "gain_channel"]

GAIN_EV = (-2.0, 8.0)
"""EV that the channel can tell; what is beyond counts as the nearer end."""

_UNIT = 4.0
"""EV that become 1, so that the channel has the range of the others."""

_NONE = -1.0
"""The channel where no map is known: below all that a map can say."""


def gain_channel(gain: Tensor | None, srgb: Tensor) -> Tensor:
    """Return the input channel of photos with gain maps or without.

    Args:
        gain: EV by which the HDR rendition is brighter than the photo, less that at mid grey
            (`revisp.io.GainMap.above_mid_grey`), ``[B, 1, H, W]``; NaN where no map is known. None: nowhere.
        srgb: the photos ``[B, 3, H, W]``.

    Returns:
        ``[B, 1, H, W]``: -1 without a map; otherwise -0.5 to 2, a quarter for each EV.

    Example:
        >>> photo = torch.rand(1, 3, 2, 2)
        >>> two = torch.full((1, 1, 2, 2), 2.0)
        >>> gain_channel(None, photo).mean().item(), gain_channel(two, photo).mean().item()
        (-1.0, 0.5)
    """
    if gain is None:
        return torch.full_like(srgb[:, :1], _NONE)
    return torch.nan_to_num(gain.to(srgb).clamp(*GAIN_EV) / _UNIT, nan=_NONE)
