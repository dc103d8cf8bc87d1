"""The learning rate over a training."""

from __future__ import annotations

import dataclasses
import math

from revisp.errors import ConfigError

__all__ = ["Schedule"]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning-rate factor over a training: linear warm-up, then a cosine.

    Attributes:
        warmup: share of all steps in which the rate rises linearly.
        final_factor: share of the full rate that remains at the end.

    Raises:
        ConfigError: a share is outside [0, 1].
    """

    warmup: float = 0.05
    final_factor: float = 0.01

    def __post_init__(self) -> None:
        for name in ("warmup", "final_factor"):
            if not 0 <= float(getattr(self, name)) <= 1:
                raise ConfigError(f"schedule.{name} must lie in [0, 1], got {getattr(self, name)}")

    def factor(self, step: int, total: int) -> float:
        """Return the share of the full learning rate at a step of ``total`` steps, the number expected so far."""
        ramp = max(1, round(self.warmup * total))
        if step < ramp:
            return (step + 1) / ramp
        progress = min(1.0, (step - ramp) / max(1, total - ramp))
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))
