"""Shared parts of the scores: packed planes in double precision, and the mean of a score over images."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from revisp.cfa import CFA, pack
from revisp.checks import check_image
from revisp.errors import ShapeError

__all__ = ["MeanOverImages", "double", "mark", "packed", "packed_doubles", "weighted_mean"]


def double(x: Tensor) -> Tensor:
    """Return a tensor in float64: on its own device, or on the CPU for MPS, which has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def packed(x: Tensor, cfa: CFA = CFA.RGGB) -> Tensor:
    """Pack a mosaic ``[B,1,H,W]``, and return anything else as it is.

    Scores that do not depend on the order of the planes need no phase.
    """
    return pack(x, cfa) if x.ndim == 4 and x.shape[1] == 1 else x


def packed_doubles(prediction: Tensor, target: Tensor, region: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Check packed RAW and its region, and return all three in float64; None as a region becomes ones.

    Args:
        prediction: packed RAW ``[B,4,h,w]``.
        target: packed RAW ``[B,4,h,w]``.
        region: packed weights ``[B,4,h,w]`` in [0,1], or None.

    Raises:
        ShapeError: not packed, not floating point, or of different shapes.
    """
    region = torch.ones_like(prediction) if region is None else region
    doubles = []
    for x, name in ((prediction, "prediction"), (target, "target"), (region, "region")):
        check_image(x, 4, name)
        if x.ndim != 4 or x.shape != prediction.shape:
            raise ShapeError(f"{name} must be packed RAW {list(prediction.shape)}, got {list(x.shape)}")
        doubles.append(double(x))
    return doubles[0], doubles[1], doubles[2]


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Average over all axes but the batch; NaN (0/0) where all weights are 0."""
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)


def mark(metric: Metric, *settings: object) -> None:
    """Give a metric a state that is never read, named after its class and settings.

    A ``MetricCollection`` merges metrics with equal states. PSNR and SSIM have equal states while no image has had
    the region, and two settings of one metric while all errors are 0. The name separates them.
    """
    name = f"is_{type(metric).__name__}_{zlib.crc32(repr(settings).encode()):08x}"
    metric.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")


class MeanOverImages(Metric):
    """Mean of a score over images. Images with an empty region do not count; other images that score NaN do.

    Sums are added over processes.

    Args:
        precision: dtype of the sums; None takes the class's `sums`.
        **kwargs: arguments of `torchmetrics.Metric`.

    Attributes:
        sums: dtype of the sums by default.
        border: pixels at each side that the score leaves out.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    sums = torch.float64
    border = 0
    total: Tensor
    count: Tensor

    def __init__(self, *, precision: torch.dtype | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = precision or self.sums
        self.add_state("total", torch.tensor(0.0, dtype=dtype), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0, dtype=dtype), dist_reduce_fx="sum")
        mark(self)

    @abstractmethod
    def score(self, prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
        """Score each image; all arguments are packed."""

    def update(self, prediction: Tensor, target: Tensor, region: Tensor | None = None) -> None:
        """Add a batch of images.

        Args:
            prediction: Bayer mosaic ``[B,1,H,W]`` or packed RAW ``[B,4,h,w]``, in [0,1].
            target: of the same form.
            region: weights in [0,1], ``[B,1,H,W]`` at full resolution or packed ``[B,4,h,w]``; None counts every
                sample.

        Raises:
            ShapeError: shapes do not fit.
        """
        weight = None if region is None else packed(region)
        self.add(self.score(packed(prediction), packed(target), weight), weight)

    def add(self, scores: Tensor, weight: Tensor | None) -> None:
        """Add the scores ``[B]`` of images whose weight ``[B,C,h,w]``, less the border, is not 0 throughout."""
        known = torch.ones_like(scores, dtype=torch.bool)
        if weight is not None:
            inner = slice(self.border, -self.border or None)
            known = (weight[..., inner, inner] > 0).flatten(1).any(1).to(known.device)
        self.total += scores[known].sum().to(self.total)
        self.count += known.sum().to(self.count)

    def compute(self) -> Tensor:
        """Return the mean; NaN if no image had the region."""
        return self.total / self.count
