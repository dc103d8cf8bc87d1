"""What to do with a file of which a part is missing, although a decoder would fill it with something."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, get_args

from revisp.errors import ConfigError, ImageError, near_miss

__all__ = ["Damaged", "check_damaged", "report_damage"]

Damaged = Literal["refuse", "warn"]
"""``"refuse"`` raises an error; ``"warn"`` warns, and keeps what the decoder makes of the file."""


def check_damaged(damaged: str) -> None:
    """Require a value of `Damaged`.

    Raises:
        ConfigError: it is another one.
    """
    if damaged not in get_args(Damaged):
        raise ConfigError(near_miss("damaged", damaged, get_args(Damaged)))


def report_damage(path: str | Path, fault: str, damaged: Damaged) -> None:
    """Refuse a damaged file, or warn that it is read all the same.

    Args:
        path: the file.
        fault: what is wrong with it.
        damaged: what to do.

    Raises:
        ImageError: the file is refused.

    Example:
        >>> report_damage("a.jpg", "bad", "refuse")
        Traceback (most recent call last):
        ...
        revisp.errors.ImageError: a.jpg: bad: copy it again, or read it by --damaged warn (Python: damaged='warn')
    """
    if damaged != "warn":
        raise ImageError(f"{path}: {fault}: copy it again, or read it by --damaged warn (Python: damaged='warn')")
    warnings.warn(f"{path}: {fault}: read all the same", stacklevel=2)
