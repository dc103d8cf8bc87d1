"""A prepared data set as a source of pictures. Only the requested windows of its arrays are read from disk."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from revisp.camera.cameras import typical_profile
from revisp.camera.place import Place
from revisp.data.columns import key_of
from revisp.data.conditions import Conditions, conditions_of
from revisp.data.entry import ARRAYS, KINDS, SPLITS, VALID_BLOCK, WHOLE_KINDS, array_path
from revisp.data.manifest import MANIFEST, read_entries
from revisp.data.picture import BRIGHTNESS_STEP, PictureTable
from revisp.data.tiles import spread
from revisp.data.window import Neutral, StoredWindow
from revisp.errors import DataError, near_miss
from revisp.io.file_names import natural_key
from revisp.io.npy import open_npy, read_npy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA
    from revisp.data.entry import Array, Entry
    from revisp.data.manifest import Items
    from revisp.data.picture import Sample

__all__ = ["PreparedPicture", "PreparedPictures", "PreparedSource"]

log = logging.getLogger(__name__)

_ARRAY_DTYPES: dict[Array, tuple[np.dtype[Any], ...]] = {
    "raw": (np.dtype(np.uint16),),
    "srgb": (np.dtype(np.uint8), np.dtype(np.uint16)),
    "target": (np.dtype(np.float16),),
    "valid": (np.dtype(np.uint8),),
    "oe": (np.dtype(np.int32),),
}
_SMALL: tuple[Array, ...] = ("valid", "oe")
"""Arrays that are read whole; the others are mapped into memory."""

MOST_OPENED = 1000
"""Most images whose files are opened before a training. The files of the others are opened when they are read."""

MOST_COMPARED = 10_000
"""Most names that an unknown name is compared with."""

MOST_SHOWN = 8
"""Most cameras that are named."""


class PreparedPicture:
    """One image of a prepared data set.

    Its arrays are mapped into memory only while a window is copied from them. Between two reads a process holds no
    open files and no pixels, so the number of images is not limited.

    Args:
        root: the data set's folder.
        entry: the image's line of the manifest.
        neutral: the light under which `read` puts the RAW, as for `StoredWindow.sample`; None: as shot.
    """

    def __init__(self, root: str | Path, entry: Entry, neutral: Neutral | None = None) -> None:
        self.root = Path(root)
        self.neutral = neutral
        self.entry = entry
        self.name = entry.name
        self.height = entry.height
        self.width = entry.width

    @property
    def cfa(self) -> CFA:
        """Bayer phase of the stored mosaic."""
        return self.entry.profile.cfa

    @property
    def frame(self) -> Place | None:
        """The whole of its photo, or None if the photo may have been cut."""
        return Place(0, 0, self.height, self.width) if self.entry.whole else None

    @property
    def has_overexposed(self) -> bool:
        """Whether any pixel is overexposed."""
        return self.entry.oe_share > 0

    def check(self) -> None:
        """Open all arrays once, without reading their values.

        Raises:
            DataError: an array is missing or damaged, or differs from the manifest; the message names its file.
        """
        for what in ("raw", "srgb", "target", *(("valid",) if self.entry.has_valid else ())):
            self._open(what)
        if not len(self.overexposed()) and self.has_overexposed:
            path = array_path(self.root, self.name, "oe")
            raise DataError(f"{path} is empty, but {MANIFEST} gives an oe_share of {self.entry.oe_share:g}")

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return (row, column) of overexposed pixels, ``[n, 2]`` int32: all, or 4096 drawn from them.

        Raises:
            DataError: as `check`, or a position outside the image.
        """
        found = np.array(self._open("oe"))
        if found.size and (found.min() < 0 or (found.max(axis=0) >= (self.height, self.width)).any()):
            path = array_path(self.root, self.name, "oe")
            raise DataError(f"{path} holds a position outside the image of {self.height}x{self.width}")
        return found

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the target at every `BRIGHTNESS_STEP`-th row and column; an eighth of its file is read.

        Raises:
            DataError: as `check`.
        """
        return self._open("target")[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP].astype(np.float32)

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Read a window; ``mosaic(target) == bayer`` exactly, for the phase at the window's position.

        Raises:
            DataError: as `check`.
        """
        return self.window(top, left, height, width).sample(self.neutral)

    def window(self, top: int, left: int, height: int, width: int) -> StoredWindow:
        """Read a window as it is stored.

        Raises:
            DataError: as `check`.
        """
        rows, columns = slice(top, top + height), slice(left, left + width)
        return StoredWindow(
            name=self.name,
            profile=self.entry.profile.replace(cfa=self.cfa.crop(top, left)),
            raw=np.array(self._open("raw")[rows, columns]),
            srgb=np.array(self._open("srgb")[rows, columns]),
            target=np.array(self._open("target")[:, rows, columns]),
            valid=self._valid(top, left, height, width),
        )

    def valid_blocks(self) -> np.ndarray[Any, Any] | None:
        """Return the map of valid blocks of `VALID_BLOCK` pixels, ``[ceil(H / 32), ceil(W / 32)]``; None: all.

        Raises:
            DataError: as `check`.
        """
        return np.array(self._open("valid")) if self.entry.has_valid else None

    def _valid(self, top: int, left: int, height: int, width: int) -> np.ndarray[Any, Any] | None:
        blocks = self.valid_blocks()
        if blocks is None:
            return None
        rows = np.arange(top, top + height) // VALID_BLOCK
        columns = np.arange(left, left + width) // VALID_BLOCK
        valid: np.ndarray[Any, Any] = blocks[np.ix_(rows, columns)]
        return valid

    def _open(self, what: Array) -> np.ndarray[Any, Any]:
        path = array_path(self.root, self.name, what)
        if not path.exists():
            raise DataError(f"{path} is missing, but {MANIFEST} names it: run revisp-prepare again")
        array = (read_npy if what in _SMALL else open_npy)(path, raises=DataError)
        height, width = self.height, self.width
        shape = {
            "raw": (height, width),
            "srgb": (height, width, 3),
            "target": (3, height, width),
            "valid": (-(-height // VALID_BLOCK), -(-width // VALID_BLOCK)),
            "oe": (*array.shape[:1], 2),
        }[what]
        if array.shape != shape or array.dtype not in _ARRAY_DTYPES[what]:
            raise DataError(
                f"{path} holds {array.dtype} {list(array.shape)}, but {MANIFEST} requires "
                f"{' or '.join(map(str, _ARRAY_DTYPES[what]))} {list(shape)}: run revisp-prepare again"
            )
        return array


class PreparedPictures(Sequence[PreparedPicture]):
    """Images of a prepared data set. Each is made when it is indexed, so that a million of them cost nothing.

    Args:
        entries: their lines of the manifest.
        neutral: as for `PreparedPicture`.
    """

    def __init__(self, entries: Items[Entry], neutral: Neutral | None = None) -> None:
        self.entries = entries
        self.neutral = neutral

    @functools.cached_property
    def table(self) -> PictureTable:
        """What the manifest says of all of them."""
        return PictureTable(*map(self.entries.column, ("height", "width", "cfa", "overexposed")))

    @functools.cached_property
    def placed(self) -> bool:
        """Whether all of them know where they lie in their photos."""
        return bool(np.isin(self.entries.column("kind"), [KINDS.index(kind) for kind in WHOLE_KINDS]).all())

    def __len__(self) -> int:
        return len(self.entries)

    def __reduce__(self) -> Any:
        return PreparedPictures, (self.entries, self.neutral)  # another process tabulates anew, if it must

    @overload
    def __getitem__(self, at: int) -> PreparedPicture: ...

    @overload
    def __getitem__(self, at: slice) -> list[PreparedPicture]: ...

    def __getitem__(self, at: int | slice) -> PreparedPicture | list[PreparedPicture]:
        if isinstance(at, slice):
            return [PreparedPicture(self.entries.root, entry, self.neutral) for entry in self.entries[at]]
        return PreparedPicture(self.entries.root, self.entries[at], self.neutral)

    def check(self) -> None:
        """Check that all files exist, and open those of at most `MOST_OPENED` images, spread evenly over all.

        Raises:
            DataError: as `PreparedPicture.check`.
        """
        if len(self) > MOST_OPENED:
            self._require_files()
        for at in spread(range(len(self)), MOST_OPENED):
            self[at].check()

    def _require_files(self) -> None:
        """Require the files of all images by one listing of their folder."""
        found: dict[str, array[int]] = {what: array("Q") for what in ARRAYS}
        folder = array_path(self.entries.root, "", "raw").parent
        try:
            with os.scandir(folder) as files:
                for file in files:
                    name, what, ending = file.name.rsplit(".", 2) if file.name.count(".") > 1 else ("", "", "")
                    if what in found and ending == "npy":
                        found[what].append(key_of(name))
        except OSError as error:
            raise DataError(f"{folder}: cannot be listed: {error.strerror or error}") from error
        names = self.entries.column("name")
        for what, keys in found.items():
            missing = ~np.isin(names, np.frombuffer(keys, np.uint64))
            if what == "valid":
                missing &= self.entries.column("has_valid")
            if missing.any():
                self[int(missing.argmax())].check()  # says which


class PreparedSource:
    """Source of the images of a prepared data set.

    Args:
        root: its folder.
        val: scenes or images to validate with, instead of those that ``revisp-prepare`` set apart. If an image is
            named, the other images of its scene are left out of the training.
        camera: take the images of this camera only.

    Raises:
        DataError: the folder is not a prepared data set, it does not contain a scene, image or camera, or no image
            is left for training or validation.
    """

    def __init__(
        self, root: str | Path, *, val: Sequence[str] | str | None = None, camera: str | None = None
    ) -> None:
        self.root = Path(root)
        entries = read_entries(self.root)
        if camera is not None:
            of_camera = entries.column("camera") == key_of(camera)
            if not of_camera.any():
                raise self._unknown("camera", camera, (entry.camera for entry in _one_of_each(entries, "camera")))
            entries = entries.select(of_camera)
        self.train_entries, self.val_entries = self._split(entries, val)
        if not self.train_entries or not self.val_entries:
            raise DataError(
                f"{self.root}: {len(entries)} images leave {len(self.train_entries)} to train and "
                f"{len(self.val_entries)} to validate with, but at least one of each is needed: set data.val to "
                "scenes or images to validate with"
            )
        self.profile = _profile(self.train_entries)
        self._report_mixture()

    def train_pictures(self) -> PreparedPictures:
        """Check the files of the training pictures and return these, under the light of `profile`.

        Two shots of a camera under different light have photos alike, which the camera has balanced, and RAWs that
        are not. The photo does not tell which RAW is its own, and a network that learns both learns a mixture.

        Raises:
            DataError: see `PreparedPictures.check`.
        """
        return self._pictures(self.train_entries, self.profile.as_shot_neutral)

    def val_pictures(self) -> PreparedPictures:
        """Check the files of the validation pictures and return these, as shot.

        Raises:
            DataError: see `PreparedPictures.check`.
        """
        return self._pictures(self.val_entries)

    @property
    def conditions(self) -> dict[str, Conditions]:
        """Under which conditions the validation pictures were taken, by their names."""
        return {entry.name: conditions_of(entry) for entry in self.val_entries}

    def _split(self, entries: Items[Entry], val: Sequence[str] | str | None) -> tuple[Items[Entry], Items[Entry]]:
        if val is None:
            train, held = (entries.column("split") == SPLITS.index(side) for side in ("train", "val"))
            return entries.select(train), entries.select(held)
        chosen = {val} if isinstance(val, str) else {str(name) for name in val}
        held = np.zeros(len(entries), bool)
        for name in sorted(chosen):
            named = (entries.column("name") == key_of(name)) | (entries.column("scene") == key_of(name))
            if not named.any():
                known = (text for entry in entries for text in (entry.name, entry.scene))
                raise self._unknown("scene or image", name, known)
            held |= named
        in_scenes = np.isin(entries.column("scene"), entries.column("scene")[held])
        return entries.select(~in_scenes), entries.select(held)

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> DataError:
        names = sorted(dict.fromkeys(itertools.islice(known, MOST_COMPARED)), key=natural_key)
        return DataError(f"{self.root}: {near_miss(kind, name, names)}")

    def _pictures(self, entries: Items[Entry], neutral: Neutral | None = None) -> PreparedPictures:
        pictures = PreparedPictures(entries, neutral)
        pictures.check()
        return pictures

    def _report_mixture(self) -> None:
        cameras = _one_of_each(self.train_entries, "camera")
        if len(cameras) > 1:
            log.warning(
                "Data of %d cameras are mixed: %s. The model is for %s. Set data.camera=NAME to train with one.",
                len(cameras),
                _some(cameras),
                self.profile.name,
            )


def _profile(entries: Items[Entry]) -> CameraProfile:
    """Return the profile of the camera with most pixels, with the median of all white balances that are known.

    Training puts the shots of all cameras under that light (`PreparedSource.train_pictures`), and a single camera
    may have had an unusual one. Its other constants are those of most of its pixels: shots in portrait and
    landscape differ in phase. Data of many simulated cameras have no main camera; they get
    `revisp.camera.cameras.typical_profile`.
    """
    if len(np.unique(entries.column("camera"))) > 1 and (entries.column("kind") == KINDS.index("simulated")).all():
        return typical_profile()
    camera = _one_of_each(entries, "camera")[0].camera
    shots = entries.select(entries.column("camera") == key_of(camera))
    neutrals = entries.column("neutral")
    known = (neutrals != 1).any(axis=1)
    red, green, blue = np.median(neutrals[known], axis=0).tolist() if known.any() else (1.0, 1.0, 1.0)
    return _one_of_each(shots, "constants")[0].profile.replace(as_shot_neutral=(red, green, blue))


def _one_of_each(entries: Items[Entry], column: str) -> Sequence[Entry]:
    """Return the first of the images that are equal in a column; those with most pixels come first."""
    _, first, which = np.unique(entries.column(column), return_index=True, return_inverse=True)
    pixels = np.bincount(which, entries.column("height").astype(float) * entries.column("width"))
    return entries.at(first[np.lexsort((first, -pixels))])


def _some(cameras: Sequence[Entry]) -> str:
    shown = sorted((entry.camera for entry in cameras[:MOST_SHOWN]), key=natural_key)
    return ", ".join(shown) + (f", ... ({len(cameras)} in all)" if len(cameras) > MOST_SHOWN else "")
