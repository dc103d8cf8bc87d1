"""The progress bar of the commands: on a terminal, and nowhere else."""

from __future__ import annotations

import sys

__all__ = ["TerminalBar"]


class TerminalBar:
    """A bar on standard error, if that is a terminal; it vanishes at the end.

    Lines that a command prints meanwhile stand above the bar. They go where they belong, even if only one of
    standard output and standard error is a terminal.

    Args:
        text: what to write before the bar.
        counts: also show how many are done, and the time that is left.

    Attributes:
        visible: whether there is a bar.
    """

    def __init__(self, text: str = "", *, counts: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        more = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *(more if counts else ()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # else lines would leave the file or pipe for the terminal
        )
        self._task = self._bar.add_task(text, total=None)
        self.visible = console.is_terminal

    def __enter__(self) -> TerminalBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, text: str | None = None) -> None:
        """Show how much is done, and another text."""
        self._bar.update(self._task, completed=done, total=total, description=text)
