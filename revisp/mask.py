"""Overexposure masks: they mark the pixels of an sRGB photo that the camera clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch.nn.functional as F
from torch import nn

from revisp.checks import check_image, check_same_size
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["THRESHOLDS", "MaskKind", "OverexposureMask", "overexposure_mask", "split_target"]

MaskKind = Literal["luma", "max", "mean"]

THRESHOLDS: dict[MaskKind, float] = {"luma": 0.978, "max": 0.99, "mean": 1.0}
"""Default threshold of each kind: 249.4 and 252.5 of 255 for luma and max; UPI's full point for mean."""


def overexposure_mask(
    srgb: Tensor,
    *,
    kind: MaskKind = "luma",
    threshold: float | None = None,
    ramp: float = 0.0,
    dilation: int = 0,
) -> Tensor:
    r"""Mark overexposed pixels.

    With the statistic :math:`s` of a pixel and the threshold :math:`t` the hard mask (``ramp = 0``) is

    .. math:: M = [s \ge t]

    and the soft mask rises from 0 at :math:`t - r` to 1 at :math:`t`, where the hard one jumps:

    .. math:: M = \mathrm{clip}\left(\frac{s - (t - r)}{r},\, 0,\, 1\right)^2

    The hard luma mask at 0.978 is that of the Overexposure Mask Fusion code (arXiv 2210.11511), ``"max"`` at 0.99
    is its alternative. ``kind="mean", threshold=1.0, ramp=0.1`` is :math:`(\max(g - 0.9, 0) / 0.1)^2`, the mask
    that UPI (arXiv 1811.11127) protects highlights with.

    Args:
        srgb: photo ``[..., 3, H, W]``, display-referred, in [0, 1].
        kind: the statistic: ``"luma"`` (0.299 R + 0.587 G + 0.114 B), ``"max"`` or ``"mean"`` of R, G, B.
        threshold: value from which a pixel is fully overexposed, in (0, 1]; None takes it from `THRESHOLDS`.
        ramp: width of the soft rise below the threshold, in [0, threshold]; 0 makes the mask hard.
        dilation: growth of overexposed regions on all sides in pixels (a square window), because JPEG ringing
            leaves some clipped pixels just below the threshold.

    Returns:
        The mask ``[..., 1, H, W]`` in [0, 1]: 1 = overexposed.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: an argument outside its range.

    Example:
        >>> import torch
        >>> overexposure_mask(torch.ones(1, 3, 2, 2)).mean().item()
        1.0
    """
    check_image(srgb, 3, "srgb")
    limit = _check_options(kind, threshold, ramp, dilation)
    statistic = _statistic(srgb, kind)
    if ramp > 0:
        mask = ((statistic - (limit - ramp)) / ramp).clamp(0, 1).square()
    else:
        mask = (statistic >= limit).to(srgb.dtype)
    if dilation:
        flat = mask.reshape(-1, 1, *mask.shape[-2:])
        mask = F.max_pool2d(flat, 2 * dilation + 1, stride=1, padding=dilation).reshape(mask.shape)
    return mask


def split_target(target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Split a ground truth between the branches: GT(OE) = M·GT and GT(NOE) = (1 − M)·GT.

    Args:
        target: demosaiced RAW ``[..., 3, H, W]``.
        mask: overexposure mask ``[..., 1, H, W]`` in [0, 1].

    Returns:
        GT(OE) and GT(NOE), each of the target's shape; they add up to the target.

    Raises:
        ShapeError: wrong channels or dtype, or different sizes.

    Example:
        >>> import torch
        >>> target, mask = torch.full((3, 1, 2), 0.5), torch.tensor([[[1.0, 0.0]]])
        >>> [part[0].tolist() for part in split_target(target, mask)]
        [[[0.5, 0.0]], [[0.0, 0.5]]]
    """
    check_image(target, 3, "target")
    check_image(mask, 1, "mask")
    check_same_size(target, mask, ("target", "mask"))
    return mask * target, (1 - mask) * target


class OverexposureMask(nn.Module):
    """Module form of `overexposure_mask`, with the same arguments.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 1, H, W]``.

    Raises:
        ConfigError: an argument outside its range.

    Example:
        >>> import torch
        >>> photo = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]).expand(3, 1, 5)
        >>> OverexposureMask(dilation=1)(photo).tolist()
        [[[0.0, 1.0, 1.0, 1.0, 0.0]]]
    """

    def __init__(
        self, kind: MaskKind = "luma", threshold: float | None = None, ramp: float = 0.0, dilation: int = 0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.threshold = _check_options(kind, threshold, ramp, dilation)
        self.ramp = ramp
        self.dilation = dilation

    @property
    def reach(self) -> int:
        """Farthest distance, in rows or columns, of a pixel of the photo that the mask of a pixel depends on."""
        return self.dilation

    def forward(self, srgb: Tensor) -> Tensor:
        """Apply `overexposure_mask`."""
        return overexposure_mask(
            srgb, kind=self.kind, threshold=self.threshold, ramp=self.ramp, dilation=self.dilation
        )

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"kind={self.kind!r}, threshold={self.threshold}, ramp={self.ramp}, dilation={self.dilation}"


def _statistic(srgb: Tensor, kind: MaskKind) -> Tensor:
    if kind == "max":
        return srgb.amax(dim=-3, keepdim=True)
    if kind == "mean":
        return srgb.mean(dim=-3, keepdim=True)
    red, green, blue = srgb.split(1, dim=-3)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _check_options(kind: MaskKind, threshold: float | None, ramp: float, dilation: int) -> float:
    if kind not in get_args(MaskKind):
        raise ConfigError(f"unknown mask kind {kind!r}: use {', '.join(get_args(MaskKind))}")
    limit = THRESHOLDS[kind] if threshold is None else float(threshold)
    if not 0 < limit <= 1:
        raise ConfigError(f"mask threshold must lie in (0, 1], got {limit}")
    if not 0 <= ramp <= limit:
        raise ConfigError(f"mask ramp must lie in [0, threshold = {limit}], got {ramp}")
    if dilation < 0 or dilation != int(dilation):
        raise ConfigError(f"mask dilation must be a whole number of pixels, at least 0, got {dilation}")
    return limit
