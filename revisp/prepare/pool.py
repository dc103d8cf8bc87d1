"""Worker processes, which end with their parent and at its word, and leave nothing behind.

They are started afresh rather than forked: LibRaw's threads do not survive a fork. Only the parent holds the
writing end of a pipe whose end of file each worker waits for, so that none survives it, however it ends. An
interrupt from the keyboard, which reaches all of them, is the parent's to answer; and the parent answers between
two jobs: an exception in the midst of the pool's own bookkeeping could leave a lock that nobody opens again.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from pathlib import Path

import torch

from revisp.errors import DataError
from revisp.prepare.needs import affordable_workers
from revisp.prepare.options import PrepareOptions
from revisp.prepare.work import Done, PlannedItem, process

__all__ = ["work"]

STOP_TIMEOUT = 5.0
"""Seconds that a worker has to put away what it is at."""

INTERRUPT_POLL = 0.2
"""Seconds between two looks whether an interrupt is waiting for its answer."""


def work(
    jobs: Sequence[PlannedItem], options: PrepareOptions, root: Path, begin: Callable[[PlannedItem], None]
) -> Generator[tuple[PlannedItem, Done]]:
    """Process jobs, in parallel where there are several; yield each as it is finished.

    Args:
        jobs: what to do.
        options: settings; ``workers`` says by how many processes.
        root: the data set.
        begin: called before a job is begun.

    Raises:
        DataError: a worker was ended from outside.
        OutputError: a file cannot be written.
    """
    workers = min(options.workers or affordable_workers(job.item for job in jobs), len(jobs))
    if workers <= 1:
        for job in jobs:
            begin(job)
            yield job, process(job, options, root)
        return
    context = multiprocessing.get_context("spawn")
    ends, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(workers, ends))
    waiting: dict[Future[Done], PlannedItem] = {}
    interrupts = _Interrupts()
    try:
        queue = iter(jobs)
        while True:
            interrupts.answer()
            for job in itertools.islice(queue, 2 * workers - len(waiting)):
                begin(job)
                waiting[_submit(pool, job, options, root)] = job
            if not waiting:
                break
            for finished in wait(waiting, timeout=INTERRUPT_POLL, return_when=FIRST_COMPLETED).done:
                done = finished.result()
                yield waiting.pop(finished), done
        pool.shutdown(wait=True)
        interrupts.answer()
    except BrokenProcessPool as error:
        interrupts.answer()  # it reached the workers too
        files = " or ".join(str(job.item.files[0]) for job in list(waiting.values())[:workers])
        raise DataError(
            f"a worker process died, for lack of memory or of a damaged file, perhaps {files}: start again with "
            "fewer, --workers 1; what was finished is kept"
        ) from error
    finally:
        stop.close()
        pool.shutdown(wait=True, cancel_futures=True)
        ends.close()
        interrupts.restore()


class _Interrupts:
    """Note the signals that would raise `KeyboardInterrupt` at once, until it is safe to."""

    def __init__(self) -> None:
        self.waiting = False
        self.handlers: dict[int, signal.Handlers | None] = {}
        if threading.current_thread() is threading.main_thread():  # no other thread sees signals
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is signal.default_int_handler:
                    self.handlers[number] = signal.signal(number, self._note)  # type: ignore[assignment]

    def _note(self, *_: object) -> None:
        self.waiting = True

    def answer(self) -> None:
        """Raise `KeyboardInterrupt` if one is due."""
        if self.waiting:
            raise KeyboardInterrupt

    def restore(self) -> None:
        """Let signals act at once again."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def _submit(pool: ProcessPoolExecutor, job: PlannedItem, options: PrepareOptions, root: Path) -> Future[Done]:
    """Submit a job; processes that are started by that are deaf to the keyboard from their first moment."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return pool.submit(process, job, options, root)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(process, job, options, root)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(workers: int, ends: Connection) -> None:
    """Share the cores among the workers, and wait in the background for the parent's end."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    signal.signal(signal.SIGTERM, _leave)
    Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=100)  # leaving already
    threading.Thread(target=_leave_with_parent, args=(ends,), daemon=True).start()


def _leave(*_: object) -> None:
    raise SystemExit(1)


def _leave_with_parent(ends: Connection) -> None:
    """Wait for the pipe's end of file, then end the process: in order where it can be, by force where not."""
    ends.poll(None)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - what breaks off from here on is meant to
    until = time.monotonic() + STOP_TIMEOUT
    while time.monotonic() < until:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
    os._exit(1)
