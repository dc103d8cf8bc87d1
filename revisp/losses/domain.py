"""The gamma domain, in which a loss may compare linear RAW: errors of dark pixels count as the eye sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    x = x.to(torch.promote_types(x.dtype, torch.float32), memory_format=torch.contiguous_format)
    value: Tensor = x if gamma == 1 else _Gamma.apply(x, gamma)
    return value


class _Gamma(torch.autograd.Function):
    """`to_gamma`, whose derivative is the power over γ x above the toe, and below it what that is at its end."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: float) -> Tensor:
        above = x.clamp_min(TOE_END)
        power = above.log().mul_(1 / gamma).exp_()  # three quarters of the time of a power on a CPU
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(power.div(above).div_(gamma))
        return power.add_(x - above, alpha=TOE_END ** (1 / gamma - 1) / gamma)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (derivative,) = ctx.saved_tensors
        return gradient * derivative, None
