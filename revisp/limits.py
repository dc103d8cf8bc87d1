"""Limits of what is read: a forged header or configuration must not be able to claim all memory.

Each has a variable of the environment that raises it, for all commands and their processes. The commands have
options for that, which set the variables; `allowing` does so from Python.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from revisp.errors import ConfigError

__all__ = ["allowing", "max_parameters", "max_pixels", "set_limits"]

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


def set_limits(
    *, max_megapixels: int | str | None = None, max_million_parameters: int | str | None = None
) -> None:
    """Set limits for this process, and for those that it starts; None leaves a limit as it is.

    Args:
        max_megapixels: of a photo, RAW file, mosaic or scene, in millions of pixels; a number or its digits.
        max_million_parameters: of a network in a model folder, in millions.

    Raises:
        ConfigError: a value is no whole number of at least 1; no limit has changed.
    """
    given = {
        MEGAPIXELS_VARIABLE: ("max_megapixels", max_megapixels),
        PARAMETERS_VARIABLE: ("max_million_parameters", max_million_parameters),
    }
    wanted = {variable: (name, str(value)) for variable, (name, value) in given.items() if value is not None}
    for name, text in wanted.values():
        _checked(name, text)
    os.environ.update({variable: text for variable, (_, text) in wanted.items()})


@contextlib.contextmanager
def allowing(
    *, max_megapixels: int | str | None = None, max_million_parameters: int | str | None = None
) -> Iterator[None]:
    """Set limits while the block runs, as `set_limits` does. They hold for all threads of the process.

    Example:
        >>> with allowing(max_megapixels=600):
        ...     max_pixels()
        600000000
        >>> max_pixels()
        300000000
    """
    before = {variable: os.environ.get(variable) for variable in (MEGAPIXELS_VARIABLE, PARAMETERS_VARIABLE)}
    set_limits(max_megapixels=max_megapixels, max_million_parameters=max_million_parameters)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def _millions(variable: str, default: int) -> int:
    return 1_000_000 * _checked(variable, os.environ.get(variable, str(default)))


def _checked(name: str, value: str) -> int:
    text = value.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ConfigError(f"{name} must be a whole number of millions, at least 1, got {text[:20]!r}")
    return int(text)
