"""Worker processes, which end with their parent or on its command, and leave no unfinished files.

Workers are spawned, not forked: LibRaw's threads do not survive a fork. Only the parent holds the writing end of a
pipe, and each worker waits for its end of file. So no worker survives the parent, however the parent ends. A
keyboard interrupt reaches all processes, but only the parent handles it, between two jobs. An exception inside the
bookkeeping of the pool could leave a lock that is never released.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
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
from revisp.prepare.work import Done, PlannedItem, process, rejection

__all__ = ["work"]

STOP_TIMEOUT = 5.0
"""Seconds that a worker has to clean up when it is stopped."""

DIED = "the process that prepared it died, for lack of memory or because the file is damaged"
"""Why an item is rejected that ended its process."""

INTERRUPT_POLL = 0.2
"""Seconds between two checks for a pending interrupt."""


def work(
    jobs: Sequence[PlannedItem], options: PrepareOptions, root: Path, begin: Callable[[PlannedItem], None]
) -> Generator[tuple[PlannedItem, Done]]:
    """Process jobs, in parallel if there are several; yield each when it is finished.

    If a worker process dies, the jobs that it may have been at are done again one by one. A job that ends its
    process when it is alone is rejected; the others go on.

    Args:
        jobs: the planned items.
        options: settings; ``workers`` is the number of processes.
        root: folder of the data set.
        begin: called before a job begins.

    Raises:
        OutputError: a file cannot be written.
    """
    workers = min(options.workers or affordable_workers(job.item for job in jobs), len(jobs))
    if workers <= 1:
        for job in jobs:
            begin(job)
            yield job, process(job, options, root)
        return
    waiting, suspects = deque(jobs), deque[PlannedItem]()
    while waiting or suspects:
        alone = bool(suspects)
        try:
            yield from _round(suspects if alone else waiting, 1 if alone else workers, options, root, begin)
        except _WorkerDiedError as died:
            if alone:
                [job] = died.jobs
                yield job, Done([rejection(job, DIED)], [])
            else:
                suspects.extend(died.jobs)


class _WorkerDiedError(Exception):
    """A worker process died; ``jobs`` were begun and are not finished."""

    def __init__(self, jobs: Sequence[PlannedItem]) -> None:
        super().__init__()
        self.jobs = jobs


def _round(
    queue: deque[PlannedItem],
    workers: int,
    options: PrepareOptions,
    root: Path,
    begin: Callable[[PlannedItem], None],
) -> Generator[tuple[PlannedItem, Done]]:
    """Process jobs in a pool of workers until none is left; one after another if there is one worker."""
    context = multiprocessing.get_context("spawn")
    ends, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(workers, ends))
    ahead = 1 if workers == 1 else 2 * workers
    waiting: dict[Future[Done], PlannedItem] = {}
    interrupts = _Interrupts()
    try:
        while True:
            interrupts.answer()
            while queue and len(waiting) < ahead:
                begin(queue[0])
                waiting[_submit(pool, queue[0], options, root)] = queue[0]
                queue.popleft()
            if not waiting:
                break
            for finished in wait(waiting, timeout=INTERRUPT_POLL, return_when=FIRST_COMPLETED).done:
                done = finished.result()
                yield waiting.pop(finished), done
        pool.shutdown(wait=True)
        interrupts.answer()
    except BrokenProcessPool as error:
        interrupts.answer()  # it reached the workers, too
        if not waiting:  # the process died before it had a job
            raise DataError(
                "worker processes die as they start, perhaps for lack of memory: use --workers 1"
            ) from error
        raise _WorkerDiedError(list(waiting.values())) from error
    finally:
        stop.close()
        pool.shutdown(wait=True, cancel_futures=True)
        ends.close()
        interrupts.restore()


class _Interrupts:
    """Records signals that would raise `KeyboardInterrupt`, until it is safe to raise it."""

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
        """Raise `KeyboardInterrupt` if a signal was recorded."""
        if self.waiting:
            raise KeyboardInterrupt

    def restore(self) -> None:
        """Restore the immediate handling of signals."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def _submit(pool: ProcessPoolExecutor, job: PlannedItem, options: PrepareOptions, root: Path) -> Future[Done]:
    """Submit a job; processes that start for it ignore keyboard interrupts from their first instruction."""
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
    Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=100)  # it is ending already
    threading.Thread(target=_leave_with_parent, args=(ends,), daemon=True).start()


def _leave(*_: object) -> None:
    raise SystemExit(1)


def _leave_with_parent(ends: Connection) -> None:
    """Wait for the end of file of the pipe, then end the process: in order if possible, else by force."""
    ends.poll(None)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - errors from here on are expected
    until = time.monotonic() + STOP_TIMEOUT
    while time.monotonic() < until:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
    os._exit(1)
