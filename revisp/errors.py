"""The exceptions that revisp raises on purpose.

All derive from `RevispError`, so ``except revisp.RevispError`` catches every error that a caller can correct. A
command prints one line on standard error and exits with code 2. A message has three parts: the fault, its place,
and the remedy.
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
"""Greatest number of names that a message lists."""


class RevispError(Exception):
    """Base of all errors whose cause lies in the input, not in revisp.

    Example:
        >>> from revisp.cfa import CFA
        >>> try:
        ...     CFA.parse("RGBW")
        ... except RevispError as error:
        ...     print(error)
        unknown CFA 'RGBW': use RGGB, GRBG, GBRG or BGGR
    """


class ConfigError(RevispError, ValueError):
    """A setting or an argument has a wrong value.

    Example:
        >>> from revisp.challenges import challenge_scale
        >>> challenge_scale(8)
        Traceback (most recent call last):
            ...
        revisp.errors.ConfigError: challenge files hold 10 bits (AIM 2022) or 12 bits (NTIRE 2025), not 8
    """


class UnknownNameError(ConfigError):
    """A registry has no entry of this name; the message suggests similar names.

    Example:
        >>> from revisp.registry import Registry
        >>> filters = Registry("filter")
        >>> filters.register_lazy("box", "package.module:box")
        >>> filters.get("bx")
        Traceback (most recent call last):
            ...
        revisp.errors.UnknownNameError: unknown filter 'bx': did you mean 'box'? Known: box
    """


class ShapeError(RevispError, ValueError):
    """A tensor or array has the wrong shape, dtype or range.

    Example:
        >>> import torch
        >>> from revisp.mosaic import mosaic
        >>> mosaic(torch.zeros(1, 4, 4), "RGGB")
        Traceback (most recent call last):
            ...
        revisp.errors.ShapeError: raw_rgb must have shape [..., 3, H, W], got [1, 4, 4]
    """


class ImageError(RevispError):
    """A photo or RAW file is missing, unreadable, damaged or of an unsupported kind.

    Example:
        >>> from revisp.io import read_srgb
        >>> read_srgb("missing.png")
        Traceback (most recent call last):
            ...
        revisp.errors.ImageError: missing.png: No such file or directory
    """


class DataError(RevispError):
    """A data set is missing, incomplete or inconsistent.

    Example:
        >>> from revisp.camera import fit_camera
        >>> fit_camera([])
        Traceback (most recent call last):
            ...
        revisp.errors.DataError: no pairs to fit a camera to
    """


class AlignmentError(DataError):
    """A photo cannot be registered to its RAW reliably.

    Example:
        >>> import torch
        >>> from revisp.align import align
        >>> align(torch.zeros(3, 64, 64), torch.zeros(3, 64, 64))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        revisp.errors.AlignmentError: the photo does not show what the RAW shows (correlation 0.00, ...)
    """


class WeightsError(RevispError):
    """A model folder or weights file is missing, damaged, or does not fit the network.

    Example:
        >>> from revisp.losses import find_trunk
        >>> find_trunk("alex", "missing.pth")
        Traceback (most recent call last):
            ...
        revisp.errors.WeightsError: the LPIPS setting trunk names missing.pth, which is not a file
    """


class OutputError(RevispError):
    """An output file or folder cannot be written.

    Example:
        >>> import torch
        >>> from revisp.io import write_png
        >>> write_png("no/such/folder/a.png", torch.zeros(3, 2, 2))
        Traceback (most recent call last):
            ...
        revisp.errors.OutputError: cannot write no/such/folder/a.png: No such file or directory
    """


def near_miss(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist: similar names, in any case, and the known names.

    Args:
        kind: word for the named things, in the singular ("backbone").
        name: the unknown name.
        known: the names that exist, in the order of the list; the message lists the first 30.

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
