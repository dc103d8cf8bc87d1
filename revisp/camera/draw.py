"""Random numbers that a seed determines: generators, and draws of single numbers from one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["Draw", "generator_of"]


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


def generator_of(*numbers: int) -> torch.Generator:
    """Return a generator whose numbers are a function of some numbers of at least 0.

    Example:
        >>> one, same, other = (generator_of(7, number).initial_seed() for number in (1, 1, 2))
        >>> one == same, one == other
        (True, False)
    """
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
