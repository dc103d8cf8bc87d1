"""Prepare a data set: plan the work, announce it, do it in parallel, and continue an interrupted run.

Each finished item becomes a line of ``journal.jsonl`` at once. When all items are done, the manifest is written
and the journal removed. A line that a crash cut off is ignored at the next start, and its item is made again.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisp.camera.profile import CameraProfile
from revisp.data.entry import ARRAYS, Entry, Reject, array_path
from revisp.data.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from revisp.errors import ConfigError, DataError, OutputError
from revisp.io.atomic import remove_unfinished
from revisp.io.file_names import natural_key
from revisp.io.locking import lock, make_folder
from revisp.prepare.cameras import write_cameras
from revisp.prepare.items import Item, picture_names
from revisp.prepare.journal import JOURNAL, Journal, Outcome
from revisp.prepare.needs import bytes_needed
from revisp.prepare.options import PrepareOptions
from revisp.prepare.pool import work
from revisp.prepare.recognise import Plan, recognise
from revisp.prepare.split import assign_splits, require_scenes
from revisp.prepare.work import Done, PlannedItem, plan_job
from revisp.wording import counted

__all__ = ["ItemProgress", "Preparation", "prepare"]

ItemProgress = Callable[[int, int, str], None]
"""Called with the number of finished items, the number of all items, and a line on the last one."""

LOCK = ".lock"
"""File in a data set by which one preparation keeps others away; it stays, and is there before all others."""

ARRAY_FILE = re.compile(rf".+\.({'|'.join(ARRAYS)})\.npy")


@dataclass(frozen=True)
class Preparation:
    """The result of a preparation.

    Attributes:
        root: folder of the data set.
        manifest: the whole content of the data set.
        made: names of pictures that this call made, new or again.
        kept: names of pictures of unchanged files, which existed already.
        refused: rejections of this call.
        explicit: names in ``refused`` whose file was given by name.

    Example:
        >>> left = Preparation(Path("phone"), Manifest(Path("phone"), (), ()), ("street",), (), (), frozenset())
        >>> left.made, left.refused
        (('street',), ())
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
    progress: ItemProgress | None = None,
) -> Preparation:
    """Make a data set of camera RAW files, challenge folders, pairs, or plain photos.

    A picture of unchanged files and settings is kept; a rejected input is tried again. Pictures of files that are
    not among the inputs stay in the data set. If the call is interrupted, the next call continues.

    Worker processes import the script that calls this function: call it under ``if __name__ == "__main__":``.

    Args:
        inputs: files and folders; see `revisp.prepare.recognise`.
        root: folder of the data set; it is made if it is missing.
        options: settings; None takes the defaults.
        tell: called with a line on the planned work and the disk space that it needs.
        progress: called after each item.

    Raises:
        ConfigError: a setting names a file or program that does not exist.
        DataError: an input holds no usable file, a picture of another file has the same name, or the existing
            manifest is damaged.
        OutputError: the disk is too small or cannot be written.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from revisp.io import write_png
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     photos = [f"{folder}/room.png", f"{folder}/street.png"]
        ...     for photo in photos:
        ...         write_png(photo, torch.rand(3, 64, 96))
        ...     options = PrepareOptions(demosaic="bilinear", val=("street",), workers=1)
        ...     left = prepare(photos, f"{folder}/phone", options)
        >>> [(entry.name, entry.kind, entry.split) for entry in left.manifest.entries]
        [('room', 'simulated', 'train'), ('street', 'simulated', 'val')]
    """
    options, root = options or PrepareOptions(), Path(root)
    _check_settings(options)
    plan = recognise([Path(given) for given in inputs], options, root)
    _require_ours(root)
    make_folder(root / "arrays")
    with _locked(root):
        state = _State(root, plan, options)
        todo = state.todo()
        needed, free = bytes_needed([job.item for job in todo], options), shutil.disk_usage(root).free
        if tell is not None:
            tell(_announcement(len(plan.items), len(todo), needed, free))
        if needed > free:
            raise OutputError(
                f"{root}: the data set needs about {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free"
            )
        with contextlib.closing(work(todo, options, root, state.begin)) as finished:
            for count, (job, done) in enumerate(finished, start=1):
                for message, category in done.warnings:
                    warnings.warn(message, category, stacklevel=2)
                state.add(done)
                if progress is not None:
                    progress(count, len(todo), _line(job.item, done.outcomes))
        return state.finish()


class _State:
    """The outcome of each item; kept in the journal until the manifest is written."""

    def __init__(self, root: Path, plan: Plan, options: PrepareOptions) -> None:
        self.root, self.plan, self.options = root, plan, options
        self.journal = Journal(root)
        self.jobs = [plan_job(item, options) for item in plan.items]
        self.before = read_manifest(root) if (root / MANIFEST).exists() else Manifest(root, (), ())
        known: list[Outcome] = [*self.before.entries, *self.before.rejects]
        self.outcomes = {outcome.name: outcome for outcome in known}
        lines = self.journal.read()
        for line in lines:
            self._take(line)
        self.made: list[str] = []
        self.resumed = any(isinstance(part, Entry) for line in lines for part in line)
        self._check_names()
        require_scenes(options, {entry.scene for entry in self._entries()} | {item.scene for item in plan.items})

    def todo(self) -> list[PlannedItem]:
        """Return the jobs that have no pictures of their present files, or were rejected."""
        present = {file.name for file in (self.root / "arrays").iterdir()}
        good: set[str] = set()
        bad: set[str] = set()
        for outcome in self.outcomes.values():
            whole = isinstance(outcome, Entry) and _files_of(self.root, outcome) <= present
            (good if whole else bad).add(outcome.fingerprint)
        return [job for job in self.jobs if _is_to_do({job.mark, job.rendered_mark}, good, bad)]

    def begin(self, job: PlannedItem) -> None:
        """Record that the arrays of the pictures of an item are about to change, if it has pictures."""
        path = job.sources[0]["path"]
        names = picture_names(job.item, self.options)
        begun = [entry.name for entry in self._entries() if entry.name in names or path in _paths(entry)]
        if begun:
            self.journal.begun(begun)

    def add(self, done: Done) -> None:
        """Record the outcome of an item, on disk at once."""
        self.journal.finished(done.outcomes)
        self._take(done.outcomes)
        self.made += [outcome.name for outcome in done.outcomes if isinstance(outcome, Entry)]

    def _take(self, line: Sequence[Outcome] | Sequence[str]) -> None:
        """Add outcomes and replace older ones of the same files; or remove pictures by their names."""
        names = {part for part in line if isinstance(part, str)}
        outcomes = [part for part in line if not isinstance(part, str)]
        paths = {path for outcome in outcomes for path in _paths(outcome)}
        self.outcomes = {
            name: outcome
            for name, outcome in self.outcomes.items()
            if name not in names and not paths & _paths(outcome)
        }
        self.outcomes |= {outcome.name: outcome for outcome in outcomes}

    def _entries(self) -> list[Entry]:
        return [outcome for outcome in self.outcomes.values() if isinstance(outcome, Entry)]

    def _check_names(self) -> None:
        """Refuse to replace a picture of another file, unless that file was deleted.

        Raises:
            DataError: a picture of another existing file has the name of a new one.
        """
        owners = {name: job for job in self.jobs for name in picture_names(job.item, self.options)}
        paths = {job.sources[0]["path"] for job in self.jobs}
        for entry in self._entries():
            job = owners.get(entry.name)
            for path in _paths(entry) - paths:
                if job is not None and Path(path).exists():
                    raise DataError(
                        f"{job.item.files[0]} would be called {entry.name!r}, which in {self.root} is {path}: "
                        "rename it, or prepare it into another data set"
                    )

    def finish(self) -> Preparation:
        """Divide into training and validation, write the manifest, and remove arrays that are not in it."""
        rejects = [outcome for outcome in self.outcomes.values() if isinstance(outcome, Reject)]
        entries = assign_splits(self._entries(), self.before.entries, self.options)
        manifest = Manifest(
            self.root,
            tuple(sorted(entries, key=lambda entry: natural_key(entry.name))),
            tuple(sorted(rejects, key=lambda reject: natural_key(reject.name))),
        )
        if manifest != self.before or not (self.root / MANIFEST).is_file():
            write_manifest(self.root, entries, rejects)
        if self.made or self.resumed or manifest.entries != self.before.entries:
            write_cameras(manifest)
        self.journal.remove()
        _remove_strays(manifest)
        marks = {mark: job.item.name for job in self.jobs for mark in (job.mark, job.rendered_mark)}
        refused = tuple(reject for reject in manifest.rejects if reject.fingerprint in marks)
        kept = [entry.name for entry in manifest.entries if entry.fingerprint in marks]
        return Preparation(
            self.root,
            manifest,
            tuple(sorted(self.made, key=natural_key)),
            tuple(name for name in kept if name not in set(self.made)),
            refused,
            frozenset(reject.name for reject in refused if marks[reject.fingerprint] in self.plan.explicit),
        )


def _paths(outcome: Outcome) -> set[str]:
    """Return the path of the first file of an outcome, if it has one."""
    return {source["path"] for source in outcome.sources[:1]}


def _is_to_do(marks: set[str], good: set[str], bad: set[str]) -> bool:
    """Whether an item with these fingerprints has something that is not good, or nothing that is."""
    return bool(marks & bad) or not marks & good


def _files_of(root: Path, entry: Entry) -> set[str]:
    return {array_path(root, entry.name, what).name for what in ARRAYS if what != "valid" or entry.has_valid}


def _check_settings(options: PrepareOptions) -> None:
    """Refuse settings that would fail for every file.

    Raises:
        ConfigError: a style or converter is unknown, a program is not installed, or a camera file is damaged.
    """
    from revisp.io.camera_file import load_camera
    from revisp.io.converters import CONVERTERS, STYLES, available_converters

    for what, names, choices in (("style", options.styles, STYLES), ("converter", options.converters, CONVERTERS)):
        if unknown := [name for name in names if name not in choices]:
            raise ConfigError(f"unknown {what} {unknown[0]!r}: use {', '.join(choices)}")
    if missing := [name for name in options.converters if name not in available_converters()]:
        raise ConfigError(f"the converter {missing[0]} is not installed, install its program or leave it out")
    for _, profile in options.profiles:
        CameraProfile.load(profile)
    if options.camera is not None:
        load_camera(options.camera)


def _require_ours(root: Path) -> None:
    """Require that a folder is a data set, or holds nothing that a preparation replaces or removes.

    Raises:
        OutputError: it is another folder, with files of such names.
    """
    if any((root / name).exists() for name in (MANIFEST, JOURNAL, LOCK)):
        return
    arrays = (path for path in root.glob("arrays/*") if ARRAY_FILE.fullmatch(path.name))
    for path in (*arrays, *root.glob("sheet*.png"), *root.glob("cameras/*")):
        raise OutputError(
            f"{root}: holds {path.relative_to(root)} and is no data set of revisp-prepare: choose another"
        )


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep a second preparation of the same data set away; the lock ends with the process.

    Unfinished files of killed runs and workers are removed before and after.
    """
    held = lock(root / LOCK, root, f"{root}: another revisp-prepare is at work on this data set")
    try:
        _remove_parts(root)
        yield
    finally:
        _remove_parts(root)
        held.release()


def _announcement(items: int, todo: int, needed: int, free: int) -> str:
    return (
        f"{counted(items, 'item')}, {items - todo} of them prepared already; {todo} to do, about "
        f"{needed / 1e9:.2f} GB of disk ({free / 1e9:.0f} GB free)"
    )


def _line(item: Item, outcomes: Sequence[Outcome]) -> str:
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            return f"rejected {outcome.reason}"
    kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, Entry)]
    return f"{item.name}: {kinds[0]}" + (f" x {len(kinds)}" if len(kinds) > 1 else "")


def _remove_parts(root: Path) -> None:
    for folder in (root, root / "arrays", root / "cameras"):
        remove_unfinished(folder)


def _remove_strays(manifest: Manifest) -> None:
    """Remove arrays that belong to no picture: those of changed inputs, or left by a crash."""
    wanted = {name for entry in manifest.entries for name in _files_of(manifest.root, entry)}
    for file in (manifest.root / "arrays").iterdir():
        if file.name not in wanted and ARRAY_FILE.fullmatch(file.name):
            file.unlink(missing_ok=True)
