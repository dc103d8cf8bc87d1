"""Argument checks that all steps share: channel count, rank, floating dtype, range. Each has one wording."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from revisp.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_image", "check_same_size", "check_unit_range"]

LEAST_VALUE, MOST_VALUE = -0.5, 1.5
"""What a photo in [0, 1] may hold after it was resampled: kernels overshoot at edges."""


def check_image(x: Tensor, channels: int, name: str) -> None:
    """Require a floating tensor ``[..., channels, H, W]``.

    Integer tensors are refused, because interpolation kernels truncate or overflow on them silently.

    Raises:
        ShapeError: no tensor, or wrong rank, channel count or dtype.

    Example:
        >>> import torch
        >>> check_image(torch.zeros(4, 8, 8), 3, "srgb")
        Traceback (most recent call last):
            ...
        revisp.errors.ShapeError: srgb must have shape [..., 3, H, W], got [4, 8, 8]
    """
    if not hasattr(x, "is_floating_point"):
        kind = f"{type(x).__module__}.{type(x).__name__}".removeprefix("builtins.")
        raise ShapeError(f"{name} must be a torch tensor [..., {channels}, H, W], got {kind}: convert it first")
    if x.ndim < 3 or x.shape[-3] != channels:
        raise ShapeError(f"{name} must have shape [..., {channels}, H, W], got {list(x.shape)}")
    if not x.is_floating_point():
        raise ShapeError(
            f"{name} must be floating point, got {x.dtype}: convert it first, e.g. {name}.float() / maximum"
        )


def check_unit_range(x: Tensor, name: str) -> None:
    """Require a photo whose values may be meant to lie in [0, 1], with a margin for the overshoot of resampling.

    Raises:
        ShapeError: values are far outside, such as those of 8 bits or of normalised photos, or not finite.

    Example:
        >>> import torch
        >>> check_unit_range(torch.full((3, 16, 16), float("nan")), "srgb")
        Traceback (most recent call last):
            ...
        revisp.errors.ShapeError: srgb holds values that are not numbers (NaN)
    """
    if not x.numel():
        return
    least, most = (float(bound) for bound in x.detach().aminmax())
    if math.isnan(least) or math.isnan(most):
        raise ShapeError(f"{name} holds values that are not numbers (NaN)")
    if least < LEAST_VALUE or most > MOST_VALUE:
        below = least < LEAST_VALUE  # as values around 0, which networks are often trained on
        advice = "give it before it is normalised" if below else "divide by the maximum of its type"
        raise ShapeError(f"{name} must lie in [0, 1], got {least:g} to {most:g}: {advice}")


def check_same_size(a: Tensor, b: Tensor, names: tuple[str, str]) -> None:
    """Require equal height and width.

    Raises:
        ShapeError: the sizes differ.

    Example:
        >>> import torch
        >>> check_same_size(torch.zeros(3, 8, 8), torch.zeros(1, 8, 9), ("photo", "mask"))
        Traceback (most recent call last):
            ...
        revisp.errors.ShapeError: photo and mask differ in size: [8, 8] and [8, 9]
    """
    if a.shape[-2:] != b.shape[-2:]:
        raise ShapeError(
            f"{names[0]} and {names[1]} differ in size: {list(a.shape[-2:])} and {list(b.shape[-2:])}"
        )
