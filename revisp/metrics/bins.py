"""Signed and root-mean-square error of RAW by the brightness of the truth, for each plane and in total.

A single PSNR does not show where the error is: most samples of a photograph are dark, and few are near white. Sums
run over the samples of all images, so all samples of a bin have equal weight. They are in float64.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from revisp.cfa import CFA
from revisp.errors import ConfigError
from revisp.metrics.base import mark, packed, packed_doubles

__all__ = [
    "BinErrors",
    "BrightnessErrors",
    "Spacing",
    "bin_errors",
    "bin_index",
    "brightness_edges",
    "sum_by_bin",
    "with_total",
]

Spacing = Literal["linear", "log"]


class BinErrors(NamedTuple):
    """Errors by brightness. The five rows are the planes R, Gr, Gb, B, and all together; dtype float64.

    Attributes:
        edges: ``[n+1]``, the bins' limits.
        weight: ``[5,n]``, samples in each bin, counted by their weight in the region.
        bias: ``[5,n]``, mean of prediction minus truth; NaN in an empty bin.
        rmse: ``[5,n]``, root of the mean squared error; NaN in an empty bin.

    Example:
        >>> truth = torch.full((1, 4, 8, 8), 0.25)
        >>> found = bin_errors(truth + 0.5, truth, bins=2)
        >>> found.edges.tolist(), found.weight[-1].tolist(), found.bias[-1].tolist()
        ([0.0, 0.5, 1.0], [256.0, 0.0], [0.5, nan])
    """

    edges: Tensor
    weight: Tensor
    bias: Tensor
    rmse: Tensor


def brightness_edges(bins: int = 10, spacing: Spacing = "linear") -> Tensor:
    """Return the limits of brightness bins in [0,1].

    Args:
        bins: number of bins.
        spacing: ``"linear"``: bins of equal width; ``"log"``: bins of one stop. Their limits are 0 and
            ``2 ** -(bins - 1)`` to 1, and the first bin holds all darker samples.

    Returns:
        ``[bins+1]`` float64, rising from 0 to 1.

    Raises:
        ConfigError: no bins, or unknown spacing.

    Example:
        >>> brightness_edges(4).tolist(), brightness_edges(4, "log").tolist()
        ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.125, 0.25, 0.5, 1.0])
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    if spacing == "linear":
        return torch.arange(bins + 1, dtype=torch.float64) / bins
    if spacing == "log":
        stops = torch.exp2(torch.arange(1 - bins, 1, dtype=torch.float64))
        return torch.cat([stops.new_zeros(1), stops])
    raise ConfigError(f"unknown spacing {spacing!r}: use 'linear' or 'log'")


def bin_index(brightness: Tensor, edges: Tensor) -> Tensor:
    """Return each value's bin. A limit belongs to the bin above it; values outside [0,1] fall in the end bins."""
    return torch.bucketize(brightness, edges[1:-1].to(brightness), right=True)


def sum_by_bin(index: Tensor, bins: int, quantities: list[Tensor]) -> Tensor:
    """Sum quantities by plane and bin.

    Args:
        index: bins ``[B,4,h,w]``.
        bins: number n of bins.
        quantities: k tensors ``[B,4,h,w]``, float64.

    Returns:
        ``[k,4,n]`` float64.
    """
    cell = (index + bins * torch.arange(4, device=index.device).view(4, 1, 1)).flatten()
    sums = [q.new_zeros(4 * bins).index_add_(0, cell, q.flatten()) for q in quantities]
    return torch.stack(sums).view(len(quantities), 4, bins)


def with_total(sums: Tensor) -> Tensor:
    """Append the sum over planes to sums ``[k,4,n]``: ``[k,5,n]``."""
    return torch.cat([sums, sums.sum(dim=1, keepdim=True)], dim=1)


def bin_errors(
    prediction: Tensor,
    target: Tensor,
    region: Tensor | None = None,
    *,
    bins: int = 10,
    spacing: Spacing = "linear",
) -> BinErrors:
    """Return bias and RMS error of a batch by the brightness of the truth.

    Args:
        prediction: packed RAW ``[B,4,h,w]``.
        target: packed RAW ``[B,4,h,w]``; its values sort the samples into bins.
        region: packed weights ``[B,4,h,w]`` in [0,1]; None counts every sample.
        bins: number of bins.
        spacing: as for `brightness_edges`.

    Raises:
        ShapeError: not packed, or of different shapes.
        ConfigError: as `brightness_edges`.

    Example:
        >>> truth = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).expand(2, 4, 8, 8)
        >>> bin_errors(0.5 * truth, truth, bins=2).bias[-1].tolist()  # all planes together
        [-0.125, -0.375]
    """
    edges = brightness_edges(bins, spacing)
    return _errors(edges, _sums(prediction, target, region, edges))


def _sums(prediction: Tensor, target: Tensor, region: Tensor | None, edges: Tensor) -> Tensor:
    """Return the sums ``[3,4,n]`` of the weights, the errors and their squares."""
    prediction, target, weight = packed_doubles(prediction, target, region)
    error = prediction - target
    return sum_by_bin(bin_index(target, edges), len(edges) - 1, [weight, weight * error, weight * error.square()])


def _errors(edges: Tensor, sums: Tensor) -> BinErrors:
    weight, signed, squared = with_total(sums)
    return BinErrors(edges.to(sums), weight, signed / weight, (squared / weight).sqrt())


class BrightnessErrors(Metric):
    """Bias and RMS error by the brightness of the truth: `bin_errors` over all images.

    Range: bias in [-1,1] (0 is best), RMS in [0,1] (lower is better), for RAW in [0,1]. Means are over samples.

    Args:
        bins: number of bins.
        spacing: as for `brightness_edges`.
        cfa: Bayer phase of mosaics; packed RAW needs none.
        **kwargs: arguments of `torchmetrics.Metric`.

    Raises:
        ConfigError: as `brightness_edges`, or not a Bayer phase.

    Example:
        >>> metric = BrightnessErrors(bins=2)
        >>> for level in (0.25, 0.75):
        ...     truth = torch.full((1, 1, 8, 8), level)
        ...     metric.update(truth + 0.125, truth)
        >>> metric.compute().rmse[-1].tolist()
        [0.125, 0.125]
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor

    def __init__(
        self, bins: int = 10, spacing: Spacing = "linear", cfa: CFA | str = CFA.RGGB, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.edges = brightness_edges(bins, spacing)
        self.cfa = CFA.parse(cfa)
        self.add_state("sums", torch.zeros(3, 4, bins, dtype=torch.float64), dist_reduce_fx="sum")
        mark(self, bins, spacing, self.cfa)

    def update(self, prediction: Tensor, target: Tensor, region: Tensor | None = None) -> None:
        """Add a batch of images.

        Args:
            prediction: mosaic ``[B,1,H,W]`` or packed RAW ``[B,4,h,w]``.
            target: of the same form.
            region: weights in [0,1], ``[B,1,H,W]`` or packed ``[B,4,h,w]``; None counts every sample.

        Raises:
            ShapeError: shapes do not fit.
        """
        weight = None if region is None else packed(region, self.cfa)
        sums = _sums(packed(prediction, self.cfa), packed(target, self.cfa), weight, self.edges)
        self.sums += sums.to(self.sums)

    def compute(self) -> BinErrors:
        """Return the errors of all images so far."""
        return _errors(self.edges, self.sums)
