"""The embedded data set: photographs of scikit-image and scikit-learn, taken by a simulated camera.

It needs no download and no camera files, so training, tests and notebooks run right after installation. The files
are read from the installed packages; neither package is imported.
"""

from __future__ import annotations

import importlib.util
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from revisp.camera.isp import srgb_to_linear
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.picture import Pair
from revisp.errors import DataError
from revisp.io.photo import read_srgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.camera.profile import CameraProfile
    from revisp.camera.simulate import SimulatedCamera

__all__ = ["EXPOSURES", "TRAIN_PHOTOS", "VAL_PHOTOS", "EmbeddedPhotos", "Photograph"]


class Photograph(NamedTuple):
    """A photograph inside an installed package.

    Attributes:
        package: importable name of the package.
        file: path inside it.
    """

    package: str
    file: str

    @property
    def name(self) -> str:
        """File name without its ending."""
        return Path(self.file).stem

    @property
    def path(self) -> Path:
        """The path of the installed file.

        Raises:
            DataError: the package is missing, or does not contain the file.
        """
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec is not None else None
        for folder in folders or []:
            if (path := Path(folder) / self.file).is_file():
                return path
        raise DataError(
            f"the photograph {self.file} of the package {self.package!r} is not installed: "
            "pip install scikit-image scikit-learn"
        )


TRAIN_PHOTOS = (
    Photograph("skimage", "data/astronaut.png"),
    Photograph("skimage", "data/coffee.png"),
    Photograph("skimage", "data/motorcycle_left.png"),
    Photograph("skimage", "data/motorcycle_right.png"),
    Photograph("skimage", "data/rocket.jpg"),
    Photograph("sklearn", "datasets/images/china.jpg"),
)
VAL_PHOTOS = (
    Photograph("skimage", "data/chelsea.png"),
    Photograph("sklearn", "datasets/images/flower.jpg"),
)
"""Both stereo views of the motorcycle are training photos, so no scene is both learned and validated."""

EXPOSURES = (-0.7, 0.3, 1.3)
"""Exposures of each photograph in EV relative to the metered one: from few overexposed pixels to very many."""

CHANNEL_ORDERS = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2), (2, 1, 0))
"""Orders of a photograph's channels. Each order gives a scene with other colours."""

RECOLOURED_SHOTS = 2
"""Number of repetitions of each training shot in other colours. Six photographs alone contain too few colours."""

METERED_GREY = 0.18
"""Mean luminance that the meter aims at, as light meters do."""

METER_RANGE = 1.0
"""Most EV by which the meter corrects a photograph, so that the night scene of the rocket stays dark."""


class EmbeddedPhotos:
    """Source of simulated pairs. They are the same on every machine, up to rounding, and for every training seed.

    Args:
        exposures: exposures of each photograph, in EV relative to the metered one.
        camera: the simulated camera.

    Raises:
        DataError: ``exposures`` is empty.
    """

    def __init__(self, exposures: Sequence[float] = EXPOSURES, camera: SimulatedCamera = SIMULATED) -> None:
        if not exposures:
            raise DataError("the embedded data set needs at least one exposure")
        self.exposures = tuple(float(value) for value in exposures)
        self.camera = camera

    @property
    def profile(self) -> CameraProfile:
        """The simulated camera's profile."""
        return self.camera.profile

    def train_pairs(self) -> list[Pair]:
        """Simulate shots of the training photos at all exposures, in their own and in permuted colours."""
        return [pair for photo in TRAIN_PHOTOS for pair in self._shoot(photo, recoloured=RECOLOURED_SHOTS)]

    def val_pairs(self) -> list[Pair]:
        """Simulate shots of the validation photos at all exposures."""
        return [pair for photo in VAL_PHOTOS for pair in self._shoot(photo, recoloured=0)]

    def _shoot(self, photo: Photograph, recoloured: int) -> list[Pair]:
        pixels = read_srgb(photo.path)
        height, width = (side // 2 * 2 for side in pixels.shape[-2:])
        pixels = pixels[:, :height, :width]
        pairs = []
        for index, exposure in enumerate(self.exposures):
            others = [CHANNEL_ORDERS[1 + (index * recoloured + k) % 5] for k in range(recoloured)]
            for order in (CHANNEL_ORDERS[0], *others):
                scene = pixels[list(order)]
                colours = "" if order == CHANNEL_ORDERS[0] else "_" + "".join("RGB"[channel] for channel in order)
                name = f"{photo.name}{colours}_{exposure:+.1f}EV"
                generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
                shot = simulate(scene, self.camera, exposure=_meter(scene) + exposure, generator=generator)
                pairs.append(Pair(name, shot.srgb, shot.bayer))
        return pairs


def _meter(photo: Tensor) -> float:
    """Return the exposure in EV that brings a photo's mean luminance to mid grey, within the meter's range."""
    luminance = torch.einsum("c,chw->hw", photo.new_tensor(SRGB_TO_XYZ[1]), srgb_to_linear(photo)).mean().item()
    return min(max(math.log2(METERED_GREY / max(luminance, 1e-6)), -METER_RANGE), METER_RANGE)
