"""Photos of which a simulated camera takes every crop again: any number of pairs from plain photos.

A camera is drawn for each crop, with a random exposure and its own noise (`revisp.camera.simulate`). The exposure
may vary here, since the RAW is made after it. All random values of a crop depend only on the training's seed, the
epoch and the crop's number in the epoch.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from revisp.camera.cameras import EXPOSURES, random_simulated_camera, typical_profile
from revisp.camera.draw import generator_of
from revisp.camera.isp import srgb_to_linear
from revisp.camera.place import Place
from revisp.camera.profile import CameraProfile
from revisp.camera.shot_window import JPEG_GRID, CropArea, shoot_window
from revisp.data.base import taken_by
from revisp.data.datamodule import PairDataModule
from revisp.data.photo_cache import PhotoCache
from revisp.data.picture import BRIGHTNESS_STEP, Sample
from revisp.demosaic import Demosaic, demosaic
from revisp.errors import ConfigError, DataError, ImageError
from revisp.io.camera_file import load_camera
from revisp.io.file_names import PHOTO_ENDINGS
from revisp.io.npy import open_npy
from revisp.io.photo_folder import PhotoFolder, read_photo_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from revisp.camera.simulate import SimulatedCamera

__all__ = ["SimulatedPhoto", "SimulatedSource", "simulated"]

log = logging.getLogger(__name__)

SIMULATED_MARGIN = 24
"""Pixels around a window that are simulated with it: demosaicing, denoising and sharpening look at 21 of them, and
local tone and the blur of highlights at some more."""

NETWORK_MARGIN = 32
"""The same where DemosaicNet makes the targets."""

MOST_OPEN = 256
"""Files that a process keeps open: to open one takes as long as several steps of a shot."""

GRID = 4
"""Pixels of the grid of local tone: windows that are read end on it, if the photo does not end before."""

VAL_SHARE = 0.2


class SimulatedPhoto:
    """One photo; each window that is read is a new simulated shot.

    Args:
        name: its name in reports.
        pixels: the decoded photo, a NumPy file of uint8 ``[3, H, W]``, H and W even.
        overexposed: NumPy file of the positions around which overexposed crops are cut (`PhotoCache`).
        profile: the data set's camera; the simulated cameras have its Bayer phase.
        camera: the camera; None draws one for each window.
        exposures: range from which the exposure of a window is drawn, in EV.
        demosaic: makes the targets; its phase and gains are ignored.
        fixed: draw camera and exposure once for the photo, not for each window: for validation.
    """

    def __init__(
        self,
        name: str,
        pixels: Path,
        overexposed: Path,
        *,
        profile: CameraProfile,
        demosaic: Demosaic,
        camera: SimulatedCamera | None = None,
        exposures: tuple[float, float] = EXPOSURES,
        fixed: bool = False,
    ) -> None:
        self.name = name
        self.camera = camera
        self.exposures = exposures
        self.fixed = fixed
        self.cfa = profile.cfa
        self.demosaic = demosaic
        self._pixels = pixels
        self._positions = overexposed
        self.height, self.width = open_npy(pixels).shape[1:]
        self.frame = Place(0, 0, self.height, self.width)
        self.has_overexposed = len(self.overexposed()) > 0

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return (row, column) of pixels that a shot of mean exposure overexposes, ``[n, 2]`` int32.

        They are found in the photo, before any camera. In a shot of less exposure, a crop around them may have no
        overexposed pixel; in a shot of more exposure, it has many more.
        """
        return _opened(self._positions)

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the photo's own linear light at every `BRIGHTNESS_STEP`-th row and column, before any camera.

        Camera and exposure decide how bright the RAW becomes, but not which positions are brighter than others.
        """
        stored = _opened(self._pixels)[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP]
        light: np.ndarray[Any, Any] = srgb_to_linear(torch.from_numpy(stored.astype(np.float32) / 255)).numpy()
        return light

    @torch.no_grad()
    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Simulate a shot of a window, with the surrounding pixels that its processing sees.

        ``mosaic(target) == bayer``. Noise, lens shading and JPEG blocks are those of the window's position in the
        whole photo.
        """
        margin = NETWORK_MARGIN if self.demosaic.method == "demosaicnet" else SIMULATED_MARGIN
        y, x = (max(0, start - margin) // JPEG_GRID * JPEG_GRID for start in (top, left))
        bottom, right = (-((end + margin) // -GRID) * GRID for end in (top + height, left + width))
        photo = torch.from_numpy(np.ascontiguousarray(_opened(self._pixels)[:, y:bottom, x:right]))
        window = CropArea(top - y, left - x, height, width)
        drawn = () if self.fixed else (seed, top, left)
        with torch.inference_mode():
            camera, exposure = self._shot(_generator(self.name, *drawn))
        shot = shoot_window(
            photo,
            camera,
            window,
            exposure=exposure,
            place=self.frame.crop(y, x),
            generator=_generator(self.name, seed, top, left, 1),
        )
        bayer, target = shot.bayer[window.of].contiguous(), shot.raw_rgb
        if self.demosaic.method != "malvar":
            target = demosaic(
                shot.bayer,
                self.cfa,
                self.demosaic.method,
                gains=camera.profile.gains,
                network=self.demosaic.network,
            )[window.of].contiguous()
        return Sample(shot.srgb, bayer, target, self.name, torch.ones_like(bayer))

    def _shot(self, generator: torch.Generator) -> tuple[SimulatedCamera, float]:
        low, high = self.exposures
        exposure = low + (high - low) * torch.rand(1, generator=generator).item()
        return self.camera or random_simulated_camera(generator, cfa=self.cfa), exposure


class SimulatedSource:
    """Photos of a folder as pictures.

    Args:
        photos: the folder; photos in its subfolders count too.
        camera: file of one camera that takes all pictures (`revisp.io.camera_file`); None draws cameras.
        exposures: least and most exposure in EV, relative to the photo's own.
        val: photos or folders of photos to validate with; None takes the last fifth in natural order.
        cache: folder that keeps decoded photos for the next training; None: they are deleted when the program
            ends.
        max_side: reduce larger photos to this longest side; None keeps their size.
        demosaic: arguments of `Demosaic` (``method``, ``weights``); by default ``"malvar"`` makes the targets.

    Attributes:
        left_out: a line on the files of the folder that are no photos; empty if all are.

    Raises:
        DataError: the folder does not exist, it has too few photos, or ``val`` names no photo of it.
        ConfigError: an exposure is outside its range, or the camera file is not valid.
    """

    def __init__(
        self,
        photos: str | Path,
        *,
        camera: str | Path | None = None,
        exposures: Sequence[float] = EXPOSURES,
        val: Sequence[str] | str | None = None,
        cache: str | Path | None = None,
        max_side: int | None = None,
        demosaic: Mapping[str, Any] | None = None,
    ) -> None:
        self.camera = None if camera is None else load_camera(camera)
        self.profile = typical_profile() if self.camera is None else self.camera.profile
        self.exposures = _check_exposures(exposures)
        self.demosaic = Demosaic(**{"method": "malvar", **(demosaic or {})}).to(memory_format=torch.channels_last)
        self.root = Path(photos)
        folder = _find(self.root)
        self.left_out = (folder.left_out,) if folder.left_out else ()
        self._train, self._val = _split(self.root, folder.photos, val)
        if cache is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="revisp-photos-")
            cache = self._temporary.name
        self._cache = PhotoCache(cache, exposure=sum(self.exposures) / 2, max_side=max_side)

    def train_pictures(self) -> list[SimulatedPhoto]:
        """Return the training photos, after decoding those that are not decoded yet.

        Raises:
            DataError: no photo can be read.
            OutputError: the decoded photos cannot be stored.
        """
        return self._pictures(self._train, fixed=False)

    def val_pictures(self) -> list[SimulatedPhoto]:
        """Return the validation photos, each taken by one camera at one exposure, always the same.

        Raises:
            DataError: no photo can be read.
            OutputError: the decoded photos cannot be stored.
        """
        return self._pictures(self._val, fixed=True)

    def _pictures(self, paths: Sequence[Path], *, fixed: bool) -> list[SimulatedPhoto]:
        self._cache.require_space(paths)
        pictures, skipped = [], []
        for path in paths:
            try:
                pixels, overexposed = self._cache.add(path)
            except ImageError as error:
                skipped.append(str(error))
                continue
            pictures.append(
                SimulatedPhoto(
                    path.relative_to(self.root).as_posix(),
                    pixels,
                    overexposed,
                    profile=self.profile,
                    demosaic=self.demosaic,
                    camera=self.camera,
                    exposures=self.exposures,
                    fixed=fixed,
                )
            )
        if not pictures:
            raise DataError(f"{self.root}: no photo can be read: {skipped[0]}")
        if skipped:
            log.warning("%d of %d photos are left out; the first: %s", len(skipped), len(paths), skipped[0])
        return pictures


def simulated(
    *,
    photos: str | Path,
    camera: str | Path | None = None,
    val: Sequence[str] | str | None = None,
    cache: str | Path | None = None,
    **options: Any,
) -> PairDataModule:
    """Return the data module of photos of which simulated cameras take every crop again.

    Args:
        photos: folder of photos.
        camera: as for `SimulatedSource`.
        val: as for `SimulatedSource`.
        cache: as for `SimulatedSource`.
        options: other arguments of `SimulatedSource`, and those of `PairDataModule`.

    Raises:
        DataError: the folder does not exist, or has too few photos.
        ConfigError: an argument is outside its range, or the camera file is not valid.
    """
    taken = taken_by(SimulatedSource, options)
    source = SimulatedSource(photos, camera=camera, val=val, cache=cache, **taken)
    return PairDataModule(source, **options)


@lru_cache(maxsize=MOST_OPEN)
def _opened(path: Path) -> np.ndarray[Any, Any]:
    """Open a file of a `PhotoCache`, and keep the last ones open."""
    return open_npy(path)


def _generator(name: str, *numbers: int) -> torch.Generator:
    """Return a generator that is seeded by a photo's name and some numbers."""
    return generator_of(zlib.crc32(os.fsencode(name)), *numbers)


def _check_exposures(exposures: Sequence[float]) -> tuple[float, float]:
    values = [float(value) for value in exposures]
    if len(values) != 2 or not -8 <= values[0] <= values[1] <= 8:
        raise ConfigError(f"data.exposures must be least and most EV within [-8, 8], got {list(exposures)}")
    return values[0], values[1]


def _find(root: Path) -> PhotoFolder:
    try:
        folder = read_photo_folder(root, below=True)
    except ImageError as error:
        raise DataError(str(error)) from error
    if len(folder.photos) < 2:
        raise DataError(
            f"{root}: one photo ({', '.join(PHOTO_ENDINGS)}), but at least one to train and one to validate with "
            "are needed"
        )
    return folder


def _split(root: Path, found: Sequence[Path], val: Sequence[str] | str | None) -> tuple[list[Path], list[Path]]:
    """Return the training and the validation photos."""
    if val is None:
        held = found[-max(1, round(VAL_SHARE * len(found))) :]
    else:
        held = []
        for name in [val] if isinstance(val, str) else val:
            named = [path for path in found if str(name).rstrip("/") in _names(path.relative_to(root))]
            if not named:
                raise DataError(f"{root}: no photo or folder to validate with is named {str(name)!r}")
            held += named
    chosen = set(held)
    train = [path for path in found if path not in chosen]
    if not train:
        raise DataError(f"{root}: data.val names all photos, so none is left to train with: name fewer")
    return train, [path for path in found if path in chosen]


def _names(relative: Path) -> set[str]:
    """Return the names by which ``val`` selects a photo: its path with or without ending, and its folders."""
    folders = [parent.as_posix() for parent in relative.parents if parent.name]
    return {relative.as_posix(), relative.with_suffix("").as_posix(), *folders}
