"""Losses that compare pixel with pixel: L1, L2, Charbonnier and L1 of logarithms.

Only pixels of the region affect the loss and get a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revisp.errors import ConfigError
from revisp.losses.base import LOSSES, PixelLoss

__all__ = [
    "CharbonnierLoss",
    "HardLogLoss",
    "L1Loss",
    "L2Loss",
    "charbonnier_loss",
    "hard_log_loss",
    "l1_loss",
    "l2_loss",
]


def l1_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean absolute error over the region.

    Args:
        prediction: ``[B,C,H,W]``, any range.
        target: ``[B,C,H,W]``.
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.

    Returns:
        A scalar; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> prediction = torch.tensor([0.5, 9.0]).view(1, 1, 1, 2)
        >>> region = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)  # only the left pixel counts
        >>> l1_loss(prediction, torch.zeros(1, 1, 1, 2), region).item()
        0.5
    """
    loss: Tensor = L1Loss()(prediction, target, weight)
    return loss


def l2_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean squared error over the region; arguments, result and errors are those of `l1_loss`.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> l2_loss(truth + 0.5, truth).item()
        0.25
    """
    loss: Tensor = L2Loss()(prediction, target, weight)
    return loss


def charbonnier_loss(
    prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, eps: float = 1e-3
) -> Tensor:
    """Return the Charbonnier loss, ``mean(sqrt(d² + ε²) − ε)``, a smooth L1 (Charbonnier et al., ICIP 1994).

    The constant ε is subtracted so that the loss of identical images is 0. Gradients equal those of the usual
    form.

    Args:
        prediction: ``[B,C,H,W]``, any range.
        target: ``[B,C,H,W]``.
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
        eps: error below which the loss is quadratic, in units of the image.

    Returns:
        A scalar; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> charbonnier_loss(truth, truth).item(), round(charbonnier_loss(truth + 0.1, truth).item(), 3)
        (0.0, 0.099)
    """
    loss: Tensor = CharbonnierLoss(eps)(prediction, target, weight)
    return loss


def hard_log_loss(
    prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, eps: float = 1e-3
) -> Tensor:
    """Return the L1 between logarithms, ``mean(|log max(x, ε) − log max(y, ε)|)``, a relative error.

    This is the second half of CycleISP's loss for its RGB-to-RAW network (Zamir et al., CVPR 2020, arXiv
    2003.07761); the first is `l1_loss` at the same weight. An error of a given ratio counts equally in dark and
    bright pixels. ε is our choice: 1e-3 is 16 steps of 14 bits. A prediction below ε gets no gradient, so combine
    this loss with an L1 term.

    Args:
        prediction: ``[B,C,H,W]``, linear, any range.
        target: ``[B,C,H,W]``, linear.
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
        eps: value below which all values count as equal.

    Returns:
        A scalar; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> round(hard_log_loss(2 * truth, truth).item(), 3)  # ln 2, as for any twofold value
        0.693
    """
    loss: Tensor = HardLogLoss(eps)(prediction, target, weight)
    return loss


@LOSSES.register("l1")
class L1Loss(PixelLoss):
    """Module of `l1_loss`.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> L1Loss()(truth + 0.25, truth).item()
        0.25
    """

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `l1_loss`."""
        return (prediction - target).abs()


@LOSSES.register("l2")
class L2Loss(PixelLoss):
    """Module of `l2_loss`.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> L2Loss()(truth + 0.5, truth).item()
        0.25
    """

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `l2_loss`."""
        return (prediction - target).square()


@LOSSES.register("charbonnier")
class CharbonnierLoss(PixelLoss):
    """Module of `charbonnier_loss`.

    Args:
        eps: error below which the loss is quadratic.

    Raises:
        ConfigError: eps is not positive.

    Example:
        >>> CharbonnierLoss(eps=0)
        Traceback (most recent call last):
            ...
        revisp.errors.ConfigError: eps of the Charbonnier loss must be positive, got 0
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        if not eps > 0:
            raise ConfigError(f"eps of the Charbonnier loss must be positive, got {eps}")
        self.eps = eps

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `charbonnier_loss`."""
        return torch.sqrt((prediction - target).square() + self.eps**2) - self.eps

    def extra_repr(self) -> str:
        """Show eps when printed."""
        return f"eps={self.eps}"


@LOSSES.register("hard_log")
class HardLogLoss(PixelLoss):
    """Module of `hard_log_loss`.

    Args:
        eps: value below which all values count as equal.

    Raises:
        ConfigError: eps is not positive.

    Example:
        >>> truth = torch.full((1, 3, 4, 4), 0.5)
        >>> HardLogLoss()(truth, truth).item()
        0.0
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        if not eps > 0:
            raise ConfigError(f"eps of the logarithmic loss must be positive, got {eps}")
        self.eps = eps

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `hard_log_loss`."""
        return (prediction.clamp_min(self.eps).log() - target.clamp_min(self.eps).log()).abs()

    def extra_repr(self) -> str:
        """Show eps when printed."""
        return f"eps={self.eps}"
