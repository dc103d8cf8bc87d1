"""Fusion: join the outputs of the OE and the NOE branch to one demosaiced RAW."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import torch
from kornia.filters import gaussian_blur2d
from torch import nn

from revisp.checks import check_image, check_same_size
from revisp.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Fusion", "FusionKind", "feather_mask", "fuse"]

FusionKind = Literal["hard", "soft", "feathered"]


def fuse(oe: Tensor, noe: Tensor, mask: Tensor, *, kind: FusionKind = "hard", feather: float = 2.0) -> Tensor:
    r"""Join the branches by the overexposure mask (arXiv 2210.11511).

    .. math:: D = M \odot F_\mathrm{OE} + (1 - M) \odot F_\mathrm{NOE}

    ``"hard"`` selects: M is binarised (``M >= 0.5``), each pixel comes from one branch, and only that branch gets
    its gradient. ``"soft"`` takes M as it is. ``"feathered"`` binarises M, then blurs its border (`feather_mask`);
    this hides the seam where the branches disagree.

    Args:
        oe: output of the overexposed branch, ``[..., 3, H, W]``.
        noe: output of the other branch, of the same shape.
        mask: overexposure mask ``[..., 1, H, W]`` in [0, 1].
        kind: ``"hard"``, ``"soft"`` or ``"feathered"``.
        feather: standard deviation of the blur in pixels, used by ``"feathered"`` only.

    Returns:
        The fused demosaiced RAW ``[..., 3, H, W]``.

    Raises:
        ShapeError: wrong channels or dtype, different shapes, or an image too small for the feather.
        ConfigError: unknown kind, or a feather that is not positive.

    Example:
        >>> import torch
        >>> oe, noe = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
        >>> fuse(oe, noe, torch.tensor([[[[0.0, 1.0], [0.4, 0.6]]]]))[0, 0].tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    check_image(oe, 3, "oe")
    check_image(noe, 3, "noe")
    check_image(mask, 1, "mask")
    check_same_size(oe, noe, ("oe", "noe"))
    check_same_size(oe, mask, ("oe", "mask"))
    _check_options(kind, feather)
    return _mix(oe, noe, _weight(mask, kind, feather), kind)


def feather_mask(mask: Tensor, feather: float) -> Tensor:
    """Binarise a mask at 0.5 and blur its border by a Gaussian, reflected at the image's edge.

    The kernel ends at ``ceil(3 * feather)`` pixels. Farther from the border, in rows or in columns, the result is
    exactly 1 inside and exactly 0 outside.

    Args:
        mask: ``[..., 1, H, W]`` in [0, 1].
        feather: standard deviation in pixels.

    Returns:
        The feathered mask ``[..., 1, H, W]`` in [0, 1].

    Raises:
        ShapeError: not a floating tensor of one channel, or an image smaller than the kernel.
        ConfigError: the feather is not positive.

    Example:
        >>> mask = (torch.arange(16) >= 8).float().expand(1, 8, 16)
        >>> [round(share, 2) for share in feather_mask(mask, 1.0)[0, 0, 4:12].tolist()]
        [0.0, 0.0, 0.06, 0.3, 0.7, 0.94, 1.0, 1.0]
    """
    check_image(mask, 1, "mask")
    _check_options("feathered", feather)
    radius = _radius(feather)
    height, width = mask.shape[-2:]
    if radius >= min(height, width):
        raise ShapeError(
            f"a feather of {feather} needs an image above {radius} pixels a side, got {height}x{width}"
        )
    hard = (mask >= 0.5).to(mask.dtype).reshape(-1, 1, height, width)
    size = 2 * radius + 1
    blurred: Tensor = gaussian_blur2d(hard, (size, size), (feather, feather), border_type="reflect")
    # The kernel's weights add up to 1 only within rounding: lift the plateau to 1 and clamp values above 1.
    return (blurred * (1 + 8 * torch.finfo(mask.dtype).eps)).clamp(max=1).reshape(mask.shape)


class Fusion(nn.Module):
    """Module form of `fuse`.

    Args:
        kind: ``"hard"``, ``"soft"`` or ``"feathered"``.
        feather: standard deviation of the blur in pixels, used by ``"feathered"`` only.

    Shape:
        ``oe`` and ``noe`` ``[..., 3, H, W]`` and ``mask`` ``[..., 1, H, W]`` to ``[..., 3, H, W]``.

    Raises:
        ConfigError: unknown kind, or a feather that is not positive.

    Example:
        >>> import torch
        >>> oe, noe, mask = torch.ones(3, 1, 2), torch.zeros(3, 1, 2), torch.tensor([[[0.25, 0.75]]])
        >>> Fusion("hard")(oe, noe, mask)[0].tolist(), Fusion("soft")(oe, noe, mask)[0].tolist()
        ([[0.0, 1.0]], [[0.25, 0.75]])
    """

    def __init__(self, kind: FusionKind = "hard", feather: float = 2.0) -> None:
        super().__init__()
        _check_options(kind, feather)
        self.kind = kind
        self.feather = feather

    @property
    def reach(self) -> int:
        """Farthest distance, in rows or columns, of a pixel of the mask that the fusion of a pixel depends on."""
        return _radius(self.feather) if self.kind == "feathered" else 0

    def weight(self, mask: Tensor) -> Tensor:
        """Return the share of the OE branch in each pixel; the rest comes from the NOE branch.

        Args:
            mask: overexposure mask ``[..., 1, H, W]`` in [0, 1].

        Returns:
            The share ``[..., 1, H, W]`` in [0, 1]; 0 or 1 for a hard fusion.

        Raises:
            ShapeError: not a floating tensor of one channel, or an image too small for the feather.

        Example:
            >>> import torch
            >>> Fusion("hard").weight(torch.tensor([[[0.2, 0.5, 0.9]]])).tolist()
            [[[0.0, 1.0, 1.0]]]
        """
        check_image(mask, 1, "mask")
        return _weight(mask, self.kind, self.feather)

    def mix(self, oe: Tensor, noe: Tensor, weight: Tensor) -> Tensor:
        """Join the branches by given shares.

        Args:
            oe: output of the overexposed branch, ``[..., 3, H, W]``.
            noe: output of the other branch, of the same shape.
            weight: share of the OE branch ``[..., 1, H, W]``, from `weight`.

        Returns:
            The fused demosaiced RAW ``[..., 3, H, W]``. A hard fusion selects: values of the other branch, even
            infinite ones, change neither the result nor a gradient.
        """
        return _mix(oe, noe, weight, self.kind)

    def forward(self, oe: Tensor, noe: Tensor, mask: Tensor) -> Tensor:
        """Apply `fuse`."""
        return fuse(oe, noe, mask, kind=self.kind, feather=self.feather)

    def extra_repr(self) -> str:
        """Show the arguments."""
        feather = f", feather={self.feather}" if self.kind == "feathered" else ""
        return f"kind={self.kind!r}{feather}"


def _weight(mask: Tensor, kind: FusionKind, feather: float) -> Tensor:
    if kind == "hard":
        return (mask >= 0.5).to(mask.dtype)
    return feather_mask(mask, feather) if kind == "feathered" else mask


def _mix(oe: Tensor, noe: Tensor, weight: Tensor, kind: FusionKind) -> Tensor:
    if kind == "hard":
        return torch.where(weight >= 0.5, oe, noe)
    return weight * oe + (1 - weight) * noe


def _radius(feather: float) -> int:
    """Return the radius of the feathering blur, in pixels."""
    return math.ceil(3 * feather)


def _check_options(kind: FusionKind, feather: float) -> None:
    if kind not in get_args(FusionKind):
        raise ConfigError(f"unknown fusion kind {kind!r}: use {', '.join(get_args(FusionKind))}")
    if not feather > 0:
        raise ConfigError(f"feather must be above 0 pixels, got {feather}")
