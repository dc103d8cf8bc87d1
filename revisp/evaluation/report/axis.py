"""Axes of plots: positions of values, ticks, and their text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis"]


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels.

    Attributes:
        label: the quantity on the axis.
        low: value at the start.
        high: value at the end, larger than ``low``.
        log: whether the axis is logarithmic. Then both ends are positive, and values of 0 or less lie at the
            start.
        percent: whether shares are written as per cent, without a sign: the label has it.
        zero: whether the start stands for 0, which a logarithmic axis cannot show.
    """

    label: str
    low: float
    high: float
    log: bool = False
    percent: bool = False
    zero: bool = False

    @classmethod
    def around(cls, label: str, values: Sequence[float], *, log: bool | None = None) -> Axis:
        """Return an axis with some room around values.

        Args:
            label: the quantity on the axis.
            values: at least one value.
            log: whether the axis is logarithmic; None: if no value is below 0 and they span more than a decade.
        """
        low, high = min(values), max(values)
        positive = [value for value in values if value > 0]
        if log is None:
            log = low >= 0 and bool(positive) and high > 10 * min(positive)
        if log and positive:
            room = (high / min(positive)) ** 0.08
            room = max(room, 1.6)
            return cls(label, min(positive) / room ** (2 if low <= 0 else 1), high * room, True, zero=low <= 0)
        room = 0.1 * (high - low) or max(abs(high) * 0.1, 1e-3)
        return cls(label, low - room if low < 0 or low > room else 0.0, high + room)

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 to 1."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return the values of the ticks."""
        if not self.log:
            rough = (self.high - self.low) / 5
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [index * step for index in range(first, last + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1, 2, 5) if self.high < 200 * self.low else (1,)
        marks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]
        return [0.0] * self.zero + inside[:: math.ceil(len(inside) / 7)]

    def write(self, value: float) -> str:
        """Return the text of a tick."""
        if self.percent:
            return f"{100 * value:.10g}"
        if value == 0 or 1e-3 <= abs(value) < 1000:
            return f"{value:.6g}".replace("-", "−")
        for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:.6g} {unit}".replace("-", "−")
        return f"{value:.3g}".replace("e-0", "e-").replace("-", "−")
