"""Many photos: the next are read and the last are written while one is predicted."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout
from torch import Tensor

from revisp.errors import OutputError
from revisp.inference.convert import Choice, check_writable, write_raw
from revisp.inference.engine import Engine, Progress, as_engine
from revisp.inference.finished import is_finished
from revisp.inference.jobs import Job
from revisp.io.image import Photo, read_photo
from revisp.io.metadata import PhotoMetadata
from revisp.pipeline import ReverseISP

__all__ = ["Batch", "Outcome", "Picked", "convert_photos"]


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        job: the photo and its output.
        files: what was written; nothing where it failed or was finished before.
        seconds: time that it took to read, predict and write.
        error: why it failed.
    """

    job: Job
    files: tuple[Path, ...] = ()
    seconds: float = 0.0
    error: Exception | None = None

    @property
    def skipped(self) -> bool:
        """Whether the output was there already."""
        return not self.files and self.error is None


@dataclass(frozen=True)
class Picked:
    """A photo that is ready to be predicted, or will not be.

    Attributes:
        outcome: as far as it is known; final if there is no photo.
        photo: its pixels.
        lock: keeps other processes from the output.
    """

    outcome: Outcome
    photo: Photo | None = None
    lock: FileLock | None = None


def convert_photos(
    model: ReverseISP | Engine,
    jobs: Iterable[Job],
    choice: Choice | None = None,
    *,
    workers: int = 2,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Convert photos as `convert_photo` does one, and yield what became of each, in order.

    Whatever is wrong with a photo is in its `Outcome`, and the next one is done. An output that another process
    is writing counts as failed.

    Args:
        model: the pipeline, or what else predicts mosaics.
        jobs: the photos and where they go; folders are made.
        choice: format of what is written.
        workers: threads that read and write; 0: one step after the other. Each holds a photo in memory.
        resume: leave photos alone that have been converted (`is_finished`).
        progress: called after each tile.

    Raises:
        OutputError: an output's ending is no format.
        ConfigError: what the engine predicts cannot be written in that format.
    """
    with Batch(model, jobs, choice, workers=workers, resume=resume) as batch:
        for picked in batch:
            batch.convert(picked, progress)
            yield from batch.finished()
        yield from batch.finished(wait=True)


class Batch:
    """The stations that a photo passes, for who drives the loop: see `convert_photos`, which is all of them.

    Iterating reads the photos ahead; `convert` predicts one and hands it to a writer; `finished` says what became
    of those that are through. Leaving the ``with`` block closes it.
    """

    def __init__(
        self,
        model: ReverseISP | Engine,
        jobs: Iterable[Job],
        choice: Choice | None = None,
        *,
        workers: int = 2,
        resume: bool = False,
    ) -> None:
        self.engine = as_engine(model)
        self.jobs = list(jobs)
        self.choice = choice or Choice()
        self.resume = resume
        for job in {job.output.suffix.lower(): job for job in self.jobs}.values():
            check_writable(self.engine, job.output, self.choice)
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead = workers and max(1, workers - 1)
        self._locks: set[FileLock] = set()
        self._reading: deque[Future[Picked]] = deque()
        self._writing: deque[Future[Outcome]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what has been begun, drop the rest, and leave no lock behind."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for lock in list(self._locks):
            self._release(lock)

    def __iter__(self) -> Iterator[Picked]:
        """Yield the photos in order, each read while those before it are predicted."""
        waiting = deque(self.jobs)
        while waiting or self._reading:
            while waiting and len(self._reading) <= self._ahead:
                self._reading.append(self._submit(self._read, waiting.popleft()))
            yield self._reading.popleft().result()

    def convert(self, picked: Picked, progress: Progress | None = None) -> None:
        """Predict a photo and have it written; wait while too many are."""
        started = time.monotonic()
        outcome, photo = picked.outcome, picked.photo
        if photo is None:
            self._writing.append(_done(outcome))
            return
        try:
            bayer = self.engine.bayer(photo.srgb, tile=self.choice.tile, progress=progress)
        except Exception as error:
            self._release(picked.lock)
            self._writing.append(_done(replace(outcome, error=error)))
            return
        outcome = replace(outcome, seconds=outcome.seconds + time.monotonic() - started)
        self._writing.append(self._submit(self._write, outcome, bayer, photo.metadata, picked.lock))
        unwritten = [future for future in self._writing if not future.done()]
        if len(unwritten) > self._ahead:
            unwritten[0].exception()

    def finished(self, *, wait: bool = False) -> Iterator[Outcome]:
        """Yield what became of the photos that are through, in order.

        Args:
            wait: for all that were converted.
        """
        while self._writing and (wait or self._writing[0].done()):
            yield self._writing.popleft().result()

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._pool is not None:
            return self._pool.submit(function, *arguments)
        return _done(function(*arguments))

    def _read(self, job: Job) -> Picked:
        started = time.monotonic()
        lock = None
        try:
            self._locks.add(lock := _acquire(job.output))
            if self.resume and is_finished(job, self.choice):
                self._release(lock)
                return Picked(Outcome(job))
            photo = read_photo(job.photo)
        except Exception as error:
            self._release(lock)
            return Picked(Outcome(job, error=error))
        return Picked(Outcome(job, seconds=time.monotonic() - started), photo, lock)

    def _write(self, outcome: Outcome, bayer: Tensor, metadata: PhotoMetadata, lock: FileLock) -> Outcome:
        started = time.monotonic()
        try:
            files = write_raw(outcome.job.output, bayer, self.engine, metadata, self.choice)
        except Exception as error:
            return replace(outcome, error=error)
        finally:
            self._release(lock)
        return replace(outcome, files=files, seconds=outcome.seconds + time.monotonic() - started)

    def _release(self, lock: FileLock | None) -> None:
        """Give up a lock and take its file away; who meets it meanwhile is refused, and does not wait."""
        if lock is not None:
            self._locks.discard(lock)
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _acquire(output: Path) -> FileLock:
    """Make the output's folder and keep other processes from the output.

    Raises:
        OutputError: another process is writing it, or the folder cannot be written to.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output.parent}: {error.strerror or error}") from error
    lock = FileLock(output.with_name(f".{output.name}.lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(f"cannot write {output}: another process is writing it") from None
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
    return lock
