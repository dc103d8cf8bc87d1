"""Convert many photos: threads read the next photos and write the last results during a prediction."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import Tensor

from revisp.convert.engine import Engine, as_engine
from revisp.convert.formats import Choice, Origin, check_writable, origin_of, predict_raw, write_raw
from revisp.convert.jobs import Conversion, share
from revisp.convert.own_output import require_own_output
from revisp.convert.remote import deliver, discard, is_delivered, receive, renamed
from revisp.hardware import limit_cores
from revisp.inference.tiles import Progress
from revisp.io.atomic import remove_unfinished
from revisp.io.crash_record import crashes, tell_finished
from revisp.io.locking import lock, lock_beside, make_folder
from revisp.io.photo import Photo, read_photo
from revisp.io.storage import is_newer
from revisp.pipeline import ReverseISP

__all__ = ["Batch", "Converted", "Picked", "convert_photos"]


SMALL_PHOTO = 2**18
"""Most pixels of a photo whose steps are too short to share among cores that are busy otherwise."""


@dataclass(frozen=True)
class Converted:
    """The outcome of one conversion.

    Attributes:
        job: the photo and its output.
        files: paths or addresses of the files written; empty if the conversion failed or was finished before.
        seconds: time to read, predict and write.
        error: the reason of a failure, else None.
        note: what the gain map has changed; empty if nothing.

    Example:
        >>> job = Conversion(Path("photo.jpg"), Path("photo.dng"))
        >>> Converted(job).skipped
        True
        >>> Converted(job, files=(job.output,), seconds=1.5).skipped
        False
    """

    job: Conversion
    files: tuple[str | Path, ...] = ()
    seconds: float = 0.0
    error: Exception | None = None
    note: str = ""

    @property
    def skipped(self) -> bool:
        """Whether the output existed already."""
        return not self.files and self.error is None


@dataclass(frozen=True)
class Picked:
    """A photo that was read, or could not be read.

    Attributes:
        outcome: the outcome so far; it is final if ``photo`` is None.
        photo: pixels and metadata.
        lock: lock that keeps other processes from the output.
    """

    outcome: Converted
    photo: Photo | None = None
    lock: FileLock | None = None


def convert_photos(
    model: ReverseISP | Engine,
    jobs: Iterable[Conversion],
    choice: Choice | None = None,
    *,
    workers: int = 2,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Converted]:
    """Convert photos as `convert_photo` converts one, and yield the outcome of each, in order.

    An error with one photo is stored in its `Converted`, and the next photo follows. An output that another
    process is writing counts as failed.

    Args:
        model: the pipeline or another engine.
        jobs: the photos and their outputs; missing folders are made.
        choice: how photos are converted.
        workers: threads that read and write; 0 does all steps in sequence. Each thread holds one photo in memory.
        resume: skip photos that have been converted already (`is_finished`).
        progress: called after each tile.

    Raises:
        OutputError: the ending of an output is not a format.
        ConfigError: the mosaics of the engine cannot be written in that format.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import write_png
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     photo = Path(folder, "photo.png")
        ...     write_png(photo, torch.rand(3, 32, 48))
        ...     jobs = [Conversion(file, Path(folder, f"{file.stem}.dng")) for file in (photo, Path("lost.jpg"))]
        ...     for done in convert_photos(model, jobs, workers=0):
        ...         print(done.job.photo.name, len(done.files), done.error)
        photo.png 1 None
        lost.jpg 0 lost.jpg: No such file or directory
    """
    return Batch(model, jobs, choice, workers=workers, resume=resume).run(progress)


class Batch:
    """Photos to convert, and the steps of each conversion.

    `run` does all steps. A caller with a loop of its own uses four calls: iteration reads the photos ahead,
    `convert` predicts one and passes it to a writer, `finished` yields the outcomes that are complete, and `close`
    ends the work. Threads start and files are touched only when iteration begins.

    Args:
        model: as for `convert_photos`.
        jobs: as for `convert_photos`.
        choice: as for `convert_photos`.
        workers: as for `convert_photos`.
        resume: as for `convert_photos`.
        first: the first photo, if it is read already (`revisp.convert.early`).

    Raises:
        OutputError: the ending of an output is not a format.
        ConfigError: the mosaics of the engine cannot be written in that format.
    """

    def __init__(
        self,
        model: ReverseISP | Engine,
        jobs: Iterable[Conversion],
        choice: Choice | None = None,
        *,
        workers: int = 2,
        resume: bool = False,
        first: Future[Photo] | None = None,
    ) -> None:
        self.engine = as_engine(model)
        self.jobs = list(jobs)
        self.choice = choice or Choice()
        self.workers, self.resume = workers, resume
        self._early = {job.photo: first for job in self.jobs[:1] if first is not None}
        one_of_each_format = {job.output.suffix.lower(): job for job in self.jobs}
        for job in one_of_each_format.values():
            check_writable(self.engine, job.output, self.choice)
        self._pool: ThreadPoolExecutor | None = None
        self._one_core: ThreadPoolExecutor | None = None
        self._ahead = max(1, workers - 1) if workers else 0
        self._locks: set[FileLock] = set()
        self._new_folders: set[Path] = set()
        self._reading: deque[Future[Picked]] = deque()
        self._writing: deque[Future[Converted]] = deque()

    def share(self, rank: int, world_size: int) -> Batch:
        """Return the part of one process: every ``world_size``-th photo, starting at the ``rank``-th."""
        jobs = share(self.jobs, rank, world_size)
        return Batch(self.engine, jobs, self.choice, workers=self.workers, resume=self.resume)

    def run(self, progress: Progress | None = None) -> Iterator[Converted]:
        """Convert all photos and yield the outcome of each, in order."""
        try:
            for picked in self:
                self.convert(picked, progress)
                del picked  # its pixels, before the RAW is written
                yield from self.finished()
            yield from self.finished(wait=True)
        finally:
            self.close()

    def close(self) -> None:
        """Finish the running reads and writes, drop the rest, release all locks, and remove new empty folders."""
        for pool in (self._one_core, self._pool):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        for held in list(self._locks):
            self._release(held)
        for folder in sorted(self._new_folders, reverse=True):  # those below first
            with contextlib.suppress(OSError):  # holds results, or was never made
                folder.rmdir()

    def __iter__(self) -> Iterator[Picked]:
        """Yield the photos in order; each is read while earlier ones are predicted."""
        for folder in {job.output.parent for job in self.jobs}:
            remove_unfinished(folder)
            self._new_folders |= {place for place in (folder, *folder.parents) if not os.path.lexists(place)}
        if self.workers and self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, initializer=limit_cores, initargs=(1,))
            if len(self.jobs) > 1:
                self._one_core = ThreadPoolExecutor(1, initializer=limit_cores, initargs=(1,))
        waiting = deque(self.jobs)
        while waiting or self._reading:
            while waiting and len(self._reading) <= self._ahead:
                self._reading.append(self._submit(self._read, waiting.popleft()))
            yield self._reading.popleft().result()

    def convert(self, picked: Picked, progress: Progress | None = None) -> None:
        """Predict a photo and pass it to a writer; wait if too many results are unwritten."""
        started = time.monotonic()
        outcome, photo = picked.outcome, picked.photo
        if photo is None:
            self._writing.append(_done(outcome))
            return
        try:
            raw, note, origin = self._predict(outcome.job, photo, progress)
        except Exception as error:
            self._release(picked.lock)
            discard(outcome.job)
            self._writing.append(_done(replace(outcome, error=_told(error, outcome.job))))
            return
        outcome = replace(outcome, note=note, seconds=outcome.seconds + time.monotonic() - started)
        self._writing.append(self._submit(self._write, outcome, raw, origin, picked.lock))
        unwritten = [future for future in self._writing if not future.done()]
        if len(unwritten) > self._ahead:
            unwritten[0].exception()

    def _predict(self, job: Conversion, photo: Photo, progress: Progress | None) -> tuple[Tensor, str, Origin]:
        """Predict a photo; a small one of several on one core, so that readers and writers have the others."""

        def predict() -> tuple[Tensor, str, Origin]:
            raw, note = predict_raw(self.engine, photo, self.choice, progress)
            return raw, note, origin_of(job.photo, photo, raw, self.engine)

        if self._one_core is None or photo.srgb[0].numel() > SMALL_PHOTO:
            return predict()
        return self._one_core.submit(predict).result()

    def finished(self, *, wait: bool = False) -> Iterator[Converted]:
        """Yield the outcomes that are complete, in order.

        Args:
            wait: wait until all converted photos are written.
        """
        while self._writing and (wait or self._writing[0].done()):
            yield self._writing.popleft().result()

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._pool is not None:
            return self._pool.submit(function, *arguments)
        return _done(function(*arguments))

    def _read(self, job: Conversion) -> Picked:
        started = time.monotonic()
        held = None
        try:
            if job.destination in crashes().finished:
                return Picked(Converted(job))
            self._locks.add(held := _acquire(job.output))
            if self.resume and self._is_finished(job):
                self._release(held)
                return Picked(Converted(job))
            require_own_output(job)
            receive(job)
            early = self._early.pop(job.photo, None)
            photo = read_photo(job.photo, damaged=self.choice.damaged) if early is None else early.result()
        except Exception as error:
            self._release(held)
            discard(job)
            return Picked(Converted(job, error=_told(error, job)))
        return Picked(Converted(job, seconds=time.monotonic() - started), photo, held)

    def _is_finished(self, job: Conversion) -> bool:
        if job.target is not None:
            return is_delivered(job, preview=self.choice.preview)
        from revisp.convert.finished import is_finished  # imports the readers of RAW files

        return is_finished(job, self.choice, self.engine) and (
            job.source is None or is_newer(str(job.output), job.source)
        )

    def _write(self, outcome: Converted, raw: Tensor, origin: Origin, held: FileLock) -> Converted:
        started = time.monotonic()
        try:
            written = write_raw(outcome.job.output, raw, self.engine, origin, self.choice)
            files = deliver(outcome.job, written)
            tell_finished(outcome.job.destination)
        except Exception as error:
            return replace(outcome, error=_told(error, outcome.job))
        finally:
            self._release(held)
            discard(outcome.job)
        return replace(outcome, files=files, seconds=outcome.seconds + time.monotonic() - started)

    def _release(self, held: FileLock | None) -> None:
        """Release a lock and remove its file; a process that finds the lock is refused and does not wait."""
        if held is not None:
            self._locks.discard(held)
            with contextlib.suppress(OSError):
                Path(held.lock_file).unlink()
            held.release()


def _told(error: Exception, job: Conversion) -> Exception:
    return renamed(error, {job.photo: job.source, job.output: job.target})


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _acquire(output: Path) -> FileLock:
    """Make the output's folder and keep other processes from the output.

    Raises:
        OutputError: another process is writing the output, or the folder is not writable.
    """
    make_folder(output.parent)
    busy = f"cannot write {output}: another process is writing it"
    return lock(lock_beside(output), output, busy)
