"""Work in the background: in order, stopped when nobody waits, and one sentence for every kind of failure."""

from __future__ import annotations

import errno

import pytest

from revisp.app.work import Task, Worker
from revisp.errors import ImageError


def _done(work: object) -> Task:
    task, worker = Task(), Worker()
    worker.submit(task, work, hidden="/secret/")  # type: ignore[arg-type]
    worker.close()
    return task


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImageError("/secret/photo.jpg: cut off\n  or damaged"), "photo.jpg: cut off or damaged"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "temporary files cannot be used: No space left on device",
        ),
        (ZeroDivisionError("x"), "revisp has a fault, which its terminal explains: ZeroDivisionError"),
    ],
)
def test_every_failure_is_one_sentence(error: Exception, words: str) -> None:
    task = _done(lambda: _raise(error))
    assert task.state == "failed"
    assert task.error.endswith(words)
    assert "\n" not in task.error


def test_cancelled_work_ends_at_its_next_step_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    task, later, worker, steps = Task(), Task(), Worker(), []

    def work() -> None:
        for step in range(10):
            steps.append(step)
            if step == 2:
                task.cancel()
            task.progress(step, 10)

    def files_are_gone() -> None:
        later.cancel()
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    worker.submit(task, work)
    worker.submit(later, files_are_gone)
    worker.close()
    assert steps == [0, 1, 2]
    assert (task.state, task.error, later.state, later.error) == ("failed", "", "failed", "")
    assert caplog.records == []


def test_work_that_waits_is_dropped_at_the_end() -> None:
    worker, first, second, done = Worker(), Task(), Task(), []

    def work() -> None:
        for step in range(1_000_000):
            first.progress(step, 0)
        done.append("first")

    worker.submit(first, work)
    worker.submit(second, lambda: done.append("second"))
    worker.close(cancel=True)
    assert done == []
