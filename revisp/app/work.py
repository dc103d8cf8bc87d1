"""Work that takes seconds: one piece after the other in a thread, whose progress the page asks for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from revisp.errors import RevispError

__all__ = ["Task", "Worker"]

log = logging.getLogger(__name__)


class _CancelledError(Exception):
    """Nobody waits for the result any more."""


class Task:
    """A piece of work, and how far it is.

    Attributes:
        state: ``"waiting"``, ``"working"``, ``"done"`` or ``"failed"``.
        finished: steps that are done.
        total: all steps; 0 until it is known.
        error: why it failed, in one sentence; else empty.
    """

    def __init__(self) -> None:
        self.state = "waiting"
        self.finished, self.total = 0, 0
        self.error = ""
        self._cancelled = threading.Event()

    def progress(self, finished: int, total: int) -> None:
        """Note how far the work is; end it if it was cancelled."""
        self.finished, self.total = finished, total
        if self._cancelled.is_set():
            raise _CancelledError

    def cancel(self) -> None:
        """End the work at its next step."""
        self._cancelled.set()

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"state": self.state, "finished": self.finished, "total": self.total, "error": self.error}

    def run(self, work: Callable[[], None], hidden: str) -> None:
        """Do the work.

        Args:
            work: the work; it calls `progress`.
            hidden: a part of messages that users must not see: the temporary folder.
        """
        try:
            if not self._cancelled.is_set():
                self.state = "working"
                work()
                self.state = "done"
        except _CancelledError:
            self.state = "failed"
        except RevispError as error:
            self.error, self.state = _sentence(error).replace(hidden, ""), "failed"
        except Exception as error:
            if not self._cancelled.is_set():  # else its files are gone
                self.error = _fault(error)
            self.state = "failed"


class Worker:
    """A thread that does one piece of work after the other, in the order in which they were asked for.

    Example:
        >>> worker, task, found = Worker(), Task(), []
        >>> worker.submit(task, lambda: found.append(1))
        >>> worker.close()
        >>> task.state, found
        ('done', [1])
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="revisp-app")
        self._open: set[Task] = set()

    def submit(self, task: Task, work: Callable[[], None], hidden: str = "\0") -> None:
        """Do a piece of work as soon as those before it are done."""
        self._open.add(task)
        self._pool.submit(task.run, work, hidden).add_done_callback(lambda _: self._open.discard(task))

    def close(self, *, cancel: bool = False) -> None:
        """Wait for the end of all work.

        Args:
            cancel: end it at its next step.
        """
        for task in list(self._open) if cancel else ():
            task.cancel()
        self._pool.shutdown(cancel_futures=cancel)


def _fault(error: Exception) -> str:
    """Return a sentence on an error that is not the user's; the terminal gets the rest."""
    if isinstance(error, OSError) and error.strerror:
        return f"the folder of temporary files cannot be used: {error.strerror}"
    log.error("a fault of revisp", exc_info=error)
    return f"revisp has a fault, which its terminal explains: {type(error).__name__}"


def _sentence(error: RevispError) -> str:
    """Return a message without line breaks."""
    return " ".join(str(error).split())
