"""Process one item to its entries: the job of a worker process."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from revisp.data.entry import Reject, Source
from revisp.errors import DataError, OutputError, RevispError
from revisp.io.boundary import decoding
from revisp.prepare.items import ChallengeTile, Item, LonelyPhoto, MosaicFile, PairFile, PlainPhoto, RawFile
from revisp.prepare.journal import Outcome
from revisp.prepare.options import PrepareOptions
from revisp.prepare.store import AlignedPair, Store

__all__ = ["WORK_FORMAT", "Done", "PlannedItem", "plan_job", "process", "rejection", "sources_of"]

WORK_FORMAT = 2
"""Version of the computation. Raise it when the arrays change, so that old pictures are made again."""


@dataclass(frozen=True)
class PlannedItem:
    """A snapshot of an item and its files at planning time.

    If a file changes later, its fingerprint differs and the next run does the item again.

    Attributes:
        item: the item.
        sources: path, size and time of its files.
        mark: fingerprint of its pictures, except those that a converter renders.
        rendered_mark: fingerprint of the pictures that a converter renders, and of a rejection.
    """

    item: Item
    sources: tuple[Source, ...]
    mark: str
    rendered_mark: str


class Done(NamedTuple):
    """The result of a job.

    Attributes:
        outcomes: its pictures, and a rejection if there was one.
        warnings: message and category of each warning.
    """

    outcomes: list[Outcome]
    warnings: list[tuple[str, type[Warning]]]


def plan_job(item: Item, options: PrepareOptions) -> PlannedItem:
    """Record the state of the files of an item."""
    sources = sources_of(item)
    mark, rendered = (_fingerprint(item, sources, options, rendered=rendered) for rendered in (False, True))
    return PlannedItem(item, sources, mark, rendered)


def process(job: PlannedItem, options: PrepareOptions, root: Path) -> Done:
    """Make the pictures of an item, or its rejection with the reason. Only arrays are written.

    Raises:
        OutputError: a file cannot be written; later files could not be written either.
    """
    with warnings.catch_warnings(record=True) as caught:
        outcomes = _outcomes(job, options, root)
    said = [(str(warning.message), warning.category) for warning in caught]
    return Done(outcomes, list(dict.fromkeys(said)))


def _outcomes(job: PlannedItem, options: PrepareOptions, root: Path) -> list[Outcome]:
    store, item = Store(root, options.demosaic), job.item
    outcomes: list[Outcome] = []
    try:
        with decoding(item.files[0], "cannot be prepared"):
            for picture in _pictures(item, options):
                mark = job.mark if picture.converter is None else job.rendered_mark
                outcomes.append(store.add(picture, scene=item.scene, sources=job.sources, fingerprint=mark))
    except OutputError:
        raise
    except RevispError as error:
        return [*outcomes, rejection(job, str(error), outcomes)]
    return outcomes


def rejection(job: PlannedItem, reason: str, made: Sequence[Outcome] = ()) -> Reject:
    """Return the rejection of an item, with a reason in one line that names the file.

    Args:
        job: the item.
        reason: why it is refused.
        made: its pictures that were made all the same; the rejection gets a name that none of them has.
    """
    files = [" ".join(str(file).split()) for file in job.item.files]
    line = " ".join(reason.split())
    named = line if any(file in line for file in files) else f"{files[0]}: {line}"
    return Reject(_free_name(job.item, made), job.sources, job.rendered_mark, named)


def _pictures(item: Item, options: PrepareOptions) -> Iterator[AlignedPair]:
    if isinstance(item, RawFile | MosaicFile):
        from revisp.prepare.camera_files import camera_pictures

        yield from camera_pictures(item, options)
    elif isinstance(item, ChallengeTile):
        from revisp.prepare.challenge_tiles import challenge_picture

        yield challenge_picture(item, options)
    elif isinstance(item, PairFile):
        from revisp.prepare.pairs import pair_picture

        yield pair_picture(item, options)
    elif isinstance(item, PlainPhoto):
        from revisp.prepare.photos import simulated_pictures

        yield from simulated_pictures(item, options)
    else:
        from revisp.prepare.camera_files import why_lonely

        assert isinstance(item, LonelyPhoto)
        raise DataError(why_lonely(item))


def _free_name(item: Item, outcomes: Sequence[Outcome]) -> str:
    """Return a name for a rejection that no picture of the item has."""
    return item.name if all(outcome.name != item.name for outcome in outcomes) else f"{item.name}.rejected"


def sources_of(item: Item) -> tuple[Source, ...]:
    """Return path, size and time of the files of an item, to detect changes; zeros for a missing file."""
    found: list[Source] = []
    for file in item.files:
        try:
            state = file.stat()
            size, time = state.st_size, state.st_mtime_ns
        except OSError:  # reading the file reports the fault
            size, time = 0, 0
        found.append({"path": os.path.realpath(file), "size": size, "mtime_ns": time})
    return tuple(found)


def _fingerprint(item: Item, sources: tuple[Source, ...], options: PrepareOptions, *, rendered: bool) -> str:
    """Return a hash of everything that the pictures depend on: name and files of the item, and its settings."""
    used: dict[str, Any] = {"format": WORK_FORMAT, "item": type(item).__name__, "demosaic": options.demosaic}
    used |= {"name": item.name, "scene": item.scene}
    used["files"] = [(Path(s["path"]).name, s["size"], s["mtime_ns"]) for s in sources]
    if options.damaged != "refuse":
        used["damaged"] = options.damaged
    extra: list[Path] = []
    if isinstance(item, RawFile | MosaicFile):
        used |= {"min_preview": options.min_preview, "gain_maps": options.gain_maps}
        if rendered:
            used |= {"developers": options.converters, "styles": options.styles}
    if isinstance(item, MosaicFile):
        extra.append(item.profile)
    if isinstance(item, PairFile):
        extra.append(item.files[0].parent.parent / "profile.json")
    if isinstance(item, PlainPhoto):
        used |= {"cameras": options.cameras, "seed": options.seed}
        extra += [] if options.camera is None else [options.camera]
    used["contents"] = [_hash_of_file(path) for path in extra]
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:24]


def _hash_of_file(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # reading the file reports the fault
        return None
