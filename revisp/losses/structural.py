"""Losses that compare neighbourhoods: SSIM, and multi-scale SSIM with L1.

For a region, prediction and target are first multiplied by the weight, so that pixels outside have no effect. Then
the map of dissimilarity is averaged over the region's pixels. It is not averaged over the wider support of their
windows, because a large window would dilute a small region. A window at the region's edge contains zeros in both
images, as at the image's edge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from revisp.losses.base import LOSSES, checked, drop_empty, region_mean
from revisp.losses.gaussian import blur, fast_layout

__all__ = ["MSSSIML1Loss", "SSIMLoss", "ms_ssim_l1_loss", "ms_ssim_l1_map", "ssim_loss", "ssim_map"]

C1 = 0.01**2
C2 = 0.03**2
SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
MS_WINDOW = 33


def _moments(x: Tensor, y: Tensor) -> Tensor:
    """Stack the quantities that SSIM averages over its windows: x, y, x² + y² and xy."""
    return fast_layout(torch.cat([x, y, x * x + y * y, x * y], dim=1))


def _luminance_and_structure(moments: Tensor, sigma: float, size: int) -> tuple[Tensor, Tensor]:
    """Return the two factors of SSIM, l and cs, each ``[B,C,H,W]`` (Wang et al., 2004, equations 6, 9 and 10)."""
    averages = blur(moments, sigma, size)
    mean_x, mean_y, mean_squares, mean_product = averages.chunk(4, dim=1)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    luminance = (2 * product + C1) / (squares + C1)
    structure = (2 * (mean_product - product) + C2) / (mean_squares - squares + C2)
    return luminance, structure


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity at every pixel (Wang et al., IEEE TIP 2004, equation 13).

    Window 11×11, Gaussian of σ = 1.5, zero padding, C1 = 1e-4, C2 = 9e-4 (data range 1), population covariance.

    Args:
        x: ``[B,C,H,W]`` in [0,1].
        y: ``[B,C,H,W]`` in [0,1].

    Returns:
        ``[B,C,H,W]`` in [-1,1]; 1 where the neighbourhoods are identical.
    """
    luminance, structure = _luminance_and_structure(_moments(x, y), 1.5, 11)
    return luminance * structure


def ms_ssim_l1_map(x: Tensor, y: Tensor, *, alpha: float = 0.025) -> Tensor:
    """Return multi-scale SSIM mixed with L1 at every pixel (Zhao et al., IEEE TCI 2017, equations 12-13).

    ``α·(1 − l·cs) + (1 − α)·mean_c(G₈ * |x − y|)`` with l the product over channels of the luminance factor at
    σ = 8 and cs the product over channels and σ in {0.5, 1, 2, 4, 8} of the contrast-structure factor. All windows
    are 33 pixels wide with zero padding 16, K = (0.01, 0.03), data range 1. The scales are windows of different σ
    on one resolution, not a pyramid, and no factor has an exponent, so negative correlation is harmless.

    Args:
        x: ``[B,C,H,W]`` in [0,1].
        y: ``[B,C,H,W]`` in [0,1].
        alpha: share of the structural part, in [0,1].

    Returns:
        ``[B,1,H,W]``, not negative for images within [0,1].
    """
    moments = _moments(x, y)
    similarity, structure = _luminance_and_structure(moments, SIGMAS[-1], MS_WINDOW)
    similarity = similarity * structure
    for sigma in SIGMAS[:-1]:
        similarity = similarity * _luminance_and_structure(moments, sigma, MS_WINDOW)[1]
    similarity = functools.reduce(torch.mul, similarity.split(1, dim=1))
    distance = blur((x - y).abs(), SIGMAS[-1], MS_WINDOW).mean(dim=1, keepdim=True)
    return alpha * (1 - similarity) + (1 - alpha) * distance


def ssim_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return one minus the mean of `ssim_map` over the region.

    Args:
        prediction: ``[B,C,H,W]``, meant for [0,1].
        target: ``[B,C,H,W]`` in [0,1].
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.

    Returns:
        A scalar in [0,2]; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> picture = torch.rand(1, 3, 16, 16)
        >>> ssim_loss(picture, picture).item() < 1e-5 < ssim_loss(picture, 1 - picture).item()
        True
    """
    return _mean_of_map(lambda x, y: 1 - ssim_map(x, y), prediction, target, weight)


def ms_ssim_l1_loss(
    prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, alpha: float = 0.025, scale: float = 1.0
) -> Tensor:
    """Return the mean of `ms_ssim_l1_map` over the region, times ``scale``.

    Args:
        prediction: ``[B,C,H,W]``, meant for [0,1].
        target: ``[B,C,H,W]`` in [0,1].
        weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.
        alpha: share of the structural part, in [0,1].
        scale: overall factor. The released code of the AIM 2022 entry has 200. With 1 the loss has the size of an
            L1 loss, so that the weights of a sum are comparable.

    Returns:
        A scalar; 0 if the region is empty.

    Raises:
        ShapeError: shapes do not fit, or an integer tensor.

    Example:
        >>> picture = torch.rand(1, 3, 40, 40)
        >>> ms_ssim_l1_loss(picture, picture).item() < 1e-5 < ms_ssim_l1_loss(picture, 1 - picture).item()
        True
    """
    return scale * _mean_of_map(functools.partial(ms_ssim_l1_map, alpha=alpha), prediction, target, weight)


def _mean_of_map(
    error_map: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor, weight: Tensor | None
) -> Tensor:
    """Average a map of errors over the region; both pictures are set to black outside it."""
    prediction, target, weight = drop_empty(*checked(prediction, target, weight))
    if not len(prediction):
        return prediction.sum()
    with torch.autocast(prediction.device.type, enabled=False):
        if weight is None:
            return region_mean(error_map(prediction, target), None)
        return region_mean(error_map(weight * prediction, weight * target), weight)


@LOSSES.register("ssim")
class SSIMLoss(nn.Module):
    """Module of `ssim_loss`.

    Example:
        >>> SSIMLoss()(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)).item() > 0.9
        True
    """

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """See `ssim_loss`."""
        return ssim_loss(prediction, target, weight)


@LOSSES.register("ms_ssim_l1")
class MSSSIML1Loss(nn.Module):
    """Module of `ms_ssim_l1_loss`.

    Args:
        alpha: share of the structural part, in [0,1].
        scale: overall factor (the AIM 2022 entry's released code: 200).

    Example:
        >>> MSSSIML1Loss(scale=200.0)
        MSSSIML1Loss(alpha=0.025, scale=200.0)
    """

    def __init__(self, alpha: float = 0.025, scale: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.scale = scale

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """See `ms_ssim_l1_loss`."""
        return ms_ssim_l1_loss(prediction, target, weight, alpha=self.alpha, scale=self.scale)

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"alpha={self.alpha}, scale={self.scale}"
