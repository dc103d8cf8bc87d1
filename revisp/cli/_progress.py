"""The progress bar of the commands, shown only on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from revisp.cli._main import printable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["TerminalBar"]


class TerminalBar:
    """A bar on standard error, if that is a terminal or FORCE_COLOR says so; it disappears at the end.

    Lines that a command prints appear above the bar. They go to their own stream, even if only one of standard
    output and standard error is a terminal.

    Args:
        text: text before the bar.
        counts: also show the number of finished steps and the remaining time.

    Attributes:
        visible: whether the bar is shown.
    """

    def __init__(self, text: str = "", *, counts: bool = False) -> None:
        self.visible = sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
        self._bar = _bar(counts=counts) if self.visible else None
        self._task = None if self._bar is None else self._bar.add_task(printable(text), total=None)

    def __enter__(self) -> TerminalBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, text: str | None = None) -> None:
        """Show the progress, and a new text if one is given."""
        if self._bar is not None and self._task is not None:
            label = None if text is None else printable(text)
            self._bar.update(self._task, completed=done, total=total, description=label)


def _bar(*, counts: bool) -> Progress:
    """Return a bar. Its library takes long to import."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    more = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(
        *(more if counts else ()),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else lines would go to the terminal instead of the file or pipe
    )
