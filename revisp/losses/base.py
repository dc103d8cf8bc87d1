"""Shared parts of all losses: the registry, the arguments, and the mean over a region.

A loss maps ``(prediction [B,C,H,W], target [B,C,H,W], weight [B,1,H,W] or None)`` to one scalar. The weight is 0
for pixels outside the region and 1 inside; a soft mask has values between. None weights every pixel by 1.

A loss may ask for more inputs by its attribute ``needs``, a tuple of names. Its ``forward`` gets them as keyword
arguments. Every training has the inputs in `GIVEN`; the others are predictions of some networks. A loss that
cannot be built on every machine has a method that gives the reason, see `missing`.

A loss computes in float32 at every precision of training (float64 stays float64).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from revisp.checks import check_image
from revisp.errors import ShapeError
from revisp.registry import Registry

__all__ = [
    "GIVEN",
    "LOSSES",
    "PixelLoss",
    "checked",
    "create_loss",
    "drop_empty",
    "list_losses",
    "missing",
    "region_mean",
]

LOSSES: Registry[None] = Registry("loss", group="revisp.losses")
"""Losses by name. Another distribution adds losses by an entry point of the group ``revisp.losses``."""

GIVEN = frozenset({"srgb", "cfa"})
"""Inputs that every training has: the photos ``[B,3,H,W]``, and the Bayer phase of the RAW, a `CFA`."""


def create_loss(name: str, **kwargs: Any) -> nn.Module:
    """Build a loss by name.

    Args:
        name: one of `list_losses`.
        **kwargs: the loss's own settings; None means unset.

    Raises:
        UnknownNameError: no such loss; the message suggests similar names.
        ConfigError: the loss does not take these settings.

    Example:
        >>> create_loss("charbonnier", eps=0.01)
        CharbonnierLoss(eps=0.01)
    """
    loss: nn.Module = LOSSES.create(name, **kwargs)
    return loss


def list_losses(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern, sorted.

    Example:
        >>> list_losses("l?")
        ['l1', 'l2']
    """
    return LOSSES.names(pattern)


def missing(name: str, settings: Mapping[str, Any]) -> str | None:
    """Return the reason why a loss cannot be built on this machine; None if it can.

    A loss that needs more than its package, such as a file of weights, has a static method
    ``missing(**settings)`` that returns the reason or None. A loss without this method can always be built.

    Args:
        name: one of `list_losses`.
        settings: the loss's own settings.

    Raises:
        UnknownNameError: no such loss; near misses are named.
        ConfigError: a setting is wrong.
        WeightsError: a file that a setting names is missing.

    Example:
        >>> missing("l1", {}) is None
        True
    """
    ask: Callable[..., str | None] | None = getattr(LOSSES.get(name), "missing", None)
    return None if ask is None else ask(**settings)


def checked(prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check a loss's arguments and bring them to one precision, float32 or better.

    Raises:
        ShapeError: prediction and target are not floating ``[B,C,H,W]`` of one shape, or weight is not
            ``[B,1,H,W]``.
    """
    if prediction.ndim != 4 or prediction.shape != target.shape:
        raise ShapeError(
            "prediction and target of a loss must share one shape [B, C, H, W], "
            f"got {list(prediction.shape)} and {list(target.shape)}"
        )
    check_image(prediction, prediction.shape[1], "prediction")
    check_image(target, target.shape[1], "target")
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    if weight is not None:
        check_image(weight, 1, "weight")
        if weight.shape != (prediction.shape[0], 1, *prediction.shape[2:]):
            raise ShapeError(
                f"weight of a loss must have shape [B, 1, H, W] to fit {list(prediction.shape)}, "
                f"got {list(weight.shape)}"
            )
        weight = weight.to(dtype)
    # Channel by channel: a weight of one channel is many times slower to apply to pixels of three.
    prediction, target = (x.to(dtype, memory_format=torch.contiguous_format) for x in (prediction, target))
    return prediction, target, weight


def drop_empty(prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Leave out the samples with an empty region, on a CPU: they add nothing to a loss, and may be costly.

    Most photos have no overexposed pixel, so the result is often an empty batch. It is still attached to the
    graph. Other devices keep all samples: to ask them which are empty, the program would wait for all their work.
    """
    if weight is None or weight.device.type != "cpu":
        return prediction, target, weight
    keep = weight.flatten(1).any(dim=1)
    if bool(keep.all()):
        return prediction, target, weight
    return prediction[keep], target[keep], weight[keep]


def region_mean(error: Tensor, weight: Tensor | None) -> Tensor:
    """Average an error over the region of each sample, then over the samples that have one.

    A sample's mean is ``sum(weight · error) / (sum(weight) · C)``. As in the scores, every sample with a region
    has the same weight, so that a blown-out sky does not outweigh small highlights. A batch without any region
    gives exactly 0, still attached to the graph of ``error``.

    Args:
        error: ``[B,C,H,W]``, finite.
        weight: ``[B,1,H,W]``, not negative, or None for the plain mean.

    Returns:
        A scalar.
    """
    if weight is None:
        return error.mean()
    area = weight.sum(dim=(1, 2, 3))
    sums = (weight * error.sum(dim=1, keepdim=True)).sum(dim=(1, 2, 3))
    means = sums / (area * error.shape[1]).clamp_min(torch.finfo(error.dtype).tiny)
    return means.sum() / (area > 0).sum().clamp_min(1)


class PixelLoss(nn.Module):
    """A loss that is the mean, over a region, of an error of single pixels. A subclass defines `error`."""

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the error of each value, ``[B,C,H,W]``, of a prediction and a target ``[B,C,H,W]`` in float32."""
        raise NotImplementedError

    def over(self, prediction: Tensor, target: Tensor, weights: Sequence[Tensor | None]) -> list[Tensor]:
        """Return the loss over several regions; the error is computed once.

        Args:
            prediction: ``[B,C,H,W]``.
            target: ``[B,C,H,W]``.
            weights: of each region ``[B,1,H,W]``, or None for all pixels.

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
        """
        regions = []
        for weight in weights:
            prediction, target, region = checked(prediction, target, weight)
            regions.append(region)
        error = self.error(prediction, target).sum(dim=1, keepdim=True) / prediction.shape[1]
        return [region_mean(error, region) for region in regions]

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss over one region, a scalar; 0 if the region is empty. Arguments are those of `over`."""
        return self.over(prediction, target, [weight])[0]
