"""Gain maps of made-up photos."""

import numpy as np
import torch

from revisp.io import GainMap
from revisp.io.gain_fields import GainFields

__all__ = ["ramp_map"]


def ramp_map(photo: torch.Tensor, most: float = 3.0) -> GainMap:
    """Return a map, half as large as a photo ``[3, H, W]``, whose gain rises from 0 on the left to ``most`` EV."""
    height, width = photo.shape[1:]
    values = torch.linspace(0, 1, width // 2).expand(1, height // 2, width // 2)
    fields = GainFields(*(np.array([x], np.float32) for x in (0, most, 1, 1 / 64, 1 / 64)), headroom=most)
    return GainMap(values, fields, (height, width), "a test")
