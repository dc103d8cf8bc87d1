"""LPIPS of developed RAW: the perceptual difference of two reconstructions, by features of an ImageNet network.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018).
`revisp.losses.perceptual.LPIPSLoss` finds and loads its weights. It is an argument of the functions here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from revisp.checks import check_same_size
from revisp.errors import ConfigError, ShapeError
from revisp.metrics.picture import picture, picture_weight

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile

__all__ = ["developed_lpips"]


def developed_lpips(
    prediction: Tensor,
    target: Tensor,
    profile: CameraProfile,
    lpips: nn.Module | None,
    region: Tensor | None = None,
    *,
    exposure: float = 0.0,
) -> Tensor:
    """Return the LPIPS of each pair of developed pictures.

    Both RAWs are developed in the same way (`revisp.metrics.picture.picture`: packed RAW and mosaics at half
    size). The network computes in float32. `LPIPSLoss` blackens the pictures outside a region and averages each
    layer's distances over it.

    Args:
        prediction: demosaiced RAW ``[B,3,H,W]``, packed RAW ``[B,4,h,w]`` or mosaic ``[B,1,H,W]``.
        target: of the same form.
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

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.losses import L1Loss  # use LPIPSLoss() if you have its weights
        >>> raw = torch.rand(2, 4, 32, 32)
        >>> developed_lpips(raw, raw, SIMULATED.profile, L1Loss()).tolist()
        [0.0, 0.0]
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


def _present(lpips: nn.Module | None) -> nn.Module:
    if lpips is None:
        raise ConfigError(
            "LPIPS of developed RAW needs the network: give LPIPSLoss(), or where "
            "revisp.losses.perceptual.find_trunk finds no trunk, LPIPSLoss(trunk=FILE)"
        )
    return lpips
