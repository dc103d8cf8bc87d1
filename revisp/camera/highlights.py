"""Light above display white in a rendering: a clip, or a roll-off by a shoulder.

A shoulder keeps values below its knee. It bends the rest so that a chosen light, some EV above display white,
becomes white. Unlike the clip, it is one to one and has an inverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch

from revisp.checks import check_image
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "HighlightMode",
    "check_highlights",
    "desaturation",
    "inverse_roll_off",
    "inverse_shoulder",
    "roll_off",
    "shoulder",
    "undo_desaturation",
]

HighlightMode = Literal["clip", "shoulder", "desaturate"]
"""Clip each channel; bend each channel; bend the brightest channel and desaturate towards white."""

MOST_WHITENING = 0.75
"""Share of white in the brightest light. The inverse amplifies colour errors by 1 / (1 - share), here 4."""


def roll_off(linear: Tensor, mode: HighlightMode, *, knee: float = 0.7, rolloff: float = 1.0) -> Tensor:
    r"""Bring linear light into [0, 1] for the display.

    * ``"clip"``: clamp each channel.
    * ``"shoulder"``: `shoulder` on each channel, as in film and most cameras. Bright colours turn towards white
      and shift in hue.
    * ``"desaturate"``: `shoulder` on the brightest channel :math:`m`; the others keep their ratios, so that hue
      stays. Then colours :math:`c` move towards white: :math:`(1 - t)\,c + t\,m'` with the bent :math:`m'` and
      :math:`t = \tfrac34 ((m - knee) / (2^{rolloff} - knee))^2`.

    Args:
        linear: linear light ``[..., 3, H, W]``, display white 1; negative values count as 0.
        mode: one of the three.
        knee: light up to which values stay, in (0, 1); ``"clip"`` does not use it.
        rolloff: EV above display white at which the shoulder reaches white, at least 0; 0 makes it a clip.

    Returns:
        ``[..., 3, H, W]`` in [0, 1].

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: unknown mode, or a value out of range.
    """
    check_image(linear, 3, "linear")
    check_highlights(mode, knee, rolloff)
    if mode == "clip":
        return linear.clamp(0, 1)
    light = linear.clamp_min(0)
    if mode == "shoulder":
        return shoulder(light, knee, 2.0**rolloff)
    ratio, added = desaturation(light.amax(dim=-3, keepdim=True), knee, 2.0**rolloff)
    return (light * ratio + added).clamp_max(1)


def desaturation(peak: Tensor, knee: float, white: float) -> tuple[Tensor, Tensor]:
    """Return the factor and the white light by which ``"desaturate"`` turns light into display-linear values.

    Args:
        peak: light of the brightest channel, any shape, at least 0.
        knee: as for `shoulder`.
        white: as for `shoulder`.
    """
    toned, share = shoulder(peak, knee, white), _whitening(peak, knee, white)
    return (1 - share) * torch.where(peak > knee, toned / peak.clamp_min(knee), 1.0), share * toned


def inverse_roll_off(display: Tensor, mode: HighlightMode, *, knee: float = 0.7, rolloff: float = 1.0) -> Tensor:
    """Undo `roll_off` where it clipped nothing.

    White becomes the light at the end of the shoulder. Colours outside the range of ``"desaturate"`` would become
    negative; they are clipped to 0.

    Args:
        display: display-linear values ``[..., 3, H, W]``; clamped to [0, 1].
        mode: as for `roll_off`; ``"clip"`` changes nothing.
        knee: as for `roll_off`.
        rolloff: as for `roll_off`.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: unknown mode, or a value out of range.
    """
    check_image(display, 3, "display")
    check_highlights(mode, knee, rolloff)
    display = display.clamp(0, 1)
    if mode == "clip":
        return display
    if mode == "shoulder":
        return inverse_shoulder(display, knee, 2.0**rolloff)
    toned = display.amax(dim=-3, keepdim=True)
    white, ratio = undo_desaturation(toned, knee, 2.0**rolloff)
    return ((display - white * toned) / (1 - white)).clamp_min(0) * ratio


def undo_desaturation(toned: Tensor, knee: float, white: float) -> tuple[Tensor, Tensor]:
    """Return the share of white and the ratio that the inverse of ``"desaturate"`` needs.

    Args:
        toned: display-linear value of the brightest channel, any shape, in [0, 1].
        knee: as for `shoulder`.
        white: as for `shoulder`.

    Returns:
        The share of white that was mixed in, and the brightest channel's light over its display-linear value.
    """
    peak = inverse_shoulder(toned, knee, white)
    return _whitening(peak, knee, white), torch.where(toned > knee, peak / toned.clamp_min(knee), 1.0)


def shoulder(x: Tensor, knee: float, white: float) -> Tensor:
    r"""Bend values above a knee so that ``white`` becomes 1. The slope at the knee is 1; values below it stay.

    .. math:: y = k + (1 - k)\,\frac{u\,(1 + u / U^2)}{1 + u}, \quad
              u = \frac{x - k}{1 - k}, \quad U = \frac{w - k}{1 - k}

    The fraction is the global operator of Reinhard et al., "Photographic Tone Reproduction for Digital Images"
    (SIGGRAPH 2002), equation 4. At w = 1 it is the clipped identity.

    Args:
        x: values of any shape, at least 0.
        knee: k, in (0, 1).
        white: w, at least 1; values above it become 1.
    """
    end = (white - knee) / (1 - knee)
    u = ((x - knee) / (1 - knee)).clamp(0, end)
    bent = knee + (1 - knee) * u * (1 + u / end**2) / (1 + u)
    return torch.where(x <= knee, x, bent)


def inverse_shoulder(y: Tensor, knee: float, white: float) -> Tensor:
    """Undo `shoulder` in closed form: the positive root of its quadratic equation.

    Args:
        y: bent values of any shape, in [0, 1].
        knee: as for `shoulder`.
        white: as for `shoulder`.
    """
    end = (white - knee) / (1 - knee)
    v = ((y - knee) / (1 - knee)).clamp(0, 1)
    half = (v - 1) * end**2 / 2
    # Both forms of the root are exact; this one does not subtract nearly equal numbers where v < 1.
    u = end**2 * v / ((half.square() + end**2 * v).sqrt() - half)
    return torch.where(y <= knee, y, knee + (1 - knee) * u)


def check_highlights(mode: str, knee: float, rolloff: float) -> None:
    """Require a known mode, ``0 < knee < 1`` and ``rolloff >= 0``.

    Raises:
        ConfigError: otherwise.
    """
    if mode not in get_args(HighlightMode):
        raise ConfigError(f"highlights must be one of {', '.join(get_args(HighlightMode))}, got {mode!r}")
    if not 0 < knee < 1:
        raise ConfigError(f"knee must lie between 0 and 1, got {knee}")
    if not rolloff >= 0:
        raise ConfigError(f"rolloff must be >= 0 EV, got {rolloff}")


def _whitening(peak: Tensor, knee: float, white: float) -> Tensor:
    return MOST_WHITENING * ((peak - knee) / (white - knee)).clamp(0, 1).square()
