"""The learning rate over a training."""

from __future__ import annotations

import dataclasses
import math
import sys

import pytorch_lightning as pl

from revisp.errors import ConfigError

__all__ = ["Schedule", "expected_steps"]


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


def expected_steps(trainer: pl.Trainer, step: int, total: float) -> int:
    """Return the expected number of steps of a training.

    Args:
        trainer: of the training; a `pytorch_lightning.callbacks.Timer` among its callbacks limits the time.
        step: steps that are done.
        total: steps without a limit of time; infinite if unknown.

    Returns:
        ``total`` or, if time is limited, an estimate from the pace; at least ``step``.
    """
    for timer in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(timer, pl.callbacks.Timer) and (left := timer.time_remaining()) is not None:
            elapsed = timer.time_elapsed()
            total = min(total, step * (elapsed + left) / elapsed if step and elapsed else math.inf)
    return sys.maxsize if math.isinf(total) else max(round(total), step)
