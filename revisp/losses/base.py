"""What all losses share: their registry, their arguments, and what it means to be limited to a region.

A loss maps ``(prediction [B,C,H,W], target [B,C,H,W], weight [B,1,H,W] or None)`` to one scalar. The weight says
how much each pixel counts (0 outside the region, 1 inside, between for a soft mask); None counts every pixel once.

A loss asks for more by its attribute ``needs``, a tuple of names: its ``forward`` gets keyword arguments of them.
Every training has those in `GIVEN`; the others are predictions of some networks. A loss that cannot be built
everywhere says so by a method, see `missing`.

Whatever the precision of training, a loss computes in float32 (float64 stays float64).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from revisp.checks import check_image
from revisp.errors import ShapeError
from revisp.registry import Registry

__all__ = ["GIVEN", "LOSSES", "checked", "create_loss", "drop_empty", "list_losses", "missing", "region_mean"]

LOSSES: Registry[None] = Registry("loss", group="revisp.losses")
"""Losses by name; another distribution adds its own by an entry point of the group ``revisp.losses``."""

GIVEN = frozenset({"srgb", "cfa"})
"""What a loss may ask for in every training: the photos ``[B,3,H,W]``, and the Bayer phase of the RAW, a `CFA`."""


def create_loss(name: str, **kwargs: Any) -> nn.Module:
    """Build the loss of that name.

    Args:
        name: one of `list_losses`.
        **kwargs: the loss's own settings; None means unset.

    Raises:
        UnknownNameError: no such loss; near misses are named.
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
    """Say why a loss cannot be built on this machine; None if it can.

    The class of a loss that needs more than its package, such as a file of weights, has a static method
    ``missing(**settings)``, which returns the reason or None. A loss without the method can always be built.

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
    return prediction.to(dtype), target.to(dtype), weight


def drop_empty(prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Leave out the samples whose region is empty: they add nothing, and a costly loss need not look at them.

    Most photos have no overexposed pixel, so this often leaves none: an empty batch, still attached to the graph.
    """
    if weight is None:
        return prediction, target, weight
    keep = weight.flatten(1).any(dim=1)
    if bool(keep.all()):
        return prediction, target, weight
    return prediction[keep], target[keep], weight[keep]


def region_mean(error: Tensor, weight: Tensor | None) -> Tensor:
    """Average an error over the region of each sample, then over the samples that have one.

    A sample's mean is ``sum(weight · error) / (sum(weight) · C)``: every sample with a region counts alike, as in
    the scores, so that a blown-out sky does not outvote small highlights. A batch without any region gives exactly
    0, still attached to the graph of ``error``.

    Args:
        error: ``[B,C,H,W]``, finite.
        weight: ``[B,1,H,W]``, not negative, or None for the plain mean.

    Returns:
        A scalar.
    """
    if weight is None:
        return error.mean()
    area = weight.sum(dim=(1, 2, 3))
    means = (weight * error).sum(dim=(1, 2, 3)) / (area * error.shape[1]).clamp_min(torch.finfo(error.dtype).tiny)
    return means.sum() / (area > 0).sum().clamp_min(1)
