"""The loss of ReRAW (Berdan et al., CVPR 2025, arXiv 2503.03782): each candidate has its own gamma domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.losses.base import LOSSES, checked, region_mean

__all__ = ["LogGammaLoss", "log_gamma_loss"]

GAMMAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def log_gamma_loss(
    prediction: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_heads: Tensor,
    gammas: Sequence[float] = GAMMAS,
    margin: float = 0.01,
) -> Tensor:
    r"""Return the mean of ``-log(1 - |error|)`` of the result and of all candidates, over the region.

    The error of the result is linear; that of candidate i is :math:`h_i - t^{\gamma_i}` with the target t clamped
    to [0,1]. Result and candidates have equal weight: we read the paper's sum as a mean over all of them.

    An error of 1 would give an infinite loss, and predictions are not clamped. So beyond ``1 - margin`` the loss
    continues along its tangent, of slope ``1 / margin``: it stays finite, and its gradient is never 0. The target
    gets no gradient, because the gradient of a small power is infinite at 0.

    Args:
        prediction: ``[B,C,H,W]``, linear RAW, any range.
        target: ``[B,C,H,W]``, linear RAW in [0,1].
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
        gamma_heads: ``[B, n*C, H, W]``, the candidates: all channels of the first, then of the second, and so on.
        gammas: the n exponents of the candidates.
        margin: distance from 1 at which an error leaves the logarithm, in (0, 1).

    Returns:
        A scalar, not negative; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> import torch
        >>> truth = torch.full((1, 4, 8, 8), 0.25)
        >>> heads = torch.cat([truth, truth**0.5], dim=1)  # exact candidates of both gammas
        >>> log_gamma_loss(truth, truth, gamma_heads=heads, gammas=(1.0, 0.5)).item()
        0.0
    """
    prediction, target, weight = checked(prediction, target.detach(), weight)
    batch, channels, height, width = target.shape
    if gamma_heads.shape != (batch, len(gammas) * channels, height, width):
        raise ShapeError(
            f"gamma_heads of a loss with {len(gammas)} gammas must have shape "
            f"{[batch, len(gammas) * channels, height, width]}, got {list(gamma_heads.shape)}"
        )
    check_image(gamma_heads, gamma_heads.shape[1], "gamma_heads")
    total = region_mean(_log_error(prediction - target, margin), weight)
    candidates = gamma_heads.to(prediction.dtype).split(channels, dim=1)
    for candidate, gamma in zip(candidates, gammas, strict=True):
        error = candidate - target.clamp(0, 1) ** gamma
        total = total + region_mean(_log_error(error, margin), weight)
    return total / (len(gammas) + 1)


def _log_error(error: Tensor, margin: float) -> Tensor:
    """Return ``-log(1 - |error|)``, continued along its tangent beyond ``1 - margin``."""
    size = error.abs()
    limit = 1 - margin
    return -(-size.clamp_max(limit)).log1p() + (size - limit).clamp_min(0) / margin


@LOSSES.register("log_gamma")
class LogGammaLoss(nn.Module):
    """Module of `log_gamma_loss`.

    Args:
        gammas: exponents of the candidates, equal to those of the network.
        margin: distance from 1 at which an error leaves the logarithm.

    Raises:
        ConfigError: no gamma, one that is not positive, or a margin outside (0, 1).

    Example:
        >>> import torch
        >>> loss = LogGammaLoss(gammas=(1.0, 0.5))
        >>> truth = torch.full((1, 4, 8, 8), 0.25)
        >>> loss(truth, truth, gamma_heads=torch.cat([truth, truth**0.5], dim=1)).item()
        0.0
    """

    needs: ClassVar[tuple[str, ...]] = ("gamma_heads",)
    linear: ClassVar[bool] = True

    def __init__(self, gammas: Sequence[float] = GAMMAS, margin: float = 0.01) -> None:
        super().__init__()
        if not gammas or not all(gamma > 0 for gamma in gammas):
            raise ConfigError(
                f"gammas of the log_gamma loss must be positive numbers, at least one, got {list(gammas)}"
            )
        if not 0 < margin < 1:
            raise ConfigError(f"margin of the log_gamma loss must be in (0, 1), got {margin}")
        self.gammas = tuple(float(gamma) for gamma in gammas)
        self.margin = margin

    def forward(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, gamma_heads: Tensor
    ) -> Tensor:
        """See `log_gamma_loss`."""
        return log_gamma_loss(
            prediction, target, weight, gamma_heads=gamma_heads, gammas=self.gammas, margin=self.margin
        )

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"gammas={self.gammas}, margin={self.margin}"
