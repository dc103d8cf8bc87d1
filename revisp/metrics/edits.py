"""Errors after six fixed edits: users edit a restored RAW, so its errors are measured as edits show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from revisp.camera.isp import apply_ccm, apply_gains, linear_to_srgb, tone_curve
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.metrics.colour import ciede2000, srgb_to_lab

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EDITS", "EditError", "FixedEdit", "edit_errors"]

MOST_PIXELS = 2**18


class FixedEdit(NamedTuple):
    """An edit of a RAW in a converter.

    Attributes:
        exposure: brightening in stops.
        gains: factors of the white balance for R, G, B.
        contrast: strength of the S curve in [0, 1] (`revisp.camera.isp.tone_curve`).
        lift: encoded value of black.
        saturation: factor of the distance from grey.

    Example:
        >>> grey = torch.full((3, 1, 1), 0.18)
        >>> [round(EDITS[name].develop(grey, torch.eye(3))[0].item(), 2) for name in ("plain", "brighter")]
        [0.46, 0.63]
    """

    exposure: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 0.0
    lift: float = 0.0
    saturation: float = 1.0

    def develop(self, light: Tensor, matrix: Any) -> Tensor:
        """Develop white-balanced camera RGB ``[3, h, w]``, 1 at display white, to sRGB in [0, 1].

        Args:
            light: linear camera RGB ``[3, h, w]``, white-balanced.
            matrix: camera to linear sRGB ``[3, 3]``.
        """
        gains = [gain * 2.0**self.exposure for gain in self.gains]
        linear = apply_ccm(apply_gains(light, gains).clamp(0, 1), matrix)
        grey = torch.einsum("c,chw->hw", linear.new_tensor(SRGB_TO_XYZ[1]), linear)
        linear = (grey + self.saturation * (linear - grey)).clamp(0, 1)
        return tone_curve(linear_to_srgb(linear), self.contrast, lift=self.lift)


EDITS: Mapping[str, FixedEdit] = MappingProxyType(
    {
        "plain": FixedEdit(),
        "brighter": FixedEdit(exposure=1.0),
        "darker": FixedEdit(exposure=-1.0),
        "cool": FixedEdit(gains=(0.8, 1.0, 1.25)),
        "warm": FixedEdit(gains=(1.25, 1.0, 0.8), contrast=0.6),
        "matte": FixedEdit(lift=0.08, saturation=0.6),
    }
)
"""The six edits by name."""


class EditError(NamedTuple):
    """Difference between an edit of the prediction and the same edit of the truth, over usable pixels.

    Attributes:
        psnr: PSNR of sRGB in dB, peak 1.
        delta_e: mean CIEDE2000.

    Example:
        >>> light, usable = torch.rand(3, 8, 8), torch.ones(8, 8, dtype=torch.bool)
        >>> edit_errors(light, light, usable, torch.eye(3))["warm"]
        EditError(psnr=inf, delta_e=0.0)
    """

    psnr: float
    delta_e: float


def edit_errors(matched: Tensor, light: Tensor, usable: Tensor, matrix: Any) -> dict[str, EditError]:
    """Develop prediction and truth with one known matrix and each of `EDITS`, and compare the pictures.

    In large pictures about `MOST_PIXELS` pixels at even steps are compared; this suffices for a mean.

    Args:
        matched: the prediction in the truth's colours, ``[3, h, w]`` (`revisp.metrics.blind.Ladder`).
        light: the true light ``[3, h, w]``, its 99.9th percentile 1.
        usable: ``[h, w]``, the pixels that count.
        matrix: white-balanced camera RGB to linear sRGB ``[3, 3]`` (`revisp.CameraProfile.camera_to_srgb`).

    Example:
        >>> light = torch.full((3, 8, 8), 0.18)
        >>> errors = edit_errors(1.1 * light, light, torch.ones(8, 8, dtype=torch.bool), torch.eye(3))
        >>> list(errors)
        ['plain', 'brighter', 'darker', 'cool', 'warm', 'matte']
        >>> errors["brighter"].psnr < errors["darker"].psnr
        True
    """
    step = max(1, int(usable.sum()) // MOST_PIXELS)
    given, true = (x[:, usable][:, ::step, None] for x in (matched, light))
    found = {}
    for name, edit in EDITS.items():
        one, other = (edit.develop(x, matrix) for x in (given, true))
        error = (one - other).square().mean().item()
        difference = ciede2000(srgb_to_lab(one), srgb_to_lab(other)).mean().item()
        found[name] = EditError(-10 * math.log10(error) if error else math.inf, difference)
    return found
