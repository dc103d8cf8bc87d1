"""The gamma domain, in which a loss may compare linear RAW: errors of dark pixels count as the eye sees them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["TOE_END", "to_gamma"]

TOE_END = 1e-3
"""Linear value below which `to_gamma` is a straight line."""


def to_gamma(x: Tensor, gamma: float = 2.2) -> Tensor:
    """Raise linear values to the power 1/gamma, with a straight toe.

    Below `TOE_END` the curve continues along its tangent. It is continuously differentiable and strictly
    increasing everywhere, so zeros and negative predictions have a finite gradient that is not 0 (at most 20 for
    gamma 2.2). The tangent does not pass through the origin: 0 maps to about 0.024.

    Args:
        x: linear values, any shape, any range.
        gamma: exponent, at least 1; 1 is the identity.

    Returns:
        Tensor of the same shape, in float32 or better.

    Example:
        >>> [round(v, 3) for v in to_gamma(torch.tensor([0.0, 0.18, 1.0])).tolist()]
        [0.024, 0.459, 1.0]
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    power = x.clamp_min(TOE_END) ** (1 / gamma)
    slope = TOE_END ** (1 / gamma - 1) / gamma
    return power + slope * (x - TOE_END).clamp_max(0)
