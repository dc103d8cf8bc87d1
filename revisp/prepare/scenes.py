"""Folders of scenes to decoded ones, and what was found in them.

Scenes are no pairs: a training renders them anew for every view. To prepare them is to decode them once, and to
see what they hold.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisp.data.manifest import MANIFEST
from revisp.data.scene_cache import CachedScene, SceneCache, read_scene_list, write_scene_list
from revisp.data.scene_split import SPLITS, split_scenes
from revisp.errors import DataError, ImageError
from revisp.io.file_names import PHOTO_ENDINGS, RAW_ENDINGS, SCENE_ENDINGS
from revisp.io.gain_map import gain_map_beside
from revisp.io.locking import lock, make_folder
from revisp.io.scene_folder import find_scenes, is_scene
from revisp.wording import counted

__all__ = ["PreparedScenes", "prepare_scenes", "scene_inputs"]

MOST_SHOWN = 20
"""Most rejections and notes that are told."""


@dataclass(frozen=True)
class PreparedScenes:
    """What a preparation of scenes left.

    Attributes:
        root: the folder.
        scenes: all that are in it now.
        notes: what was found in files of this call: a line each, which names the file.
        refused: why files of this call could not be used, a line each.
        others: number of photos and RAW files beside them, which were left out.

    Example:
        >>> empty = PreparedScenes(Path("scenes"), (), (), ("broken.exr: not an OpenEXR file",), others=3)
        >>> print(empty.described)
        0 scenes in scenes; 1 rejected
          rejected: broken.exr: not an OpenEXR file
          left out: 3 photos and RAW files beside them: prepare those apart
        Train: revisp-train data=scenes data.scenes=scenes
    """

    root: Path
    scenes: tuple[CachedScene, ...]
    notes: tuple[str, ...]
    refused: tuple[str, ...]
    others: int

    @property
    def described(self) -> str:
        """Lines for a user: how many, of which kind, how bright, and what is wrong."""
        lines = [f"{counted(len(self.scenes), 'scene')} in {self.root}{self._split}; {len(self.refused)} rejected"]
        for kind in sorted({scene.kind for scene in self.scenes}):
            brightest = sorted(scene.range_ev for scene in self.scenes if scene.kind == kind)
            lines.append(
                f"  {kind:<10}{len(brightest):>5}   brightest place {brightest[0]:.1f} to {brightest[-1]:.1f} EV "
                f"above the middle, half of them over {statistics.median(brightest):.1f}"
            )
        lines += _first([f"note: {note}" for note in self.notes])
        lines += _first([f"rejected: {reason}" for reason in self.refused])
        if self.others:
            files = counted(self.others, "photo or RAW file", "photos and RAW files")
            lines.append(f"  left out: {files} beside them: prepare those apart")
        return "\n".join([*lines, f"Train: revisp-train data=scenes data.scenes={self.root}"])

    @property
    def _split(self) -> str:
        try:
            parts = split_scenes(self.scenes)
        except DataError:
            return ""
        return ": " + ", ".join(f"{len(parts[split])} {split}" for split in SPLITS)


def scene_inputs(inputs: Sequence[Path]) -> dict[str, Path]:
    """Return the scenes among files and folders by name; none where no file is named or described as one.

    JPEGs with a gain map alone make no folder of scenes: many phones write them, and they are photos.

    Raises:
        DataError: two files would get one name.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "hall.exr").write_bytes(b"")
        ...     list(scene_inputs([Path(folder)]))
        ['hall']
    """
    found: dict[str, Path] = {}
    if not any(_names_scenes(given) for given in inputs):
        return found
    for given in inputs:
        for name, path in _scenes_of(given).items():
            if found.setdefault(name, path) != path:
                raise DataError(f"{found[name]} and {path} would both be called {name!r}: rename one")
    return found


def _names_scenes(given: Path) -> bool:
    """Whether a file, or one in a folder, is a scene by its name: photos need not be opened for that."""
    if not given.is_dir():
        return given.suffix.lower() in SCENE_ENDINGS or gain_map_beside(given) is not None
    return any(path.suffix.lower() in SCENE_ENDINGS or path.stem.endswith("-gainmap") for path in given.rglob("*"))


def _scenes_of(given: Path) -> dict[str, Path]:
    if not given.is_dir():
        return {given.stem: given} if is_scene(given) else {}
    try:
        return find_scenes(given)
    except ImageError:  # none in it
        return {}


def prepare_scenes(
    inputs: Sequence[Path],
    root: Path,
    *,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> PreparedScenes:
    r"""Decode the scenes among files and folders; what was decoded and is unchanged is kept.

    Scenes in the folder of files that are not among the inputs stay.

    Args:
        inputs: files and folders (`scene_inputs`).
        root: folder to keep them in, made where it is missing.
        tell: called with a line on what is about to be done.
        progress: called after each file: files done, files in all, and a line on the last one.

    Raises:
        DataError: the folder is a data set of pairs, or nothing can be used, or not a file given outright.
        OutputError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> light = bytes(v for at in range(4096) for v in (128 + at % 128, 128, 128, 124 + at // 512))
        >>> with TemporaryDirectory() as folder:
        ...     hdr, header = Path(folder, "hall.hdr"), b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 64 +X 64\n"
        ...     _ = hdr.write_bytes(header + light)
        ...     prepared = prepare_scenes([hdr], Path(folder, "scenes"))
        >>> [scene.name for scene in prepared.scenes], prepared.refused
        (['hall'], ())
    """
    files = scene_inputs(inputs)
    if (root / MANIFEST).exists():
        raise DataError(f"{root}: is a data set of pairs: give another -o DATASET for scenes")
    make_folder(root)
    held = lock(root / ".lock", root, f"{root}: another revisp-prepare is at work on these scenes")
    try:
        scenes = {scene.name: scene for scene in read_scene_list(root)}
        cache, notes, refused = SceneCache(root), [], []
        if tell is not None:
            tell(f"{counted(len(files), 'scene')} to read")
        for count, (name, path) in enumerate(files.items(), start=1):
            try:
                scenes[name] = cache.add_scene(path, name)
                notes += [f"{path}: {note}" for note in scenes[name].notes]
                line = f"{name}: {scenes[name].kind}"
            except ImageError as error:
                scenes.pop(name, None)
                refused.append(str(error))
                line = f"rejected {error}"
                if path in inputs:
                    raise DataError(str(error)) from error
            if progress is not None:
                progress(count, len(files), line)
        if not scenes:
            raise DataError(f"nothing could be used: {refused[0]}")
        write_scene_list(root, list(scenes.values()))
    finally:
        held.release()
    return PreparedScenes(root, tuple(scenes.values()), tuple(notes), tuple(refused), _others(inputs, files, root))


def _others(inputs: Sequence[Path], files: dict[str, Path], root: Path) -> int:
    """Count the photos and RAW files that lie beside scenes, but for gain maps."""
    maps = {beside[0] for path in files.values() if (beside := gain_map_beside(path)) is not None}
    used = {*files.values(), *maps}
    folders = [given for given in inputs if given.is_dir()]
    around = [path for folder in folders for path in folder.rglob("*") if root not in path.parents]
    return sum(path.suffix.lower() in (*PHOTO_ENDINGS, *RAW_ENDINGS) and path not in used for path in around)


def _first(lines: list[str]) -> list[str]:
    rest = [f"  and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return [f"  {line}" for line in lines[:MOST_SHOWN]] + rest
