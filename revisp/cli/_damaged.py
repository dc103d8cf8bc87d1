"""The choices of the option ``--damaged``."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DamagedUse"]


class DamagedUse(StrEnum):
    """What to do with files of which a part is missing."""

    refuse = "refuse"
    warn = "warn"
