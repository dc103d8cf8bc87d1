"""The end of all commands: messages and exit codes.

Exit codes: 0, done; 2, wrong input, explained in one line; 130, interrupted; 1, a fault of revisp.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from revisp.errors import RevispError

__all__ = ["one_line", "printable", "report_errors", "say", "shown"]


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Run the body of a command: turn its errors into one line on standard error and an exit code.

    Warnings for users become one line each, and so do errors of the file system, such as a name that is too long.
    Any other exception than a `RevispError` passes through with its traceback, and Python ends with exit code 1.
    Letters that standard output cannot show, such as those of a file name in another encoding, are escaped.
    SIGTERM ends the command as Ctrl-C does.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    terminate = _as_interrupt(signal.SIGTERM)
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
            say(f"warning: {one_line(message)}", sys.stderr)
        elif not issubclass(category, DeprecationWarning | FutureWarning):  # those are for developers
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_plainly
    try:
        yield
    except RevispError as error:
        say(f"error: {one_line(error)}", sys.stderr)
        sys.exit(2)
    except OSError as error:
        place = "" if error.filename is None else f"{shown(error.filename)}: "
        say(f"error: {place}{error.strerror or one_line(error)}", sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        say("interrupted", sys.stderr)
        sys.exit(130)
    finally:
        warnings.showwarning = show
        if terminate is not None:
            signal.signal(signal.SIGTERM, terminate)


def _as_interrupt(number: int) -> Any:
    """Handle a signal as Ctrl-C; return its handler before, or None where nothing was changed."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(number) is not signal.SIG_DFL:
        return None
    return signal.signal(number, signal.default_int_handler)


def one_line(error: object) -> str:
    """Return a message without line breaks."""
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def printable(text: str) -> str:
    r"""Escape what a terminal would obey or cannot show: control characters, and bytes that are not UTF-8.

    Example:
        >>> print(printable("caf\udce9 \x1b[2J.jpg"))
        caf\xe9 \x1b[2J.jpg
    """
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t"
        else f"\\x{ord(letter) & 0xFF:02x}"
        if ord(letter) < 0x100 or 0xDC80 <= ord(letter) <= 0xDCFF
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in text
    )


def shown(path: object) -> str:
    """Return the name of a file in one line, escaped by `printable`."""
    return printable(str(path)).replace("\n", "\\n")


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line, escaped by `printable`.

    A reader that has gone away, or a full disk, stops the lines and not the work.

    Args:
        text: the line, or several.
        stream: standard output (None) or another stream.
    """
    stream = stream or sys.stdout
    try:
        print(printable(str(text)), file=stream, flush=True)
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # else Python reports it again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError) and stream is not sys.stderr:
            say(f"warning: standard output: {error.strerror}; nothing more is printed", sys.stderr)
