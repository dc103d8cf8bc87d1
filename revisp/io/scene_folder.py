"""The scenes of a folder, the same for every command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from revisp.errors import ImageError
from revisp.io.file_names import SCENE_ENDINGS, natural_key
from revisp.io.gain_map import gain_map_beside, has_gain_map

__all__ = ["find_scenes", "is_scene"]

_HEAD = 1 << 16
"""Bytes of a JPEG in which it says that it has a gain map."""


def is_scene(path: Path) -> bool:
    """Whether a file is one to read as a scene: by its ending, or by a gain map in or beside it."""
    if path.suffix.lower() in SCENE_ENDINGS:
        return True
    if path.suffix.lower() in (".jpg", ".jpeg"):
        try:
            with path.open("rb") as file:
                if has_gain_map(file.read(_HEAD)):
                    return True
        except OSError:
            return False
    return gain_map_beside(path) is not None


def find_scenes(given: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Return scene files by name, in natural order.

    Args:
        given: a folder, whose subfolders are searched but for hidden ones, or files.

    Returns:
        Files by their place in the folder, without ending; by the whole of it where two have the same.

    Raises:
        ImageError: no such folder, or no scene in it.
    """
    if not isinstance(given, str | Path):
        paths = [Path(path) for path in given]
        names = [path.name for path in paths]
        return _named({(path.name if names.count(path.name) == 1 else path.as_posix()): path for path in paths})
    root = Path(given)
    if not root.is_dir():
        raise ImageError(f"{root}: no such folder of scenes")
    places = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    shown = {
        place: path for place, path in places.items() if not any(part.startswith(".") for part in place.parts)
    }
    found = {place.as_posix(): path for place, path in shown.items() if is_scene(path)}
    if not found:
        raise ImageError(f"{root}: no scenes in it ({', '.join(SCENE_ENDINGS)}, or pictures with a gain map)")
    return _named(found)


def _named(found: dict[str, Path]) -> dict[str, Path]:
    stems = [Path(place).with_suffix("").as_posix() for place in found]
    unique = {place: stem if stems.count(stem) == 1 else place for place, stem in zip(found, stems, strict=True)}
    return {unique[place]: found[place] for place in sorted(found, key=natural_key)}
