"""A prepared data set as a source of pictures. Only the requested windows of its arrays are read from disk."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from revisp.camera.cameras import typical_profile
from revisp.camera.place import Place
from revisp.data.conditions import Conditions, conditions_of
from revisp.data.manifest import MANIFEST, VALID_BLOCK, array_path, read_manifest
from revisp.data.picture import BRIGHTNESS_STEP
from revisp.data.window import StoredWindow
from revisp.errors import DataError, near_miss
from revisp.io.file_names import natural_key
from revisp.io.npy import open_npy, read_npy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA
    from revisp.data.manifest import Array, Entry
    from revisp.data.picture import Sample

__all__ = ["PreparedPicture", "PreparedSource"]

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


class PreparedPicture:
    """One image of a prepared data set.

    Its arrays are mapped into memory only while a window is copied from them. Between two reads a process holds no
    open files and no pixels, so the number of images is not limited.

    Args:
        root: the data set's folder.
        entry: the image's line of the manifest.
    """

    def __init__(self, root: str | Path, entry: Entry) -> None:
        self.root = Path(root)
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
        return self.window(top, left, height, width).sample()

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
        entries = list(read_manifest(self.root).entries)
        if camera is not None:
            cameras = {entry.camera for entry in entries}
            self._require("camera", camera, cameras)
            entries = [entry for entry in entries if entry.camera == camera]
        self.train_entries, self.val_entries = self._split(entries, val)
        if not self.train_entries or not self.val_entries:
            raise DataError(
                f"{self.root}: {len(entries)} images leave {len(self.train_entries)} to train and "
                f"{len(self.val_entries)} to validate with, but at least one of each is needed: set data.val to "
                "scenes or images to validate with"
            )
        self.profile = _profile(self.train_entries)
        self._report_mixture()

    def train_pictures(self) -> list[PreparedPicture]:
        """Check the files of the training pictures and return these.

        Raises:
            DataError: see `PreparedPicture.check`.
        """
        return self._pictures(self.train_entries)

    def val_pictures(self) -> list[PreparedPicture]:
        """Check the files of the validation pictures and return these.

        Raises:
            DataError: see `PreparedPicture.check`.
        """
        return self._pictures(self.val_entries)

    @property
    def conditions(self) -> dict[str, Conditions]:
        """Under which conditions the validation pictures were taken, by their names."""
        return {entry.name: conditions_of(entry) for entry in self.val_entries}

    def _split(self, entries: list[Entry], val: Sequence[str] | str | None) -> tuple[list[Entry], list[Entry]]:
        if val is None:
            return [e for e in entries if e.split == "train"], [e for e in entries if e.split == "val"]
        chosen = {val} if isinstance(val, str) else {str(name) for name in val}
        known = {entry.name for entry in entries} | {entry.scene for entry in entries}
        for name in sorted(chosen):
            self._require("scene or image", name, known)
        held = [entry for entry in entries if entry.name in chosen or entry.scene in chosen]
        scenes = {entry.scene for entry in held}
        return [entry for entry in entries if entry.scene not in scenes], held

    def _require(self, kind: str, name: str, known: set[str]) -> None:
        if name not in known:
            raise DataError(f"{self.root}: {near_miss(kind, name, sorted(known, key=natural_key))}")

    def _pictures(self, entries: Iterable[Entry]) -> list[PreparedPicture]:
        pictures = [PreparedPicture(self.root, entry) for entry in entries]
        for picture in pictures:
            picture.check()
        return pictures

    def _report_mixture(self) -> None:
        pixels = _count_pixels(self.train_entries, lambda entry: entry.camera)
        if len(pixels) > 1:
            log.warning(
                "Data of %d cameras are mixed: %s. The model is for %s. Set data.camera=NAME to train with one.",
                len(pixels),
                _some(set(pixels)),
                self.profile.name,
            )


def _profile(entries: Sequence[Entry]) -> CameraProfile:
    """Return the profile of the camera with most pixels, with the median of its white balances.

    Its other constants are those of most of its pixels: shots in portrait and landscape differ in phase. Data of
    many simulated cameras have no main camera; they get `revisp.camera.cameras.typical_profile`.
    """
    if len({entry.camera for entry in entries}) > 1 and all(entry.kind == "simulated" for entry in entries):
        return typical_profile()

    def constants(entry: Entry) -> CameraProfile:
        return entry.profile.replace(as_shot_neutral=(1, 1, 1))

    camera = _most(_count_pixels(entries, lambda entry: entry.camera))
    shots = [entry for entry in entries if entry.camera == camera]
    profile: CameraProfile = _most(_count_pixels(shots, constants))
    neutrals = [entry.profile.as_shot_neutral for entry in shots]
    red, green, blue = np.median(neutrals, axis=0).tolist()
    return profile.replace(as_shot_neutral=(red, green, blue))


def _count_pixels(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> dict[Any, int]:
    pixels: defaultdict[Any, int] = defaultdict(int)
    for entry in entries:
        pixels[key(entry)] += entry.height * entry.width
    return pixels


def _most(pixels: dict[Any, int]) -> Any:
    return max(pixels, key=lambda key: pixels[key])


def _some(names: set[str]) -> str:
    shown = sorted(names, key=natural_key)
    return ", ".join(shown[:8]) + (f", ... ({len(shown)} in all)" if len(shown) > 8 else "")
