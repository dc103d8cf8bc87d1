"""Draws of single random numbers from one generator: one seed determines all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Draw"]


class Draw:
    """Draws of single numbers from one generator.

    Args:
        generator: source of randomness, on the CPU.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """Draw uniformly from [low, high)."""
        return low + (high - low) * torch.rand(1, generator=self.generator, dtype=torch.float64).item()

    def normal(self, mean: float, deviation: float) -> float:
        """Draw from the normal distribution."""
        return mean + deviation * torch.randn(1, generator=self.generator, dtype=torch.float64).item()

    def integer(self, low: int, high: int) -> int:
        """Draw uniformly from the whole numbers low, ..., high."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator).item())

    def choice(self, options: tuple[Any, ...]) -> Any:
        """Draw one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def maybe(self, share: float, value: Callable[[], float]) -> float:
        """Return ``value()`` with the probability ``share``, otherwise 0."""
        return value() if self.uniform(0, 1) < share else 0.0
