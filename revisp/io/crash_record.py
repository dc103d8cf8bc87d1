"""What this process decodes, told to a process that outlives it.

A fault in a library written in C ends a process at once: nothing in it can say which file it was. So each file is
told through a pipe before its decoder begins and after it has ended. `revisp.cli._supervise` listens.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Crashes", "crashes", "decoder_crash", "listen", "tell_finished", "tell_to", "told"]

_MOST_BYTES = 4096
"""Most bytes of a line: what Linux writes to a pipe in one piece, also from several threads."""


@dataclass
class Crashes:
    """What is known of earlier processes of the same command.

    Attributes:
        files: names of files whose decoder ended a process, and how it ended.
        finished: outputs that are complete.
        alone: whether only one file may be decoded at a time, so that the next crash is the fault of one file.
    """

    files: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    alone: bool = False


_known = Crashes()
_pipe: int | None = None


def crashes() -> Crashes:
    """Return what earlier processes of this command have left; nothing if it is not supervised."""
    return _known


def tell_to(pipe: int, known: Crashes) -> None:
    """Tell from now on what is decoded.

    Args:
        pipe: the writing end.
        known: what earlier processes have left.
    """
    global _pipe, _known
    _pipe, _known = pipe, known


def decoder_crash(name: str) -> str | None:
    """Return how the process ended that decoded a file of this name; None if it did not end by that."""
    return _known.files.get(name)


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Tell that a file is decoded while the block runs."""
    if _pipe is None:
        yield
        return
    _tell("begin", name)
    try:
        yield
    finally:
        _tell("end", name)


def tell_finished(name: str) -> None:
    """Tell that an output is complete: another process of this command need not make it again."""
    if _pipe is not None:
        _tell("finished", name)


def listen(pipe: int, known: Crashes) -> list[str]:
    """Listen until a process has ended; add what it finished, and return the files that it was decoding.

    Args:
        pipe: the reading end, which is closed.
        known: what is known; ``finished`` grows.
    """
    decoding: Counter[str] = Counter()
    with os.fdopen(pipe, "rb") as lines:
        for line in lines:
            match _message(line):
                case "finished", str(name):
                    known.finished.add(name)
                case "begin" | "end" as what, str(name):
                    decoding[name] += 1 if what == "begin" else -1
    return sorted(+decoding)


def _message(line: bytes) -> Any:
    """Return what a line says; None for one of a process whose memory is damaged."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _tell(what: str, name: str) -> None:
    line = json.dumps([what, name]).encode() + b"\n"
    if len(line) <= _MOST_BYTES and _pipe is not None:
        with contextlib.suppress(OSError):  # the supervisor is gone, and this process is about to end
            os.write(_pipe, line)
