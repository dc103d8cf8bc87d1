"""The progress bar of the commands, shown only on a terminal."""

from __future__ import annotations

import sys

from revisp.cli._main import printable

__all__ = ["TerminalBar"]


class TerminalBar:
    """A bar on standard error, if that is a terminal; it disappears at the end.

    Lines that a command prints appear above the bar. They go to their own stream, even if only one of standard
    output and standard error is a terminal.

    Args:
        text: text before the bar.
        counts: also show the number of finished steps and the remaining time.

    Attributes:
        visible: whether the bar is shown.
    """

    def __init__(self, text: str = "", *, counts: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        more = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *(more if counts else ()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # else lines would go to the terminal instead of the file or pipe
        )
        self._task = self._bar.add_task(printable(text), total=None)
        self.visible = console.is_terminal

    def __enter__(self) -> TerminalBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, text: str | None = None) -> None:
        """Show the progress, and a new text if one is given."""
        self._bar.update(
            self._task, completed=done, total=total, description=None if text is None else printable(text)
        )
