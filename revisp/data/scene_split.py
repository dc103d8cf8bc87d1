"""Which scenes are learnt from, validated with and tested with: by their names, copies of a scene together."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from revisp.data.scene_cache import CachedScene
from revisp.errors import DataError
from revisp.io.file_names import natural_key
from revisp.wording import counted

__all__ = ["SPLITS", "Split", "split_scenes"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

HELD_BACK = {"test": 0.1, "val": 0.1}
"""Share of the scenes that are held back."""


def split_scenes(
    scenes: Sequence[CachedScene], val: Sequence[str] | str | None = None
) -> dict[Split, list[CachedScene]]:
    """Divide scenes for good: a scene stays where it is when others come or go.

    A hash of the name decides, without the size at its end (``_4k``). Files that show the same scene stay
    together. Where the hash holds none back for validation, the nearest is.

    Args:
        scenes: all.
        val: scenes, or folders of scenes, to validate with instead; nothing is held back for a test then.

    Raises:
        DataError: nothing is left to learn from, or none is named so.
    """
    groups = _groups(scenes)
    if val is not None:
        held = _named(scenes, [val] if isinstance(val, str) else val)
        chosen = [group for group in groups if any(scene.name in held for scene in group)]
        parts: dict[Split, list[list[CachedScene]]] = {
            "train": [group for group in groups if group not in chosen], "val": chosen, "test": []
        }  # fmt: skip
    else:
        groups.sort(key=_place)
        parts = {split: [group for group in groups if _split_of(_place(group)) == split] for split in SPLITS}
        if not parts["val"] and len(parts["train"]) > 1:
            parts["val"] = [parts["train"].pop(0)]
    if not parts["train"]:
        raise DataError(
            f"of {counted(len(scenes), 'scene')} none is left to learn from: "
            f"at least two different ones are needed"
        )
    return {
        split: sorted((scene for group in part for scene in group), key=lambda scene: natural_key(scene.name))
        for split, part in parts.items()
    }


def _split_of(place: float) -> Split:
    if place < HELD_BACK["test"]:
        return "test"
    return "val" if place < HELD_BACK["test"] + HELD_BACK["val"] else "train"


def _groups(scenes: Sequence[CachedScene]) -> list[list[CachedScene]]:
    """Return files by the scene that they show."""
    groups: list[list[CachedScene]] = []
    for scene in sorted(scenes, key=lambda scene: natural_key(scene.name)):
        same = [group for group in groups if any(_same(scene, other) for other in group)]
        for group in same:
            groups.remove(group)
        groups.append([*(other for group in same for other in group), scene])
    return groups


def _same(one: CachedScene, other: CachedScene) -> bool:
    return _base(one.name) == _base(other.name) or one.shows_same(other)


def _base(name: str) -> str:
    return re.sub(r"[_-]\d+k$", "", Path(name).name.lower())


def _place(group: Sequence[CachedScene]) -> float:
    """Return where in [0, 1) a hash puts a scene; of several names the first in order counts."""
    first = min(_base(scene.name) for scene in group)
    return int.from_bytes(hashlib.sha256(os.fsencode(first)).digest()[:4], "big") / 2**32


def _named(scenes: Sequence[CachedScene], names: Sequence[str]) -> set[str]:
    held: set[str] = set()
    for name in names:
        wanted = str(name).rstrip("/")
        found = [
            scene.name
            for scene in scenes
            if wanted in (scene.name, Path(scene.name).name, *(str(parent) for parent in Path(scene.name).parents))
        ]
        if not found:
            raise DataError(f"no scene or folder to validate with is named {wanted!r}")
        held |= set(found)
    return held
