"""Gaussian windows of the structural losses: separable, zero padding, fast forward and backward passes."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["blur", "fast_layout", "gaussian_window"]


@functools.cache
def gaussian_window(sigma: float, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a one-dimensional Gaussian of sum 1, on the CPU.

    Args:
        sigma: standard deviation in pixels.
        size: number of taps, odd.
        dtype: outer taps below a tenth of this dtype's epsilon, relative to the centre, are left out.

    Returns:
        ``[n]``, n odd, n ≤ size.
    """
    offset = torch.arange(size, dtype=torch.float64) - size // 2
    window = torch.exp(-offset.square() / (2 * sigma**2))
    seen = window > 0.1 * torch.finfo(dtype).eps
    return (window / window.sum())[seen].to(dtype)


def fast_layout(image: Tensor) -> Tensor:
    """Convert ``[B,C,H,W]`` to the memory format of `blur`; once before many blurs, this saves a copy in each.

    On a CPU the format is channels last, which selects the fast depthwise kernel. Elsewhere it is channels first:
    channels last could select a TF32 kernel on CUDA, and its three digits are not enough for a variance computed
    as ``E[x²] − E[x]²``.
    """
    on_cpu = image.device.type == "cpu"
    return image.contiguous(memory_format=torch.channels_last if on_cpu else torch.contiguous_format)


class _Blur(torch.autograd.Function):
    """A symmetric window with zero padding is its own adjoint, so the backward pass is the same blur.

    PyTorch's own gradient of a depthwise convolution takes ten times as long as the convolution on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, window: Tensor) -> Tensor:
        ctx.save_for_backward(window)
        channels, taps = image.shape[1], len(window)
        image = fast_layout(image)
        rows = window.view(1, 1, 1, taps).expand(channels, 1, 1, taps)
        columns = window.view(1, 1, taps, 1).expand(channels, 1, taps, 1)
        image = F.conv2d(image, rows, padding=(0, taps // 2), groups=channels)
        return F.conv2d(image, columns, padding=(taps // 2, 0), groups=channels)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (window,) = ctx.saved_tensors
        blurred: Tensor = _Blur.apply(grads[0], window)
        return blurred, None


def blur(image: Tensor, sigma: float, size: int) -> Tensor:
    """Blur by a Gaussian window; beyond the border the image is 0.

    Args:
        image: ``[B,C,H,W]``.
        sigma: standard deviation in pixels.
        size: width of the window in pixels, odd.

    Returns:
        ``[B,C,H,W]``.
    """
    window = gaussian_window(sigma, size, image.dtype).to(image.device)
    blurred: Tensor = _Blur.apply(image, window)
    return blurred
