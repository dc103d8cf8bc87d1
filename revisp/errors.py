"""The exceptions that revisp raises on purpose.

Every one of them derives from `RevispError`, so ``except revisp.RevispError`` catches all that a caller can
mend. A command turns them into one line on standard error and exit code 2. A message says what was wrong,
where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

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
    "near_miss",
]

MOST_KNOWN = 30
"""Most names that a message lists."""


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


def near_miss(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist: names like it, whatever their case, and all there are.

    Args:
        kind: what the name stands for, in the singular ("backbone").
        name: as it was given.
        known: the names that exist, in the order in which to list them; of many the first are listed.

    Example:
        >>> near_miss("network", "Unte", ["nafnet", "unet"])
        "unknown network 'Unte': did you mean 'unet'? Known: nafnet, unet"
        >>> near_miss("network", "?", ["nafnet", "unet"])
        "unknown network '?'. Known: nafnet, unet"
    """
    names = list(known)
    lower = {one.lower(): one for one in reversed(names)}
    close = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f": did you mean {' or '.join(map(repr, close))}?" if close else "."
    more = f", ... ({len(names)} in all)" if len(names) > MOST_KNOWN else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names[:MOST_KNOWN])}{more}"
