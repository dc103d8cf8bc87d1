"""Losses of an estimated rendering: how well scene light is regained by a guessed curve, matrix and headroom.

They compare light ``[B, 3, H, W]``, linear, of some pixels of each photo. Each returns one value a photo ``[B]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["curve_error", "departure", "headroom_surprise", "level_error", "match_colours", "matched_error"]

RIDGE = 1e-4
"""Share of the mean power that is added for a matrix to exist."""

WHITE = 0.995
"""Quantile of the brightest channel to which errors are relative."""

DARK = 2e-3
"""Light below which logarithms see no difference."""

SHADOW = 2.0**-6
"""Light, relative to white, below which the departure from a linear response is not measured."""

FIRST_KNOT = 3
"""Knot of the curve from which it is compared: below, noise and black decide."""

LEAST_SPREAD = 0.05


def match_colours(light: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Bring light to the truth by the 3x3 matrix that fits best, and both to the truth's white.

    Args:
        light: ``[B, 3, H, W]``.
        truth: ``[B, 3, H, W]``.
        weight: of each pixel ``[B, 1, H, W]``, in [0, 1].

    Returns:
        The matched light and the truth ``[B, 3, N]``, white 1.

    Example:
        >>> truth, matrix = torch.rand(1, 3, 8, 8), torch.eye(3) + 0.1
        >>> light = torch.einsum("ij,bjhw->bihw", matrix, truth)
        >>> matched, same = match_colours(light, truth, torch.ones(1, 1, 8, 8))
        >>> bool((matched - same).abs().max() < 0.01)
        True
    """
    light, truth, weight = light.flatten(2), truth.flatten(2), weight.flatten(2)
    white = (truth.amax(1) * weight[:, 0]).quantile(WHITE, dim=1).clamp_min(1e-4)
    truth = truth / white[:, None, None]
    power = (light.square() * weight).sum((1, 2)) / (3 * weight.sum((1, 2))).clamp_min(1)
    light = light / power.clamp_min(1e-12).sqrt()[:, None, None]
    within = torch.einsum("bin,bjn->bij", light * weight, light)
    between = torch.einsum("bin,bjn->bij", light * weight, truth)
    ridge = RIDGE * within.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-6
    matrix = torch.linalg.solve(within + ridge * torch.eye(3).to(light), between)
    return matrix.transpose(1, 2) @ light, truth


def matched_error(matched: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared error of the result of `match_colours`: its PSNR is E3.

    Example:
        >>> matched_error(torch.full((1, 3, 4), 0.5), torch.zeros(1, 3, 4), torch.ones(1, 1, 2, 2)).item()
        0.25
    """
    weight = weight.flatten(2)
    return ((matched - truth).square() * weight).sum((1, 2)) / (3 * weight.sum((1, 2))).clamp_min(1)


def departure(matched: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return by how much green departs from a linear response: the deviation of its error in EV.

    Example:
        >>> truth = torch.rand(1, 3, 64) + 0.1
        >>> bool(departure(truth * 2, truth, torch.ones(1, 1, 8, 8)) < 0.02)  # a factor is no departure
        True
    """
    counts = weight.flatten(1) * (truth[:, 1] > SHADOW)
    error = (matched[:, 1].clamp_min(DARK) / truth[:, 1].clamp_min(DARK)).log2()
    total = counts.sum(1).clamp_min(1)
    mean = (error * counts).sum(1) / total
    variance = ((error - mean[:, None]).square() * counts).sum(1) / total
    return (variance + 1e-4).sqrt()


def curve_error(curve: Tensor, truth: Tensor) -> Tensor:
    """Return the mean error of the curve's logarithm, Huber's.

    Args:
        curve: light at evenly spaced sRGB values ``[B, K]``, the first 0.
        truth: ``[B, K]``.

    Example:
        >>> curve = torch.linspace(0, 1, 65)[None]
        >>> curve_error(curve, curve).item()
        0.0
    """
    mine, true = (values[:, FIRST_KNOT:].log() for values in (curve, truth))
    return F.smooth_l1_loss(mine, true, beta=0.2, reduction="none").mean(1)


def level_error(light: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the mean absolute error in EV, exposure and colours included.

    Example:
        >>> truth = torch.full((1, 3, 2, 2), 0.1)
        >>> round(level_error(2 * truth, truth, torch.ones(1, 1, 2, 2)).item(), 3)
        1.0
    """
    error = (light.clamp_min(DARK) / truth.clamp_min(DARK)).log2().abs()
    return (error * weight).mean(1).sum((1, 2)) / weight.sum((1, 2, 3)).clamp_min(1)


def headroom_surprise(excess: Tensor, headroom: Tensor, spread: Tensor, weight: Tensor) -> Tensor:
    """Return the mean surprise (negative log-likelihood, without its constant) at what clipped pixels hold.

    The excess of a pixel is taken for normally distributed.

    Args:
        excess: EV by which pixels exceed the curve's white ``[B, 1, H, W]``.
        headroom: the distribution's mean ``[B]``.
        spread: its standard deviation ``[B]``.
        weight: how clipped pixels are ``[B, 1, H, W]``, in [0, 1].

    Returns:
        ``[B]``; 0 where no pixel is clipped.

    Example:
        >>> excess, clipped = torch.full((1, 1, 2, 2), 1.5), torch.ones(1, 1, 2, 2)
        >>> guesses = torch.tensor([1.5]), torch.tensor([0.5])
        >>> [headroom_surprise(excess, guess, torch.ones(1), clipped).item() for guess in guesses]
        [0.0, 0.5]
    """
    spread = spread.clamp_min(LEAST_SPREAD)[:, None]
    away = (excess.flatten(1) - headroom[:, None]) / spread
    surprise = away.square() / 2 + spread.log()
    counts = weight.flatten(1)
    return (surprise * counts).sum(1) / counts.sum(1).clamp_min(1)
