"""The precision of a prediction (fp32 or bf16), and the error that bf16 causes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from revisp.pipeline import ReverseISP

__all__ = ["LEAST_AGREEMENT", "Precision", "agreement"]

Precision = Literal["auto", "fp32", "bf16"]

LEAST_AGREEMENT = 60.0
"""PSNR in dB that bf16 must keep to fp32: at 60 dB, a model's PSNR of 40 dB against the truth falls by 0.04 dB."""

_SAMPLE_SIDE, _SAMPLE_CELLS = 128, 8


def agreement(one: ReverseISP, other: ReverseISP) -> float:
    """Return the PSNR in dB between the mosaics that two pipelines predict for `sample_photo`.

    Both pipelines are in evaluation mode and on the same device.
    """
    photo = sample_photo(next(one.parameters()).device)
    with torch.no_grad():
        error = (one(photo).bayer.double() - other(photo).bayer.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def sample_photo(device: torch.device | str = "cpu") -> Tensor:
    """Return a noisy photo ``[1, 3, 128, 128]`` of all colours and brightnesses, with overexposed pixels."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(1, 3, _SAMPLE_CELLS, _SAMPLE_CELLS, generator=generator)
    smooth = F.interpolate(colours, (_SAMPLE_SIDE, _SAMPLE_SIDE), mode="bicubic", align_corners=False)
    light = torch.linspace(0.1, 1.7, _SAMPLE_SIDE).reshape(1, 1, 1, _SAMPLE_SIDE)
    noise = torch.randn(1, 3, _SAMPLE_SIDE, _SAMPLE_SIDE, generator=generator)
    return (smooth * light + 0.02 * noise).clamp(0, 1).mul(255).round().div(255).to(device)
