"""One item to its entries: what a worker process does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from revisp.data.manifest import Entry, Reject
from revisp.errors import OutputError, RevispError
from revisp.prepare.items import ChallengeTile, Item, LonelyPhoto, MosaicFile, PairFile, PlainPhoto, RawFile
from revisp.prepare.options import PrepareOptions
from revisp.prepare.store import Picture, Store

__all__ = ["FORMAT", "fingerprint", "limit_threads", "process", "sources_of"]

FORMAT = 1
"""Of the data set; a change of what is computed must raise it, so that old pictures are made anew."""


def process(item: Item, options: PrepareOptions, root: Path) -> list[Entry | Reject]:
    """Make the pictures of an item, or say why there are none; writes arrays only.

    Raises:
        OutputError: a file cannot be written: nothing that follows could be either.
    """
    sources, mark = sources_of(item), fingerprint(item, options)
    store = Store(root, options.demosaic)
    entries: list[Entry | Reject] = []
    try:
        for picture in _pictures(item, options):
            entries.append(store.add(picture, scene=item.scene, sources=sources, fingerprint=mark))
    except OutputError:
        raise
    except RevispError as error:
        reason = " ".join(str(error).split())
        return [*entries, Reject(_free_name(item, entries), tuple(sources), mark, reason)]
    return entries


def _pictures(item: Item, options: PrepareOptions) -> Iterator[Picture]:
    if isinstance(item, RawFile | MosaicFile):
        from revisp.prepare.camera_files import camera_pictures

        yield from camera_pictures(item, options)
    elif isinstance(item, ChallengeTile):
        from revisp.prepare.challenge_tiles import challenge_picture

        yield challenge_picture(item)
    elif isinstance(item, PairFile):
        from revisp.prepare.pairs import pair_picture

        yield pair_picture(item)
    elif isinstance(item, PlainPhoto):
        from revisp.prepare.photos import simulated_pictures

        yield from simulated_pictures(item, options)
    else:
        from revisp.errors import DataError
        from revisp.prepare.camera_files import why_lonely

        assert isinstance(item, LonelyPhoto)
        raise DataError(why_lonely(item))


def _free_name(item: Item, entries: list[Entry | Reject]) -> str:
    """Return a name for a rejection that no picture of the item has."""
    return item.name if all(entry.name != item.name for entry in entries) else f"{item.name}.rejected"


def sources_of(item: Item) -> list[dict[str, Any]]:
    """Return path, size and time of the item's files, by which a change is seen."""
    found = []
    for file in item.files:
        state = file.stat()
        found.append({"path": str(file.resolve()), "size": state.st_size, "mtime_ns": state.st_mtime_ns})
    return found


def fingerprint(item: Item, options: PrepareOptions) -> str:
    """Return a hash of all that decides what an item becomes: its files, and the settings that concern it."""
    used: dict[str, Any] = {"format": FORMAT, "item": type(item).__name__, "demosaic": options.demosaic}
    used["files"] = [(Path(s["path"]).name, s["size"], s["mtime_ns"]) for s in sources_of(item)]
    extra: list[Path] = []
    if isinstance(item, RawFile | MosaicFile):
        used |= {"min_preview": options.min_preview}
        if len(item.files) == 1:
            used |= {"developers": options.developers, "styles": options.styles}
    if isinstance(item, MosaicFile):
        extra.append(item.profile)
    if isinstance(item, PairFile):
        extra.append(item.files[0].parent.parent / "profile.json")
    if isinstance(item, PlainPhoto):
        used |= {"cameras": options.cameras, "seed": options.seed}
        extra += [] if options.camera is None else [options.camera]
    used["contents"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in extra if path.is_file()]
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:24]


def limit_threads(workers: int) -> None:
    """Share the cores among worker processes; called once in each."""
    import os

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
