"""Sensor noise: shot noise that grows with the signal, and read noise that does not.

Brooks et al., "Unprocessing Images for Learned Raw Denoising" (CVPR 2019, arXiv 1811.11127), section 3.1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NoiseLevels", "add_noise", "noise_levels", "random_noise_levels"]

SHOT_RANGE = (1e-4, 0.012)
READ_SLOPE, READ_OFFSET, READ_SPREAD = 2.18, 1.20, 0.26


class NoiseLevels(NamedTuple):
    """Variance of the noise at a normalised signal x: ``x * shot + read``.

    Attributes:
        shot: variance per unit of signal.
        read: variance without light.
    """

    shot: float
    read: float


def noise_levels(shot: float, deviation: float = 0.0) -> NoiseLevels:
    """Return the read noise that goes with a shot noise: ln read = 2.18 ln shot + 1.20 + deviation.

    The line was fitted by UPI to the Darmstadt Noise Dataset; its logarithms are natural.

    Raises:
        ConfigError: shot is not positive.
    """
    if shot <= 0:
        raise ConfigError(f"shot noise must be positive, got {shot}")
    return NoiseLevels(shot, math.exp(READ_SLOPE * math.log(shot) + READ_OFFSET + deviation))


def random_noise_levels(generator: torch.Generator) -> NoiseLevels:
    """Draw noise levels as UPI does.

    ln shot ~ U(ln 1e-4, ln 0.012), and ln read ~ N(0, 0.26) around the line of `noise_levels`.

    Args:
        generator: source of randomness, on the CPU.
    """
    low, high = (math.log(bound) for bound in SHOT_RANGE)
    shot = math.exp(low + (high - low) * torch.rand(1, generator=generator, dtype=torch.float64).item())
    deviation = READ_SPREAD * torch.randn(1, generator=generator, dtype=torch.float64).item()
    return noise_levels(shot, deviation)


def add_noise(raw: Tensor, levels: NoiseLevels, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of variance ``x * shot + read`` to normalised RAW values x.

    Args:
        raw: noise-free RAW of any shape, black 0, white 1; negative values count as 0 for the variance.
        levels: shot and read variance.
        generator: source of randomness; draws are made on its device and moved, so that they do not depend on the
            device of ``raw``.

    Returns:
        Noisy values of the same shape, unclamped.
    """
    noise = torch.randn(raw.shape, generator=generator, device=generator.device, dtype=raw.dtype).to(raw.device)
    return raw + noise * (raw.clamp_min(0) * levels.shot + levels.read).sqrt()
