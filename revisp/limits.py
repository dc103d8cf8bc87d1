"""Limits of what is read: a forged header or configuration must not be able to claim all memory.

Each has a variable of the environment that raises it, for all commands and their processes.
"""

from __future__ import annotations

import os

from revisp.errors import ConfigError

__all__ = ["max_parameters", "max_pixels"]

MEGAPIXELS, MEGAPIXELS_VARIABLE = 300, "REVISP_MAX_MEGAPIXELS"
MILLIONS, PARAMETERS_VARIABLE = 1000, "REVISP_MAX_MILLION_PARAMETERS"


def max_pixels() -> int:
    """Return the most pixels of a photo, RAW file or scene that is read.

    ``REVISP_MAX_MEGAPIXELS`` sets it, in millions; the default is 300. Phones make 200.

    Raises:
        ConfigError: the variable is no whole number of at least 1.

    Example:
        >>> max_pixels()
        300000000
    """
    return _millions(MEGAPIXELS_VARIABLE, MEGAPIXELS)


def max_parameters() -> int:
    """Return the most parameters of a network that a model folder may ask for.

    ``REVISP_MAX_MILLION_PARAMETERS`` sets it, in millions; the default is 1000, which take 4 GB.

    Raises:
        ConfigError: the variable is no whole number of at least 1.

    Example:
        >>> max_parameters()
        1000000000
    """
    return _millions(PARAMETERS_VARIABLE, MILLIONS)


def _millions(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default)).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ConfigError(f"{variable} must be a whole number of millions, at least 1, got {text[:20]!r}")
    return 1_000_000 * int(text)
