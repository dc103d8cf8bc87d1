"""A preparation from files to data set: planned, told, done in parallel, and continued where it was stopped.

What a worker finishes is added to ``journal.jsonl`` at once, a line an item; the manifest is written when all is
done, and the journal removed. A line that a crash cut short is left out on the next start, and its item made anew.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from revisp.data.manifest import (
    MANIFEST,
    Entry,
    Manifest,
    Reject,
    array_path,
    natural_key,
    read_manifest,
    write_manifest,
)
from revisp.errors import DataError, OutputError
from revisp.prepare.cameras import write_cameras
from revisp.prepare.disk import bytes_needed
from revisp.prepare.items import Item
from revisp.prepare.options import PrepareOptions
from revisp.prepare.recognise import Plan, recognise
from revisp.prepare.split import assign_splits
from revisp.prepare.work import fingerprint, limit_threads, process

__all__ = ["Preparation", "Progress", "prepare"]

JOURNAL = "journal.jsonl"

Outcome = Entry | Reject
Progress = Callable[[int, int, str], None]
"""Called with items done, items in all, and a line on the last one."""


@dataclass(frozen=True)
class Preparation:
    """What a preparation left.

    Attributes:
        root: the data set.
        manifest: all that is in it now.
        made: names of pictures that were made, or made anew.
        kept: names of pictures that were there already, of unchanged files.
        refused: what this call tried and could not use.
        explicit: names in ``refused`` whose file was given outright.
    """

    root: Path
    manifest: Manifest
    made: tuple[str, ...]
    kept: tuple[str, ...]
    refused: tuple[Reject, ...]
    explicit: frozenset[str]


def prepare(
    inputs: Sequence[str | Path],
    root: str | Path,
    options: PrepareOptions | None = None,
    *,
    tell: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Preparation:
    """Make a data set of camera RAW files, challenge folders, pairs, or plain photos.

    A picture of unchanged files and settings is kept as it is; a rejected input is tried again. Pictures in the
    data set of files that are not among the inputs stay. Interrupted at any moment, the next call goes on.

    Args:
        inputs: files and folders; see `revisp.prepare.recognise`.
        root: folder of the data set, made where it is missing.
        options: settings; None takes the defaults.
        tell: called with a line on what is about to be done, and how much disk it needs.
        progress: called after each item.

    Raises:
        DataError: an input holds nothing of use, or a manifest that is there already is damaged.
        OutputError: the disk is too small, or cannot be written.
    """
    options, root = options or PrepareOptions(), Path(root)
    plan = recognise([Path(given) for given in inputs], options, root)
    _make_folders(root)
    with _locked(root):
        state = _State(root, plan, options)
        todo = state.todo()
        if tell is not None:
            tell(_announcement(plan, todo, state))
        _require_space(root, todo, options)
        for done, (item, outcomes) in enumerate(_work(todo, options, root), start=1):
            state.add(item, outcomes)
            if progress is not None:
                progress(done, len(todo), _line(item, outcomes))
        result = state.finish()
        if result.made:
            write_cameras(result.manifest)
        return result


class _State:
    """Which outcome each item has; kept in the journal until the manifest is written."""

    def __init__(self, root: Path, plan: Plan, options: PrepareOptions) -> None:
        self.root, self.plan, self.options = root, plan, options
        self.marks = {item.name: fingerprint(item, options) for item in plan.items}
        self.before = _existing(root)
        known: list[Outcome] = [*self.before.entries, *self.before.rejects]
        self.outcomes = {outcome.name: outcome for outcome in known}
        for outcomes in _read_journal(root / JOURNAL):
            self._replace(outcomes)
        self.made: list[str] = []

    def todo(self) -> list[Item]:
        """Return the items without pictures of their present files, and those that were rejected."""
        good: dict[str, list[Entry]] = {}
        bad = {outcome.fingerprint for outcome in self.outcomes.values() if isinstance(outcome, Reject)}
        for outcome in self.outcomes.values():
            if isinstance(outcome, Entry):
                good.setdefault(outcome.fingerprint, []).append(outcome)
        return [
            item
            for item in self.plan.items
            if (mark := self.marks[item.name]) in bad
            or mark not in good
            or not all(array_path(self.root, entry.name, "raw").is_file() for entry in good[mark])
        ]

    def add(self, item: Item, outcomes: list[Outcome]) -> None:
        """Record what an item became, on disk at once."""
        line = json.dumps([outcome.to_dict() for outcome in outcomes], allow_nan=False)
        try:
            with (self.root / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(line + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.root / JOURNAL}: {error.strerror or error}") from error
        self._replace(outcomes)
        self.made += [outcome.name for outcome in outcomes if isinstance(outcome, Entry)]

    def _replace(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes in, in the place of older ones of the same files."""
        paths = {source["path"] for outcome in outcomes for source in outcome.sources[:1]}
        self.outcomes = {
            name: outcome
            for name, outcome in self.outcomes.items()
            if not (outcome.sources and outcome.sources[0]["path"] in paths)
        }
        self.outcomes |= {outcome.name: outcome for outcome in outcomes}

    def finish(self) -> Preparation:
        """Divide into training and validation, write the manifest, and remove what is no more in it."""
        entries = [outcome for outcome in self.outcomes.values() if isinstance(outcome, Entry)]
        rejects = [outcome for outcome in self.outcomes.values() if isinstance(outcome, Reject)]
        entries = assign_splits(entries, self.before.entries, self.options)
        manifest = Manifest(
            self.root,
            tuple(sorted(entries, key=lambda entry: natural_key(entry.name))),
            tuple(sorted(rejects, key=lambda reject: natural_key(reject.name))),
        )
        if manifest != self.before or not (self.root / MANIFEST).is_file():
            write_manifest(self.root, entries, rejects)
        (self.root / JOURNAL).unlink(missing_ok=True)
        _remove_strays(self.root, {entry.name for entry in entries})
        marks = set(self.marks.values())
        refused = tuple(reject for reject in manifest.rejects if reject.fingerprint in marks)
        explicit = {self.marks[name] for name in self.plan.explicit}
        kept = [entry.name for entry in entries if entry.fingerprint in marks and entry.name not in self.made]
        return Preparation(
            self.root,
            manifest,
            tuple(sorted(self.made, key=natural_key)),
            tuple(sorted(kept, key=natural_key)),
            refused,
            frozenset(reject.name for reject in refused if reject.fingerprint in explicit),
        )


def _existing(root: Path) -> Manifest:
    return read_manifest(root) if (root / MANIFEST).exists() else Manifest(root, (), ())


def _read_journal(path: Path) -> Iterator[list[Outcome]]:
    """Yield the outcomes of each whole line; a last line without its end was cut short by a crash.

    Raises:
        DataError: a whole line is not what was written.
    """
    if not path.is_file():
        return
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            outcomes = [_outcome(values) for values in json.loads(line)]
        except (ValueError, TypeError, KeyError, DataError) as error:
            raise DataError(f"{path}:{number}: damaged ({error}); remove the file to begin anew") from error
        yield outcomes


def _outcome(values: dict[str, Any]) -> Outcome:
    return Reject.from_dict(values) if values["status"] == "rejected" else Entry.from_dict(values)


def _work(todo: Sequence[Item], options: PrepareOptions, root: Path) -> Iterator[tuple[Item, list[Outcome]]]:
    """Process items, in parallel where there are several; yield each as it is finished.

    Workers are started afresh rather than forked: LibRaw's threads do not survive a fork.
    """
    workers = min(options.workers or os.cpu_count() or 1, len(todo))
    if workers <= 1:
        yield from ((item, process(item, options, root)) for item in todo)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=limit_threads, initargs=(workers,))
    try:
        waiting: dict[Future[list[Outcome]], Item] = {}
        queue = iter(todo)
        while True:
            while len(waiting) < 2 * workers and (item := next(queue, None)) is not None:
                waiting[pool.submit(process, item, options, root)] = item
            if not waiting:
                return
            for finished in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(finished), finished.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was ended from outside, for lack of memory perhaps: "
            "start again with fewer, --workers 1; what was finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _make_folders(root: Path) -> None:
    try:
        (root / "arrays").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {root}: {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep a second preparation of the same data set away; the lock ends with the process, however it ends."""
    lock = FileLock(root / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(f"{root}: another revisp-prepare is at work on this data set") from None
    except OSError as error:
        raise OutputError(f"cannot write {root}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _require_space(root: Path, todo: Sequence[Item], options: PrepareOptions) -> None:
    free, needed = shutil.disk_usage(root).free, bytes_needed(todo, options)
    if needed > free:
        raise OutputError(
            f"{root}: the data set needs about {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free there"
        )


def _announcement(plan: Plan, todo: Sequence[Item], state: _State) -> str:
    needed = bytes_needed(todo, state.options)
    free = shutil.disk_usage(state.root).free
    known = len(plan.items) - len(todo)
    return (
        f"{len(plan.items)} items, {known} of them prepared already; {len(todo)} to do need about "
        f"{needed / 1e9:.2f} GB of disk ({free / 1e9:.0f} GB free)"
    )


def _line(item: Item, outcomes: Sequence[Outcome]) -> str:
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            return f"rejected {outcome.reason}"
    kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, Entry)]
    return f"{item.name}: {kinds[0]}" + (f" x {len(kinds)}" if len(kinds) > 1 else "")


def _remove_strays(root: Path, names: set[str]) -> None:
    """Remove arrays that belong to no picture: of changed inputs, or left by a crash."""
    for file in (root / "arrays").iterdir():
        if file.name.rsplit(".", 2)[0] not in names or file.suffix == ".part":
            file.unlink(missing_ok=True)
