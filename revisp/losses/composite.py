"""Composed losses: a weighted sum, the loss of one branch, of both branches, and of a plain network.

Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM 2022) trains one
network for overexposed and one for other pixels, each against the ground truth of its own region.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from revisp.checks import check_image, check_same_size
from revisp.errors import ConfigError
from revisp.losses.base import PixelLoss, create_loss
from revisp.losses.domain import to_gamma

__all__ = ["BranchLoss", "FusionLoss", "LossResult", "PlainLoss", "WeightedSum"]

Terms = Mapping[str, "float | Mapping[str, Any] | None"]
Context = Mapping[str, Any]
"""Inputs that losses may need: those that are always `GIVEN`, and further predictions of networks."""


class LossResult(NamedTuple):
    """The result of a composed loss.

    Attributes:
        total: the scalar to minimise.
        terms: value of every term without its weight, detached, for logging.

    Example:
        >>> import torch
        >>> result = WeightedSum({"l1": 0.5})(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
        >>> result.total.item(), result.terms["l1"].item()
        (0.5, 1.0)
    """

    total: Tensor
    terms: dict[str, Tensor]


class WeightedSum(nn.Module):
    """Sum of registered losses, each times its weight.

    Args:
        terms: name of each loss mapped to its weight, or to a mapping of ``weight`` (default 1) and the loss's own
            settings, as in YAML: ``{"l1": 1.0, "ms_ssim_l1": {"weight": 0.1, "alpha": 0.025}}``.
            A weight of 0, or None for a term, leaves it out.

    Raises:
        UnknownNameError: no loss of that name.
        ConfigError: a weight is negative or not a number, a setting is unknown, or no term is left.

    Example:
        >>> import torch
        >>> loss = WeightedSum({"l1": 1.0, "l2": {"weight": 4.0}, "ssim": None})
        >>> loss(torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)).total.item()
        1.5
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        losses = {}
        for name, value in terms.items():
            settings = dict(value) if isinstance(value, Mapping) else {"weight": 0.0 if value is None else value}
            weight = _check_weight(settings.pop("weight", 1.0), f"loss {name!r}")
            if weight > 0:
                losses[name] = create_loss(name, **settings)
                self.weights[name] = weight
        if not losses:
            raise ConfigError(f"a loss needs at least one term with a positive weight, got {dict(terms)}")
        self.losses = nn.ModuleDict(losses)

    @property
    def needs(self) -> frozenset[str]:
        """Names of the inputs that the losses need in addition to prediction and target."""
        return frozenset(need for loss in self.losses.values() for need in getattr(loss, "needs", ()))

    def forward(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None, context: Context | None = None
    ) -> LossResult:
        """Compare within a region.

        Args:
            prediction: ``[B,C,H,W]``.
            target: ``[B,C,H,W]``.
            weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
            context: further inputs that the losses need, by name.

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
            ConfigError: the context lacks an input that a loss needs.
        """
        return self.over(prediction, target, [weight], context)[0]

    def over(
        self,
        prediction: Tensor,
        target: Tensor,
        weights: Sequence[Tensor | None],
        context: Context | None = None,
    ) -> list[LossResult]:
        """Compare within several regions; what does not depend on the region is computed once.

        Args:
            prediction: ``[B,C,H,W]``.
            target: ``[B,C,H,W]``.
            weights: of each region ``[B,1,H,W]`` in [0,1], or None for all pixels.
            context: further inputs that the losses need, by name.

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
            ConfigError: the context lacks an input that a loss needs.
        """
        context = context or {}
        values: dict[str, list[Tensor]] = {}
        for name, loss in self.losses.items():
            needs = getattr(loss, "needs", ())
            if missing := [need for need in needs if need not in context]:
                raise ConfigError(f"the loss {name!r} needs {missing[0]!r}, which was not given")
            if isinstance(loss, PixelLoss):
                values[name] = loss.over(prediction, target, weights)
            else:
                given = {need: context[need] for need in needs}
                values[name] = [loss(prediction, target, weight, **given) for weight in weights]
        return [self._sum({name: each[at] for name, each in values.items()}) for at in range(len(weights))]

    def _sum(self, values: Mapping[str, Tensor]) -> LossResult:
        total = _add([self.weights[name] * value for name, value in values.items()])
        return LossResult(total, {name: value.detach() for name, value in values.items()})

    @property
    def sources(self) -> dict[str, str]:
        """Source of the weights of each loss that has an attribute ``source``, as text by the name of the loss."""
        return {name: str(loss.source) for name, loss in self.losses.items() if hasattr(loss, "source")}

    def extra_repr(self) -> str:
        """Show the weights when printed."""
        return f"weights={self.weights}"


class BranchLoss(nn.Module):
    """Loss of one branch: within its region, plus a small part over the full image for plausible values there.

    Args:
        terms: terms of the `WeightedSum`.
        domain: "gamma" compares after `to_gamma`, "linear" compares RAW values as they are.
        gamma: exponent of the gamma domain.
        full_image: weight of the same sum over all pixels; with 0, pixel losses give no gradient outside the
            region.

    Raises:
        ConfigError: an unknown domain, a gamma below 1, a negative weight, or as `WeightedSum`.

    Example:
        >>> import torch
        >>> loss = BranchLoss({"l1": 1.0}, domain="linear", full_image=0.0)
        >>> region = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)  # only the left pixel counts
        >>> prediction = torch.tensor([0.5, 9.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
        >>> loss(prediction, torch.zeros(1, 3, 1, 2), region).total.item()
        0.5
    """

    def __init__(
        self,
        terms: Terms,
        domain: Literal["gamma", "linear"] = "gamma",
        gamma: float = 2.2,
        full_image: float = 0.1,
    ) -> None:
        super().__init__()
        self.terms = WeightedSum(terms)
        _check_domain(domain, gamma, self.terms)
        self.domain = domain
        self.gamma = gamma
        self.full_image = _check_weight(full_image, "full_image")

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        region: Tensor,
        valid: Tensor | None = None,
        context: Context | None = None,
    ) -> LossResult:
        """Compare one branch with the ground truth.

        Args:
            prediction: ``[B,3,H,W]``, linear RAW, unclamped.
            target: ``[B,3,H,W]``, linear RAW in [0,1].
            region: ``[B,1,H,W]`` in [0,1], the branch's own pixels: the mask for OE, one minus it for NOE. Samples
                without such pixels add only their full-image part.
            valid: ``[B,1,H,W]`` in [0,1], 0 where a pixel counts neither in the region nor in the full image; None
                counts all.
            context: further inputs that the losses need, by name.

        Returns:
            Terms are named as in ``terms``; those over all pixels as "full/l1".

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
        """
        for image, name in ((prediction, "prediction"), (target, "target")):
            check_image(image, image.shape[1] if image.ndim == 4 else 3, name)
        if self.domain == "gamma":
            prediction, target = to_gamma(prediction, self.gamma), to_gamma(target, self.gamma)
        weights = [region if valid is None else region * valid, *([valid] if self.full_image else [])]
        (total, terms), *others = self.terms.over(prediction, target, weights, context)
        for full in others:
            total = total + self.full_image * full.total
            terms = {**terms, **{f"full/{name}": value for name, value in full.terms.items()}}
        return LossResult(total, terms)

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"domain={self.domain!r}, gamma={self.gamma}, full_image={self.full_image}"


class FusionLoss(nn.Module):
    """Losses of both branches, each within its region.

    Args:
        oe: loss of the overexposed branch.
        noe: loss of the branch for all other pixels.
        oe_weight: factor of ``oe``.
        noe_weight: factor of ``noe``.

    Raises:
        ConfigError: a negative weight.

    Example:
        >>> import torch
        >>> branch = BranchLoss({"l1": 1.0}, domain="linear", full_image=0.0)
        >>> loss, mask = FusionLoss(branch, branch), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
        >>> oe, noe, truth = torch.full((1, 3, 1, 2), 0.25), torch.full((1, 3, 1, 2), 0.5), torch.zeros(1, 3, 1, 2)
        >>> {name: value.item() for name, value in loss(oe, noe, truth, mask).terms.items()}
        {'oe/l1': 0.25, 'noe/l1': 0.5}
    """

    def __init__(self, oe: BranchLoss, noe: BranchLoss, oe_weight: float = 1.0, noe_weight: float = 1.0) -> None:
        super().__init__()
        self.oe = oe
        self.noe = noe
        self.oe_weight = _check_weight(oe_weight, "oe_weight")
        self.noe_weight = _check_weight(noe_weight, "noe_weight")

    @property
    def needs(self) -> frozenset[str]:
        """Names of the inputs that the losses need in addition to prediction and target."""
        return self.oe.terms.needs | self.noe.terms.needs

    def forward(
        self,
        oe_prediction: Tensor,
        noe_prediction: Tensor,
        target: Tensor,
        mask: Tensor,
        valid: Tensor | None = None,
        context: Mapping[str, Context] | None = None,
        *,
        noe_target: Tensor | None = None,
    ) -> LossResult:
        """Compare both branches with the ground truth.

        Args:
            oe_prediction: ``[B,3,H,W]``, linear RAW, unclamped.
            noe_prediction: ``[B,3,H,W]``, linear RAW, unclamped.
            target: ``[B,3,H,W]``, linear RAW in [0,1].
            mask: ``[B,1,H,W]`` in [0,1], 1 = overexposed.
            valid: ``[B,1,H,W]`` in [0,1], 0 where a pixel does not count; None counts all.
            context: further inputs that the losses of each branch need, by ``"oe"`` and ``"noe"``.
            noe_target: ``[B,3,H,W]``, of the other branch than OE, where it is not the same; None: ``target``.

        Returns:
            Terms are named by branch: "oe/l1", "noe/full/ms_ssim_l1".

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
        """
        check_image(mask, 1, "mask")
        if valid is not None:
            check_image(valid, 1, "valid")
            check_same_size(valid, mask, ("valid", "mask"))
            valid = _needed(valid)
        context = context or {}
        oe = self.oe(oe_prediction, target, mask, valid, context.get("oe"))
        noe_target = target if noe_target is None else noe_target
        noe = self.noe(noe_prediction, noe_target, 1 - mask, valid, context.get("noe"))
        terms = {f"oe/{name}": value for name, value in oe.terms.items()}
        terms |= {f"noe/{name}": value for name, value in noe.terms.items()}
        return LossResult(self.oe_weight * oe.total + self.noe_weight * noe.total, terms)

    def extra_repr(self) -> str:
        """Show the weights when printed."""
        return f"oe_weight={self.oe_weight}, noe_weight={self.noe_weight}"


class PlainLoss(nn.Module):
    """Loss of a plain network, over all pixels.

    Args:
        terms: terms of the `WeightedSum`.
        target: ``"bayer"`` compares packed Bayer planes, as published methods do. ``"raw_rgb"`` compares
            demosaiced RAW; it does not work with a network that predicts Bayer planes.
        domain: as for `BranchLoss`.
        gamma: as for `BranchLoss`.

    Raises:
        ConfigError: an unknown target, or as `BranchLoss`.

    Example:
        >>> import torch
        >>> loss = PlainLoss({"l1": 1.0}, domain="linear")
        >>> loss(torch.full((1, 4, 8, 8), 0.25), torch.zeros(1, 4, 8, 8)).total.item()
        0.25
    """

    def __init__(
        self,
        terms: Terms,
        target: Literal["bayer", "raw_rgb"] = "bayer",
        domain: Literal["gamma", "linear"] = "gamma",
        gamma: float = 2.2,
    ) -> None:
        super().__init__()
        if target not in ("bayer", "raw_rgb"):
            raise ConfigError(f"unknown target {target!r} of the plain loss: use 'bayer' or 'raw_rgb'")
        self.terms = WeightedSum(terms)
        _check_domain(domain, gamma, self.terms)
        self.target = target
        self.domain = domain
        self.gamma = gamma

    @property
    def needs(self) -> frozenset[str]:
        """Names of the inputs that the losses need in addition to prediction and target."""
        return self.terms.needs

    def forward(
        self, prediction: Tensor, target: Tensor, valid: Tensor | None = None, context: Context | None = None
    ) -> LossResult:
        """Compare a prediction with the ground truth.

        Args:
            prediction: packed planes ``[B,4,H/2,W/2]`` or demosaiced RAW ``[B,3,H,W]``, linear, unclamped.
            target: of the same shape, in [0,1].
            valid: one channel of the same size, in [0,1], 0 where a pixel does not count; None counts all.
            context: further inputs that the losses need, by name.

        Raises:
            ShapeError: shapes do not fit, or an integer tensor.
        """
        if valid is not None:
            check_image(valid, 1, "valid")
            valid = _needed(valid)
        if self.domain == "gamma":
            prediction, target = to_gamma(prediction, self.gamma), to_gamma(target, self.gamma)
        result: LossResult = self.terms(prediction, target, valid, context)
        return result

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"target={self.target!r}, domain={self.domain!r}, gamma={self.gamma}"


def _check_domain(domain: str, gamma: float, terms: WeightedSum) -> None:
    if domain not in ("gamma", "linear"):
        raise ConfigError(f"unknown loss domain {domain!r}: use 'gamma' or 'linear'")
    if not gamma >= 1:
        raise ConfigError(f"gamma of a loss must be at least 1, got {gamma}")
    linear = [name for name, loss in terms.losses.items() if getattr(loss, "linear", False)]
    if domain == "gamma" and linear:
        raise ConfigError(f"the loss {linear[0]!r} is defined on linear RAW: set the domain to 'linear'")


def _check_weight(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(f"the weight of {what} must be a finite number, not negative, got {value!r}")
    return float(value)


def _needed(valid: Tensor) -> Tensor | None:
    """Return None for a map of valid pixels only: plain means round a little less. A GPU would be waited for."""
    return None if valid.device.type == "cpu" and bool((valid == 1).all()) else valid


def _add(values: list[Tensor]) -> Tensor:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
