"""Draws of single random numbers from one generator, so that a seed fixes all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Draw"]


class Draw:
    """Draws from one generator, one number each.

    Args:
        generator: source of randomness, on the CPU.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """Draw evenly from [low, high)."""
        return low + (high - low) * torch.rand(1, generator=self.generator, dtype=torch.float64).item()

    def normal(self, mean: float, deviation: float) -> float:
        """Draw from the normal distribution."""
        return mean + deviation * torch.randn(1, generator=self.generator, dtype=torch.float64).item()

    def integer(self, low: int, high: int) -> int:
        """Draw evenly from low, ..., high."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator).item())

    def choice(self, options: tuple[Any, ...]) -> Any:
        """Draw one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def maybe(self, share: float, value: Callable[[], float]) -> float:
        """Return the value with the probability ``share``, otherwise 0."""
        return value() if self.uniform(0, 1) < share else 0.0
