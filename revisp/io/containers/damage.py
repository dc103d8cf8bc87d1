"""The exception of the container parsers."""

from __future__ import annotations

__all__ = ["DamagedError"]


class DamagedError(Exception):
    """The bytes of a container contradict its format. Who opens the file says which file it is."""
