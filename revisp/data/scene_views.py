"""Views of scenes: what a camera might look at in panoramas, pictures of linear light, and plain photographs.

A view is linear light in the primaries of sRGB, of arbitrary scale: what a rendering turns into a photo, and a
sensor into a RAW. What is drawn is a function of a generator alone.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.draw import generator_of
from revisp.camera.expansion import expand_highlights
from revisp.camera.panorama import Look, look
from revisp.data.base import check_whole
from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS
from revisp.data.scene_cache import CachedScene, SceneCache, SceneKind, read_scene_list
from revisp.data.scene_split import SPLITS, Split, split_scenes
from revisp.errors import ConfigError, DataError, ImageError
from revisp.io.photo_folder import PhotoFolder, read_photo_folder
from revisp.io.scene_folder import find_scenes
from revisp.wording import counted

__all__ = ["SceneLibrary", "SceneView", "SceneViews", "random_view", "view_any"]

log = logging.getLogger(__name__)

FIELD_DEGREES = (40.0, 90.0)
"""Least and most angle of view of a panorama in degrees: lenses of 50 to 18 mm, at 36 mm of sensor."""

HIGHEST_PITCH = 35.0
"""Greatest pitch in degrees, where the angle of view does not ask for more."""

ROLL_DEVIATION = 2.0
"""Standard deviation of the roll in degrees, of a camera held by hand."""

RANGE_STRATA = (3.0, 5.0, 8.0)
"""EV of a view's brightest place over its median that divide views with ever more highlights. A photo's white lies
about 2.5 above its middle."""

TRIED_VIEWS = 8
"""Views that are tried for one of the wanted range."""

MOST_ATTEMPTS = 20
"""Views that are drawn in place of black ones, of a picture with black parts."""

PREVIEW_SIDE = 16
"""Side of the view by which its range is judged, in pixels."""

ABOVE_WHITE_EV = (0.8, 4.5)
"""EV by which the highlights of a plain photo are expanded: those of `revisp.camera.cameras`, JPEG to sensor and
sensor to scene."""


class SceneView(NamedTuple):
    """A view of a scene.

    Attributes:
        light: linear light ``[3, h, w]`` in the primaries of sRGB, float32, at least 0, of arbitrary scale.
        name: of the scene.
        kind: ``"panorama"``, ``"picture"``, or ``"photo"``, whose highlights are a guess.
    """

    light: Tensor
    name: str
    kind: SceneKind


class _Frame(NamedTuple):
    """A square of a planar picture: its first row and column and its side, in pixels of the first level."""

    top: float
    left: float
    side: float


class SceneLibrary:
    """Scenes of a folder, and photos to take for scenes, decoded and divided by scene.

    Args:
        scenes: folder of scenes, those in folders below it included; or what ``revisp-prepare`` made of one; or
            files; None: none.
        photos: folder of plain photos, whose highlights are guessed; None: none or, without scenes, the
            photographs of `revisp.data.embedded`.
        val: scenes, photos, or folders of them, to validate with; None holds some back by their names.
        cache: folder in which decoded scenes are kept for the next time; None: they go when the program ends.

    Attributes:
        parts: the scenes of each split.
        left_out: a line on the files in ``photos`` that are no photos; empty if all are.

    Raises:
        DataError: no scenes, none that can be read, or too few.
        OutputError: the decoded scenes cannot be stored.
    """

    def __init__(
        self,
        scenes: str | Path | Sequence[str | Path] | None,
        photos: str | Path | None = None,
        *,
        val: Sequence[str] | str | None = None,
        cache: str | Path | None = None,
    ) -> None:
        if cache is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="revisp-scenes-")
            cache = self._temporary.name
        store = SceneCache(cache)
        found = [] if scenes is None else _prepared(scenes) or _decoded(_files(scenes), store.add_scene)
        self.left_out: tuple[str, ...] = ()
        if photos is not None:
            folder = _photo_folder(photos)
            self.left_out = (folder.left_out,) if folder.left_out else ()
            found += _decoded(_by_place(folder), store.add_photo)
        elif scenes is None:
            photographs = {photo.name: photo.path for photo in (*TRAIN_PHOTOS, *VAL_PHOTOS)}
            found += _decoded(photographs, store.add_photo)
        self.parts = split_scenes(found, val)


class SceneViews:
    """Endless views of the scenes of one split.

    Args:
        scenes: as for `SceneLibrary`; or one.
        size: rows and columns of a view.
        split: ``"train"``, ``"val"`` or ``"test"``.
        seed: of the views that are asked for by number.
        photo_share: share of the views that are of photos, where there are both.
        library: further arguments of `SceneLibrary`.

    Raises:
        ConfigError: an unknown split, a size or share outside its range.
        DataError: as `SceneLibrary`, or no scene in the split.
        OutputError: the decoded scenes cannot be stored.

    Example:
        >>> views = SceneViews("panoramas", 128, split="train", photos="holiday")  # doctest: +SKIP
        >>> views.view(0).light.shape, views.view(0).name  # doctest: +SKIP
        (torch.Size([3, 128, 128]), 'forest_slope_1k')
    """

    def __init__(
        self,
        scenes: SceneLibrary | str | Path | Sequence[str | Path],
        size: int,
        *,
        split: Split = "train",
        seed: int = 0,
        photo_share: float = 0.25,
        **library: Any,
    ) -> None:
        check_whole(size, "size", PREVIEW_SIDE)
        if split not in SPLITS:
            raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if not 0 <= photo_share <= 1:
            raise ConfigError(f"data.photo_share must lie in [0, 1], got {photo_share}")
        self.scene_library = scenes if isinstance(scenes, SceneLibrary) else SceneLibrary(scenes, **library)
        self.scenes = tuple(self.scene_library.parts[split])
        if not self.scenes:
            raise DataError(f"no scenes in the split {split!r}: more of them are needed, or data.val to name some")
        self.size = size
        self.seed = seed
        self.photo_share = photo_share

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.scenes)

    def view(self, which: int | torch.Generator) -> SceneView:
        """Draw a view of a scene, which is drawn too.

        Args:
            which: its number, which gives the same view each time; or a source of randomness, on the CPU.

        Raises:
            DataError: a scene is black wherever it was looked at.
        """
        generator = which if isinstance(which, torch.Generator) else generator_of(self.seed, which)
        return view_any(self.scenes, self.size, generator, photo_share=self.photo_share)


def view_any(
    scenes: Sequence[CachedScene],
    size: int,
    generator: torch.Generator,
    *,
    photo_share: float = 0.25,
    by_range: float = 0.5,
) -> SceneView:
    """Draw one of some scenes, and a view of it.

    Args:
        scenes: those to draw from.
        size: as for `random_view`.
        generator: as for `random_view`.
        photo_share: share of the views that are of photos, where there are both.
        by_range: as for `random_view`.

    Raises:
        DataError: a scene is black wherever it was looked at.
    """
    photos = [scene for scene in scenes if scene.kind == "photo"]
    others = [scene for scene in scenes if scene.kind != "photo"]
    wants_photo = _uniform(generator, 0, 1) < photo_share
    chosen = (photos if wants_photo else others) or photos or others
    return random_view(chosen[int(_uniform(generator, 0, len(chosen)))], size, generator, by_range=by_range)


def _prepared(scenes: str | Path | Sequence[str | Path]) -> list[CachedScene]:
    """Return the scenes of a folder that was prepared; none where it was not."""
    return read_scene_list(Path(scenes)) if isinstance(scenes, str | Path) else []


def _files(scenes: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    try:
        return find_scenes(scenes)
    except ImageError as error:
        raise DataError(str(error)) from error


def _photo_folder(root: str | Path) -> PhotoFolder:
    try:
        return read_photo_folder(root, below=True)
    except ImageError as error:
        raise DataError(str(error)) from error


def _by_place(folder: PhotoFolder) -> dict[str, Path]:
    """Return the photos of a folder by their place in it, without ending."""
    return {path.relative_to(folder.folder).with_suffix("").as_posix(): path for path in folder.photos}


def _decoded(found: dict[str, Path], add: Callable[[Path, str], CachedScene]) -> list[CachedScene]:
    """Decode files, and say which could not be read.

    Raises:
        DataError: none could.
    """
    log.info("reading %d scenes or photos; each is decoded once", len(found))
    scenes, skipped = [], []
    for name, path in found.items():
        try:
            scenes.append(add(path, name))
        except ImageError as error:
            skipped.append(str(error))
    if not scenes:
        given = counted(len(found), "scene or photo", "scenes and photos")
        raise DataError(f"of {given} none can be read; the first: {skipped[0]}")
    if skipped:
        log.warning("%d of %d scenes are left out; the first: %s", len(skipped), len(found), skipped[0])
    return scenes


def random_view(scene: CachedScene, size: int, generator: torch.Generator, *, by_range: float = 0.5) -> SceneView:
    """Draw a view of a scene.

    Panoramas are looked at in a random direction, above their retouched ground, with an angle of view of 40 to 90
    degrees. Pictures and photos are cut at a random scale. Half of the views are mirrored.

    Args:
        scene: the scene.
        size: rows and columns of the view.
        generator: source of randomness, on the CPU.
        by_range: share of the views that are chosen by their dynamic range: a stratum of `RANGE_STRATA` is drawn,
            and the first of some views that lies in it is taken, or else the nearest.

    Raises:
        DataError: the scene is black wherever it was looked at.
    """
    for _ in range(MOST_ATTEMPTS):
        view = _random_view(scene, size, generator, by_range)
        if view.light.any():
            return view
    raise DataError(f"the scene {scene.name!r} is black wherever it was looked at")


def _random_view(scene: CachedScene, size: int, generator: torch.Generator, by_range: float) -> SceneView:
    levels = scene.levels()
    wanted = int(_uniform(generator, 0, len(RANGE_STRATA) + 1)) if _uniform(generator, 0, 1) < by_range else None
    frame = _draw(scene, size, generator)
    if wanted is not None:
        tried = [frame, *(_draw(scene, size, generator) for _ in range(TRIED_VIEWS - 1))]
        frame = _nearest(scene, levels, tried, wanted)
    light = _render(scene, levels, frame, size)
    if scene.kind == "photo":
        light = expand_highlights(light, 2 ** _uniform(generator, *ABOVE_WHITE_EV))
    if _uniform(generator, 0, 1) < 0.5:
        light = light.flip(-1)
    return SceneView(light.contiguous(), scene.name, scene.kind)


def _draw(scene: CachedScene, size: int, generator: torch.Generator) -> Look | _Frame:
    if scene.kind == "panorama":
        field = _uniform(generator, *FIELD_DEGREES)
        lowest = scene.floor + field / 2
        pitch = _uniform(generator, lowest, max(lowest + 5, HIGHEST_PITCH))
        roll = float(torch.randn(1, generator=generator).clamp(-3, 3)) * ROLL_DEVIATION
        return Look(_uniform(generator, -180, 180), min(pitch, 90), roll, field)
    height, width = scene.shapes[0]
    shorter = min(height, width)
    side = math.exp(_uniform(generator, math.log(min(size, shorter)), math.log(shorter)))
    return _Frame(_uniform(generator, 0, height - side), _uniform(generator, 0, width - side), side)


def _nearest(scene: CachedScene, levels: list[Any], tried: list[Look | _Frame], wanted: int) -> Look | _Frame:
    """Return the first frame whose range lies in the stratum, or else the one nearest to it."""
    low, high = (-math.inf, *RANGE_STRATA)[wanted], (*RANGE_STRATA, math.inf)[wanted]
    best, distance = tried[0], math.inf
    for frame in tried:
        ev = _range_ev(_render(scene, levels, frame, PREVIEW_SIDE))
        away = max(low - ev, ev - high, 0.0)
        if away < distance:
            best, distance = frame, away
        if not away:
            break
    return best


def _range_ev(light: Tensor) -> float:
    brightest = light.amax(dim=0)
    return float(torch.log2(brightest.max() / brightest.median().clamp_min(1e-12) + 1e-12))


def _render(scene: CachedScene, levels: list[Any], frame: Look | _Frame, size: int) -> Tensor:
    if isinstance(frame, Look):
        return look(levels, frame, (size, size)) * scene.scale
    return _cut(levels, frame, size) * scene.scale


def _cut(levels: list[Any], frame: _Frame, size: int) -> Tensor:
    """Return a square of a picture at a size, by averages over its pixels; small pictures are enlarged."""
    number = min(max(0, int(math.log2(max(frame.side / size, 1)))), len(levels) - 1)
    level = levels[number]
    top, left, side = (round(value / 2**number) for value in frame)
    side = max(1, min(side, *level.shape[:2]))
    top, left = (min(start, length - side) for start, length in zip((top, left), level.shape[:2], strict=True))
    part = np.ascontiguousarray(level[top : top + side, left : left + side].transpose(2, 0, 1), dtype=np.float32)
    light = torch.from_numpy(part)[None]
    return F.interpolate(light, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand(1, generator=generator).item()
