"""Scenes decoded once to pyramids on disk, of which views read only the part and the resolution that they show."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from revisp.camera.isp import srgb_to_linear
from revisp.camera.panorama import halved, smoothed_poles
from revisp.errors import DataError, ImageError
from revisp.io.atomic import atomic_write
from revisp.io.locking import begin_folder
from revisp.io.npy import open_npy
from revisp.io.photo import read_srgb
from revisp.io.scene import Scene, read_scene
from revisp.schema import Number, Numbers, Text, Whole, build, check_fields, own_name, parse_file

__all__ = ["SCENE_LIST", "CachedScene", "SceneCache", "SceneKind", "read_scene_list", "write_scene_list"]

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
SceneKind = Literal["panorama", "picture", "photo"]
"""A picture is linear light like a panorama; a photo is decoded sRGB, whose highlights are cut off."""

MOST_OPEN = 256
"""Scenes that a process keeps open: to open one takes as long as a step of its rendering."""

CACHE_FORMAT = 1
"""Of the files; another number means another layout."""

MAX_SIDE = {"panorama": 4096, "picture": 4096, "photo": 2048}
"""Longest side in pixels: larger scenes are halved until they fit. 4096 columns are 11 a degree."""

SCENE_LIST = "scenes.json"
"""Names the scenes of a folder that `revisp-prepare` made."""

LEAST_SIDE = 16
"""Shorter side of the last level, at least."""

STORED_TOP = 2.0**15
"""What the brightest value is stored as: float16 keeps eleven bits of what lies up to 29 EV below."""

SCENE_FLOOR = -35.0
"""Degrees above the horizon down to which a panorama is looked at: tripods and their retouching lie below."""

SKY_FLOOR = 1.0
"""The same of a pure sky, whose lower half is made up and smooth."""

SMOOTH_EV = 0.010
"""Median difference in EV of neighbouring pixels, at 1024 columns or fewer, below which a lower half is made up.
Of 50 panoramas, five pure skies have at most 0.008 below -22 degrees, all others at least 0.013."""

THUMBNAIL_BLOCKS = (8, 16)
BLOCKS = THUMBNAIL_BLOCKS[0] * THUMBNAIL_BLOCKS[1]

Rows = Annotated[Whole, Field(ge=1, le=2**20)]


@dataclass(frozen=True)
class CachedScene:
    """A scene on disk.

    Attributes:
        name: the scene's.
        kind: what it is.
        file: all levels one after the other, float16 ``[n]``: a file of numpy.
        shapes: rows and columns of each level.
        scale: linear light of a stored 1.
        floor: degrees above the horizon down to which a panorama shows the scene.
        range_ev: EV of the brightest value above the median luminance.
        notes: what was found in the file.
        thumbnail: log luminance of `THUMBNAIL_BLOCKS`, of mean 0 and deviation 1: by which copies are known.
    """

    name: Text
    kind: SceneKind
    file: Path
    shapes: Annotated[tuple[tuple[Rows, Rows], ...], Field(min_length=1, max_length=32)]
    scale: Annotated[Number, Field(gt=0)]
    floor: Number
    range_ev: Number
    notes: Annotated[tuple[Text, ...], Field(max_length=1000)]
    thumbnail: Annotated[Numbers, Field(min_length=BLOCKS, max_length=BLOCKS)]

    def __post_init__(self) -> None:
        check_fields(self, "scene", DataError)

    def levels(self) -> list[Array]:
        """Map the levels ``[H, W, 3]`` into memory, float16, the largest first; nothing is read yet."""
        stored = _opened(self.file)
        ends = np.cumsum([3 * height * width for height, width in self.shapes])
        return [
            stored[end - 3 * height * width : end].reshape(height, width, 3)
            for end, (height, width) in zip(ends, self.shapes, strict=True)
        ]

    def shows_same(self, other: CachedScene) -> bool:
        """Whether another file shows the same scene, at whatever size and exposure."""
        alike = float(np.dot(self.thumbnail, other.thumbnail)) / len(self.thumbnail)
        return alike > 0.98 and (self.kind == "panorama") == (other.kind == "panorama")


@lru_cache(maxsize=MOST_OPEN)
def _opened(file: Path) -> Array:
    """Open the levels of a scene, and keep the last ones open."""
    return open_npy(file)


class SceneCache:
    """A folder of decoded scenes, 8 bytes a pixel, found again while their files are the same.

    Args:
        folder: where they are kept.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        begin_folder(folder)

    def add_scene(self, path: Path, name: str) -> CachedScene:
        """Decode a scene of linear light (`revisp.io.scene`) where it has not been.

        Raises:
            ImageError: it cannot be read.
            OutputError: the files cannot be written.
        """
        return self._add(path, name, read_scene)

    def add_photo(self, path: Path, name: str) -> CachedScene:
        """Decode a photo to linear light where it has not been.

        Raises:
            ImageError: it cannot be read.
            OutputError: the files cannot be written.
        """
        return self._add(
            path, name, lambda file: Scene(name, srgb_to_linear(read_srgb(file)), "planar"), photo=True
        )

    def _add(self, path: Path, name: str, read: Callable[[Path], Scene], *, photo: bool = False) -> CachedScene:
        try:
            state = path.stat()
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from error
        known = (CACHE_FORMAT, str(path.resolve()), state.st_size, state.st_mtime_ns, photo)
        key = hashlib.sha256(repr(known).encode()).hexdigest()[:32]
        pixels, described = self.folder / f"{key}.npy", self.folder / f"{key}.json"
        if pixels.is_file() and described.is_file():
            return replace(_described(pixels), name=name)
        log.debug("decoding %s", path)
        scene = read(path)
        kind: SceneKind = "photo" if photo else "panorama" if scene.projection == "equirectangular" else "picture"
        levels = _pyramid(scene.light.permute(1, 2, 0).numpy(), kind)
        floor = _floor(levels) if kind == "panorama" else -90.0
        if kind == "panorama":
            levels = [smoothed_poles(level) for level in levels]
        scale = float(max(level.max() for level in levels)) / STORED_TOP
        cached = CachedScene(
            name,
            kind,
            pixels,
            tuple((level.shape[0], level.shape[1]) for level in levels),
            scale,
            floor,
            scene.range_ev,
            scene.notes,
            _thumbnail(levels),
        )
        with atomic_write(pixels) as file:
            stored = np.concatenate([(level / scale).astype(np.float16).ravel() for level in levels])
            np.save(file, stored, allow_pickle=False)
        with atomic_write(described) as file:
            file.write(json.dumps({**asdict(cached), "file": pixels.name}).encode())
        return cached


class _Listed(TypedDict):
    name: Text
    file: Annotated[Text, AfterValidator(own_name)]


@dataclass(frozen=True)
class _SceneList:
    """The content of `SCENE_LIST`."""

    format: Whole
    scenes: Annotated[tuple[_Listed, ...], Field(max_length=1_000_000)]

    def __post_init__(self) -> None:
        check_fields(self, "", DataError)


def write_scene_list(root: Path, scenes: Sequence[CachedScene]) -> None:
    """Make a cache a folder of scenes: name those that count.

    Raises:
        OutputError: the list cannot be written.
    """
    listed = [{"name": scene.name, "file": scene.file.name} for scene in scenes]
    with atomic_write(root / SCENE_LIST) as file:
        file.write(json.dumps({"format": CACHE_FORMAT, "scenes": listed}, indent=1).encode())


def read_scene_list(root: Path) -> list[CachedScene]:
    """Return the scenes of a folder that was prepared; none where there is no list.

    Raises:
        DataError: the list or a scene is damaged, missing, or of another version.
    """
    path = root / SCENE_LIST
    if not path.is_file():
        return []
    try:
        listed = build(_SceneList, parse_file(path), "list of scenes", DataError)
        scenes = [replace(_described(root / entry["file"]), name=entry["name"]) for entry in listed.scenes]
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{path}: damaged: prepare the scenes anew ({error})") from error
    if listed.format != CACHE_FORMAT:
        raise DataError(f"{path}: of another version of revisp: prepare the scenes anew")
    if missing := [scene for scene in scenes if not scene.file.is_file()]:
        raise DataError(f"{missing[0].file}: is missing: prepare the scenes anew")
    return scenes


def _described(pixels: Path) -> CachedScene:
    """Read the description beside the pixels of a scene."""
    described = pixels.with_suffix(".json")
    try:
        values = parse_file(described)
        placed = {**values, "file": pixels} if isinstance(values, dict) else values
        return build(CachedScene, placed, "", DataError)
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{described}: damaged: remove it and prepare the scene anew ({error})") from error


def _pyramid(light: Array, kind: SceneKind) -> list[Array]:
    """Return light ``[H, W, 3]``, reduced where it is too large, and each time halved."""
    while max(light.shape[:2]) > MAX_SIDE[kind]:
        light = halved(light)
    levels = [light]
    while min(levels[-1].shape[:2]) >= 2 * LEAST_SIDE:
        levels.append(halved(levels[-1]))
    return levels


def _floor(levels: list[Array]) -> float:
    """Return from which angle on a panorama shows the scene."""
    level = next(level for level in levels if level.shape[1] <= 1024 or level is levels[-1])
    below = np.log2(level[5 * len(level) // 8 :, :, 1] + 1e-4 * np.median(level) + 1e-30)
    texture = np.median(np.abs(np.diff(below, axis=1)), axis=1)  # of each row
    return SKY_FLOOR if np.median(texture) < SMOOTH_EV else SCENE_FLOOR


def _thumbnail(levels: list[Array]) -> tuple[float, ...]:
    """Return log luminance of a few blocks, of mean 0 and deviation 1."""
    level = levels[-1][..., 1]
    rows, columns = (
        np.array_split(np.arange(side), blocks) for side, blocks in zip(level.shape, THUMBNAIL_BLOCKS, strict=True)
    )
    means = np.array([[level[np.ix_(row, column)].mean() for column in columns] for row in rows])
    logs = np.log2(means + 1e-3 * np.median(means) + 1e-30)
    normal = (logs - logs.mean()) / max(float(logs.std()), 1e-6)
    return tuple(round(float(value), 4) for value in normal.ravel())
