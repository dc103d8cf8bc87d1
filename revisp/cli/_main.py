"""The end of all commands: messages and exit codes.

Exit codes: 0, done; 2, wrong input, explained in one line; 130, interrupted; 1, a fault of revisp.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

from revisp.errors import RevispError

__all__ = ["one_line", "report_errors"]


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Run the body of a command: turn its errors into one line on standard error and an exit code.

    Warnings for users become one line each. Any other exception than a `RevispError` passes through with its
    traceback, and Python ends with exit code 1. Letters that standard output cannot show, such as those of a file
    name in another encoding, are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    show = warnings.showwarning

    def show_plainly(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning):
            print(f"warning: {one_line(message)}", file=sys.stderr)
        elif not issubclass(category, DeprecationWarning | FutureWarning):  # those are for developers
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_plainly
    try:
        yield
    except RevispError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        warnings.showwarning = show


def one_line(error: object) -> str:
    """Return a message without line breaks."""
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())
