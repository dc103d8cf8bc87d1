"""LPIPS of developed RAW: how different two reconstructions look, by the features of an ImageNet network.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018). Its weights are
found and loaded by `revisp.losses.perceptual.LPIPSLoss`, which is given to the functions here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from revisp.checks import check_same_size
from revisp.errors import ConfigError, ShapeError
from revisp.metrics.base import MeanOverImages
from revisp.metrics.picture import picture, picture_weight

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile

__all__ = ["DevelopedLPIPS", "developed_lpips"]


def developed_lpips(
    prediction: Tensor,
    target: Tensor,
    profile: CameraProfile,
    lpips: nn.Module | None,
    region: Tensor | None = None,
    *,
    exposure: float = 0.0,
) -> Tensor:
    """LPIPS of each pair of developed pictures.

    Both RAWs are developed alike (`revisp.metrics.picture.picture`: packed RAW and mosaics at half size). The
    network computes in float32. `LPIPSLoss` blackens the pictures outside a region and averages each layer's
    distances over it.

    Args:
        prediction: demosaiced RAW ``[B,3,H,W]``, packed RAW ``[B,4,h,w]`` or mosaic ``[B,1,H,W]``.
        target: the same.
        profile: the camera that develops.
        lpips: a `revisp.losses.perceptual.LPIPSLoss`, or another module that maps a prediction, a target, and a
            weight or None to a scalar.
        region: weights in [0,1], ``[B,1,H,W]`` or packed ``[B,4,h,w]``; None counts all.
        exposure: stops to brighten by.

    Returns:
        ``[B]`` float64, at least 0; lower is better; NaN where the region is empty.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: lpips is None.
    """
    network = _present(lpips)
    first, second = (picture(raw.float(), profile, exposure) for raw in (prediction, target))
    check_same_size(first, second, ("prediction", "target"))
    if len(first) != len(second):
        raise ShapeError(f"prediction and target differ in number: {len(first)} and {len(second)}")
    weight = picture_weight(region, first, profile)
    scores = []
    for i in range(len(first)):
        own = None if weight is None else weight[i : i + 1].float()
        if own is not None and not own.any():
            scores.append(torch.tensor(float("nan"), dtype=torch.float64))
        else:
            scores.append(network(first[i : i + 1], second[i : i + 1], own).double().cpu())
    return torch.stack(scores) if scores else torch.empty(0, dtype=torch.float64)


class DevelopedLPIPS(MeanOverImages):
    """Mean over images of `developed_lpips`. Range: at least 0, 0 for equal pictures; lower is better.

    Args:
        profile: the camera that develops.
        lpips: the network, as for `developed_lpips`; it moves with the metric.
        exposure: stops to brighten by.
        **kwargs: what `torchmetrics.Metric` takes.

    Raises:
        ConfigError: lpips is None.
    """

    higher_is_better = False

    def __init__(
        self, profile: CameraProfile, lpips: nn.Module | None, exposure: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(settings=(profile, exposure), **kwargs)
        self.profile = profile
        self.lpips = _present(lpips)
        self.exposure = exposure

    def score(self, prediction: Tensor, target: Tensor, region: Tensor | None) -> Tensor:
        """Score each image."""
        return developed_lpips(prediction, target, self.profile, self.lpips, region, exposure=self.exposure)

    def update(self, prediction: Tensor, target: Tensor, region: Tensor | None = None) -> None:
        """Add a batch of images, as given to `developed_lpips`.

        Raises:
            ShapeError: shapes do not fit.
        """
        prediction, target = prediction.to(self.device), target.to(self.device)
        region = None if region is None else region.to(self.device)
        self.add(self.score(prediction, target, region), region)


def _present(lpips: nn.Module | None) -> nn.Module:
    if lpips is None:
        raise ConfigError(
            "LPIPS of developed RAW needs the network: give LPIPSLoss(), or where "
            "revisp.losses.perceptual.find_trunk finds no trunk, LPIPSLoss(trunk=FILE)"
        )
    return lpips
