"""The loss of SSDNet (Zou and Zhang, "Learned Reverse ISP with Soft Supervision", ECCV workshops 2022).

A photo does not determine its RAW. So the ground truth counts as the mean of a normal distribution. Its standard
deviation is the network's error at that pixel. The network predicts the RAW and that error.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revisp.errors import ConfigError, ShapeError
from revisp.losses.base import LOSSES, checked, region_mean

__all__ = ["SoftSupervisionLoss", "soft_supervision_loss"]

_LEAST_DEVIATION, _MOST_DEVIATION = 1 / 1024, 1.0
"""Limits of the deviation, as in the released code: one step of 10 bits, and the whole range."""


def soft_supervision_loss(
    prediction: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    error: Tensor,
    error_weight: float = 1e-3,
    resample: bool = True,
) -> Tensor:
    r"""Compare the prediction with a sample of the softened target, and the predicted error with the true error.

    .. math:: |x - (y + z e)| + w\,|\hat e - e|, \quad e = \mathrm{clamp}(|x - y|, 1/1024, 1), \quad z \sim N(0, 1)

    Each part is averaged over the region; no gradient flows through the deviation e. Noise z is drawn for each
    value by torch's default generator of the device.

    Args:
        prediction: x, ``[B,C,H,W]``, linear RAW.
        target: y, ``[B,C,H,W]``, linear RAW in [0,1].
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
        error: the network's prediction of e, ``[B,C,H,W]``.
        error_weight: w.
        resample: whether z is drawn; False sets it to 0.

    Returns:
        A scalar; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> error = torch.full_like(truth, 0.25)
        >>> soft_supervision_loss(truth + 0.25, truth, error=error, resample=False).item()
        0.25
    """
    if error.shape != prediction.shape or not error.is_floating_point():
        raise ShapeError(
            f"the predicted error must be floating point and of the prediction's shape {list(prediction.shape)}, "
            f"got {error.dtype} {list(error.shape)}"
        )
    prediction, target, weight = checked(prediction, target, weight)
    deviation = (prediction.detach() - target).abs().clamp(_LEAST_DEVIATION, _MOST_DEVIATION)
    soft = target + torch.randn_like(target) * deviation if resample else target
    mismatch = (error.to(prediction.dtype) - deviation).abs()
    return region_mean((prediction - soft).abs(), weight) + error_weight * region_mean(mismatch, weight)


@LOSSES.register("soft_supervision")
class SoftSupervisionLoss(nn.Module):
    """Module of `soft_supervision_loss`, for networks that predict their ``error``.

    The defaults are the paper's train-resampling. Its test-resampling is ``resample=False``, ``error_weight=1``,
    and at inference the mean of samples, as the network's method ``sample`` draws them.

    Args:
        error_weight: weight of the error of the predicted error.
        resample: whether noise is added to the target.

    Raises:
        ConfigError: ``error_weight`` is negative.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> loss = SoftSupervisionLoss(error_weight=1.0, resample=False)
        >>> loss(truth + 0.25, truth, error=torch.full_like(truth, 0.5)).item()  # 0.25 each
        0.5
    """

    needs = ("error",)
    linear = True

    def __init__(self, error_weight: float = 1e-3, resample: bool = True) -> None:
        super().__init__()
        if not error_weight >= 0:
            raise ConfigError(f"error_weight of the soft supervision must not be negative, got {error_weight}")
        self.error_weight = error_weight
        self.resample = resample

    def forward(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, error: Tensor
    ) -> Tensor:
        """See `soft_supervision_loss`."""
        return soft_supervision_loss(
            prediction, target, weight, error=error, error_weight=self.error_weight, resample=self.resample
        )

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"error_weight={self.error_weight}, resample={self.resample}"
