"""A loss on edited RAW: prediction and target are developed by the same random edit and compared.

Punnappurath et al., "Edit-aware RAW Reconstruction" (arXiv 2512.05859): users edit a recovered RAW, so errors
should count as they are visible after a change of exposure, white balance, colour or tone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from revisp.camera.cameras import known_cameras
from revisp.camera.isp import apply_ccm, apply_gains, linear_to_srgb, tone_curve
from revisp.errors import ConfigError, ShapeError
from revisp.losses.base import LOSSES, checked, drop_empty, region_mean

__all__ = ["Edit", "EditAwareLoss", "grey_world", "random_edits", "render"]

MOST_GAIN = 4.0
"""Greatest grey-world gain; the least is its inverse. The limit keeps the colour of, say, a red wall."""


class Edit(NamedTuple):
    """The development of a sample.

    Attributes:
        exposure: brightening in EV.
        gains: factors of the white balance for R, G, B, in addition to the sample's own gains.
        matrix: white-balanced camera RGB to linear sRGB ``[3, 3]``, rows of sum 1.
        contrast: contrast of `revisp.camera.tone_curve`.
        gamma: gamma of `revisp.camera.tone_curve`.
    """

    exposure: float
    gains: tuple[float, float, float]
    matrix: Any
    contrast: float
    gamma: float


@LOSSES.register("edit_aware")
class EditAwareLoss(nn.Module):
    r"""L1 between prediction and target, both developed by one random `Edit`.

    .. math:: \mathrm{mean}\,|R_e(x) - R_e(y)|, \quad
              R_e(x) = T\big(\gamma(2^e\, C\, \mathrm{clip}(g \odot x))\big)

    Each sample of a batch gets its own edit, drawn from PyTorch's global random numbers (on the CPU for every
    device). From the paper: the rendering is random, differentiable and the same for both. The steps and ranges
    are our choice: white balance by grey world of the target, with jitter; a mix of two real cameras' colour
    matrices; exposure; the sRGB curve and a tone curve. Where a step clips, a straight line of slope `leak`
    continues it, so that a prediction beyond white or black still gets a gradient.

    Use it together with a loss of the RAW itself, such as l1.

    Args:
        exposure: range of the exposure in EV; at 0 the RAW's white becomes display white.
        white_balance: greatest deviation of the red and blue gains, in EV.
        contrast: range of the contrast, in [0, 1].
        gamma: range of the exponent of the encoded values; below 1 brightens.
        leak: slope beyond black and white, in [0, 1].

    Raises:
        ConfigError: not a valid range, or a value outside its limits.

    Example:
        >>> loss, raw = EditAwareLoss(), torch.rand(2, 3, 16, 16)
        >>> loss(raw, raw).item()
        0.0
    """

    linear = True

    def __init__(
        self,
        exposure: Sequence[float] = (-1.0, 2.0),
        white_balance: float = 0.3,
        contrast: Sequence[float] = (0.0, 0.7),
        gamma: Sequence[float] = (0.85, 1.1),
        leak: float = 0.1,
    ) -> None:
        super().__init__()
        self.exposure = _range(exposure, "exposure", -8, 8)
        self.contrast = _range(contrast, "contrast", 0, 1)
        self.gamma = _range(gamma, "gamma", 0.25, 4)
        self.white_balance = _range((0, white_balance), "white_balance", 0, 2)[1]
        self.leak = _range((0, leak), "leak", 0, 1)[1]

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare within a region.

        Args:
            prediction: demosaiced RAW ``[B,3,H,W]`` or packed planes ``[B,4,H,W]`` (R, Gr, Gb, B), whose greens
                are averaged; linear, unclamped, not white-balanced.
            target: ``[B,3,H,W]`` or ``[B,4,H,W]`` in [0,1].
            weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.

        Returns:
            A scalar in units of display values; 0 if the region is empty.

        Raises:
            ShapeError: shapes do not fit, an integer tensor, or neither three nor four channels.
        """
        prediction, target, weight = drop_empty(*checked(prediction, target, weight))
        prediction, target = _to_rgb(prediction), _to_rgb(target)
        if not len(prediction):
            return prediction.sum()
        with torch.autocast(prediction.device.type, enabled=False):
            balance = grey_world(target, weight)
            edits = random_edits(len(prediction), self.exposure, self.white_balance, self.contrast, self.gamma)
            error = torch.stack(
                [
                    (render(x, gains, edit, self.leak) - render(y, gains, edit, self.leak)).abs()
                    for x, y, gains, edit in zip(prediction, target, balance, edits, strict=True)
                ]
            )
            return region_mean(error, weight)

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return (
            f"exposure={self.exposure}, white_balance={self.white_balance}, contrast={self.contrast}, "
            f"gamma={self.gamma}, leak={self.leak}"
        )


def random_edits(
    number: int,
    exposure: tuple[float, float],
    white_balance: float,
    contrast: tuple[float, float],
    gamma: tuple[float, float],
) -> list[Edit]:
    """Draw edits, each from eight of PyTorch's global random numbers.

    Args:
        number: number of edits.
        exposure: range of the exposure in EV.
        white_balance: greatest deviation of the red and blue gains in EV.
        contrast: range of the contrast.
        gamma: range of the exponent.
    """
    matrices = _camera_matrices()
    edits = []
    for numbers in torch.rand(number, 8, dtype=torch.float64).tolist():
        one, other = (matrices[int(u * len(matrices))] for u in numbers[:2])
        red, blue = (2.0 ** (white_balance * (2 * u - 1)) for u in numbers[2:4])
        share = numbers[4]
        edits.append(
            Edit(
                exposure=_between(exposure, numbers[5]),
                gains=(red, 1.0, blue),
                matrix=share * one + (1 - share) * other,
                contrast=_between(contrast, numbers[6]),
                gamma=_between(gamma, numbers[7]),
            )
        )
    return edits


def render(raw_rgb: Tensor, balance: Tensor, edit: Edit, leak: float) -> Tensor:
    """Develop a RAW like `revisp.camera.apply_isp`, with a slope of ``leak`` where that clips.

    Args:
        raw_rgb: ``[3,H,W]``, linear, not white-balanced, any range.
        balance: white-balance gains ``[3]`` of the sample.
        edit: the edit.
        leak: slope beyond black and white.

    Returns:
        ``[3,H,W]``: display values in [0,1]; slightly outside where a step clips.
    """
    balanced = apply_gains(raw_rgb, balance * balance.new_tensor(edit.gains))  # type: ignore[arg-type]
    inside = balanced.clamp(0, 1)
    linear = apply_ccm(inside + leak * (balanced - inside), edit.matrix) * 2.0**edit.exposure
    inside = linear.clamp(0, 1)
    return tone_curve(linear_to_srgb(inside), edit.contrast, edit.gamma) + leak * (linear - inside)


def grey_world(raw_rgb: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the gains that make each sample's mean colour grey, green 1, within [1/4, 4].

    Args:
        raw_rgb: ``[B,3,H,W]``; values count as clamped to [0,1].
        weight: ``[B,1,H,W]``, which pixels count, or None for all.

    Returns:
        ``[B,3]``; 1 for a black sample, without a gradient.
    """
    seen = raw_rgb.detach().clamp(0, 1)
    mean = (seen if weight is None else seen * weight).sum(dim=(2, 3))
    mean = mean.clamp_min(torch.finfo(mean.dtype).eps)
    return (mean[:, 1:2] / mean).clamp(1 / MOST_GAIN, MOST_GAIN)


@cache
def _camera_matrices() -> tuple[np.ndarray[Any, Any], ...]:
    """Return the known cameras' matrices from white-balanced camera RGB to linear sRGB."""
    return tuple(camera.profile().camera_to_srgb for camera in known_cameras())


def _to_rgb(image: Tensor) -> Tensor:
    if image.shape[1] == 4:
        red, green_r, green_b, blue = image.split(1, dim=1)
        return torch.cat([red, 0.5 * (green_r + green_b), blue], dim=1)
    if image.shape[1] != 3:
        raise ShapeError(f"the edit-aware loss takes 3 channels or 4 packed planes, got {list(image.shape)}")
    return image


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * share


def _range(values: Sequence[float], name: str, least: float, most: float) -> tuple[float, float]:
    numbers = [float(value) for value in values]
    if len(numbers) != 2 or not least <= numbers[0] <= numbers[1] <= most:
        raise ConfigError(f"{name} of the edit-aware loss must lie in [{least}, {most}], got {values!r}")
    return numbers[0], numbers[1]
