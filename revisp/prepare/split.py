"""Divide scenes into training and validation; a scene keeps its side when more scenes are added."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Iterable

from revisp.data.entry import Entry
from revisp.errors import DataError, near_miss
from revisp.prepare.options import PrepareOptions

__all__ = ["assign_splits", "require_scenes"]


def assign_splits(entries: Iterable[Entry], before: Iterable[Entry], options: PrepareOptions) -> list[Entry]:
    """Return the entries with their split.

    The scenes in ``options.val`` validate. Without it, scenes that have a split keep it. New scenes are ordered by
    a hash of their names; the number that brings the share nearest to ``options.val_share`` validates. If there
    are two scenes or more, at least one validates, unless the share is 0.

    Raises:
        DataError: ``options.val`` names a scene that does not exist, or names every scene.
    """
    entries = list(entries)
    scenes = {entry.scene for entry in entries}
    if options.val is not None:
        require_scenes(options, scenes)
        chosen = set(options.val)
        if scenes and chosen == scenes:
            raise DataError("all scenes are named to validate with, none is left to train with")
    else:
        chosen = _drawn(scenes, {entry.scene: entry.split for entry in before}, options.val_share)
    if scenes and not chosen and options.val_share > 0:
        why = "a single scene: all of it is" if len(scenes) == 1 else "the scenes that validated are gone: all are"
        warnings.warn(f"{why} for training, nothing to validate with; --val names scenes that do", stacklevel=2)
    return [dataclasses.replace(entry, split="val" if entry.scene in chosen else "train") for entry in entries]


def require_scenes(options: PrepareOptions, scenes: set[str]) -> None:
    """Require that the scenes to validate with exist.

    Raises:
        DataError: ``options.val`` names a scene that does not exist.
    """
    if unknown := [name for name in options.val or () if name not in scenes]:
        raise DataError(f"--val: {near_miss('scene', unknown[0], sorted(scenes))}")


def _drawn(scenes: set[str], known: dict[str, str], share: float) -> set[str]:
    chosen = {scene for scene in scenes if known.get(scene) == "val"}
    if len(scenes) < 2 or share == 0:
        return chosen
    wanted = min(max(1, round(share * len(scenes))), len(scenes) - 1)
    new = sorted(scenes - set(known), key=lambda scene: hashlib.sha256(scene.encode()).digest())
    return chosen | set(new[: max(0, wanted - len(chosen))])
