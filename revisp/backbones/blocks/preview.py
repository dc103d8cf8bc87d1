"""Undo the development of a photo approximately, by a fixed formula."""

from __future__ import annotations

import torch
from torch import Tensor

from revisp.camera.isp import inverse_tone_curve

__all__ = ["linearize"]

_LEAST_LIGHT = 1e-8
_DISPLAY_GAMMA = 2.2


def linearize(x: Tensor) -> Tensor:
    r"""Undo the tone and gamma curves of a simple development (Brooks et al., arXiv 1811.11127, section 3).

    .. math:: \max\big(\tfrac12 - \sin(\tfrac13 \arcsin(1 - 2x)),\ 10^{-8}\big)^{2.2}

    Args:
        x: ``[B, C, H, W]``, C at least 3: the photo, which is clamped to [0, 1], and further channels such as a
            mask, which pass unchanged.

    Returns:
        ``[B, C, H, W]``.
    """
    linear = inverse_tone_curve(x[:, :3], contrast=1.0).clamp_min(_LEAST_LIGHT) ** _DISPLAY_GAMMA
    return torch.cat([linear, x[:, 3:]], dim=1)
