"""Read JSON files of cameras; an error names the file, what it should be, and why it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from revisp.errors import ConfigError
from revisp.schema import parse_file

__all__ = ["json_of"]


@contextlib.contextmanager
def json_of(path: str | Path, kind: str) -> Iterator[Any]:
    """Yield the content of a JSON file, and name file and kind in the errors of the block that takes it.

    Args:
        path: the file.
        kind: what it should hold, with its article: "a camera profile".

    Raises:
        ConfigError: the file cannot be read, is not JSON, or the block raised an error about its values.

    Example:
        >>> with json_of("lost.json", "a camera profile") as values:
        ...     pass
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: lost.json: not a camera profile: No such file or directory
    """
    try:
        yield parse_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: not {kind}: {error.strerror or error}") from error
    except ValueError as error:
        own = f"{kind.partition(' ')[2]}: "  # checks of values begin with it, too
        raise ConfigError(f"{path}: not {kind}: {str(error).removeprefix(own)}") from error
