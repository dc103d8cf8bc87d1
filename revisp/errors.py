"""The exceptions that revisp raises on purpose.

Every one of them derives from `RevispError`, so ``except revisp.RevispError`` catches all that a caller can
mend. A command turns them into one line on standard error and exit code 2. A message says what was wrong,
where, and what to do.
"""

from __future__ import annotations

__all__ = [
    "AlignmentError",
    "ConfigError",
    "DataError",
    "ImageError",
    "OutputError",
    "RevispError",
    "ShapeError",
    "UnknownNameError",
    "WeightsError",
]


class RevispError(Exception):
    """Base of all errors whose cause lies in what was given, not in revisp."""


class ConfigError(RevispError, ValueError):
    """A setting or argument has a value that cannot work."""


class UnknownNameError(ConfigError):
    """A registry holds no entry of the asked name; the message names near misses."""


class ShapeError(RevispError, ValueError):
    """A tensor or array has the wrong shape, dtype or range."""


class ImageError(RevispError):
    """A photo or RAW file is missing, unreadable, damaged or of a kind that is not supported."""


class DataError(RevispError):
    """A data set is missing, incomplete or inconsistent."""


class AlignmentError(DataError):
    """A photo cannot be registered to its RAW, or not so that it can be trusted."""


class WeightsError(RevispError):
    """A model folder or weights file is missing, damaged, or does not fit the network."""


class OutputError(RevispError):
    """An output file or folder cannot be written."""
