"""Views of scenes as one measured camera takes them: its photo, and the RAW of its own sensor.

The camera file of `revisp-prepare` tells curve, colours, shading, noise and ceilings. A scene is metered at
random, as for the renderings of any camera. It lies at a random place of the camera's frame, and is shot at one of
its ISO speeds. Pairs of the same camera may be learnt with the scenes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from revisp.camera.draw import generator_of
from revisp.camera.isp import apply_ccm
from revisp.camera.place import Place, place_map
from revisp.camera.renderings import random_rendering
from revisp.camera.shading import shading_gain
from revisp.camera.simulate import expose
from revisp.data.base import taken_by
from revisp.data.crops import CropDataset, CropSampler, CropSpec
from revisp.data.datamodule import PairDataModule
from revisp.data.picture import Sample
from revisp.data.prepared import PreparedSource
from revisp.data.scene_pairs import RENDERED_MARGIN, ScenePicture, SceneSource
from revisp.errors import ConfigError
from revisp.io.camera_file import read_camera
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA
    from revisp.data.scene_cache import CachedScene
    from revisp.data.scene_views import SceneView
    from revisp.io.camera_file import MeasuredCamera

__all__ = ["CameraDataModule", "CameraPicture", "CameraSource", "camera_scenes", "shot_of"]

USUAL_SIZE = (3000, 4000)
"""Height and width of the photos of a camera whose file does not tell them, in pixels."""


class CameraPicture(ScenePicture):
    """Views of some scenes, each shot anew by one camera, in the place of a picture.

    Args:
        camera: the camera.
        arguments: as for `ScenePicture`.
    """

    def __init__(self, camera: MeasuredCamera, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.camera = camera

    @property
    def cfa(self) -> CFA:
        """Bayer phase of the camera."""
        return self.camera.profile.cfa

    @torch.no_grad()
    def _sample(self, seed: int) -> Sample:
        generator = generator_of(self.number, seed)
        view = self.view(generator)
        photo, raw_rgb, place = shot_of(view, self.camera, generator)
        side = slice(RENDERED_MARGIN, RENDERED_MARGIN + self.height)
        photo, raw_rgb, place = (plane[..., side, side].contiguous() for plane in (photo, raw_rgb, place))
        bayer = mosaic(raw_rgb, self.cfa)
        name = self.name if self.fixed else view.name
        return Sample(photo, bayer, raw_rgb, name, torch.ones_like(bayer), place=place)


def shot_of(view: SceneView, camera: MeasuredCamera, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Shoot a view.

    Args:
        view: light of a scene ``[3, h, w]``.
        camera: the camera.
        generator: source of exposure, place, ISO speed and noise, on the CPU.

    Returns:
        Photo, sRGB ``[3, h, w]`` in [0, 1], with the noise of the shot; RAW of the camera with all colours,
        ``[3, h, w]``, in [0, 1], without noise; and the place of its pixels in the frame, ``[3, h, w]``.
    """
    fitted, height, width = camera.fitted, *view.light.shape[-2:]
    light = view.light * random_rendering(generator).meter(view.light)
    place = _random_place(height, width, camera.size or USUAL_SIZE, generator)
    black = light.new_tensor(fitted.black).view(3, 1, 1)
    on_sensor = (
        apply_ccm(light, fitted.inverse_matrix) / shading_gain(height, width, fitted.shading, place) + black
    )
    red, even, odd, blue = (1.0 if ceiling is None else ceiling for ceiling in camera.ceilings)
    on_sensor = on_sensor.clamp_min(0).minimum(light.new_tensor([red, min(even, odd), blue]).view(3, 1, 1))
    simulated = camera.simulated
    if camera.noise_by_iso:
        drawn = camera.noise_by_iso[int(torch.randint(len(camera.noise_by_iso), (), generator=generator))]
        simulated = replace(simulated, shot_noise=drawn.shot, read_noise=drawn.read)
    photo = expose(on_sensor, simulated, place=place, generator=generator).srgb
    return photo, on_sensor.clamp(max=1), place_map(height, width, place)


def _random_place(height: int, width: int, size: tuple[int, int], generator: torch.Generator) -> Place:
    """Return a place in a frame that is at least as large; the lens sees the scene everywhere alike."""
    frame = max(size[0], height), max(size[1], width)
    top, left = (
        int(torch.randint(whole - part + 1, (), generator=generator))
        for whole, part in zip(frame, (height, width), strict=True)
    )
    return Place(top, left, *frame)


class CameraSource(SceneSource):
    """Scenes of a folder as pictures that one camera takes.

    Args:
        camera: the camera.
        options: arguments of `SceneSource`.

    Raises:
        ConfigError: a share or size outside its range.
        DataError: no scenes, none that can be read, or too few.
        OutputError: the decoded scenes cannot be stored.
    """

    def __init__(self, camera: MeasuredCamera, **options: Any) -> None:
        super().__init__(**options)
        self.camera = camera

    @property
    def profile(self) -> CameraProfile:
        """The camera's."""
        return self.camera.profile

    def _picture(self, scenes: Sequence[CachedScene], size: int, number: int, **options: Any) -> ScenePicture:
        return CameraPicture(self.camera, scenes, size, number, **options)


class CameraDataModule(PairDataModule):
    """The data module of scenes that one camera takes, alone or together with pairs of that camera.

    With pairs, the crops of an epoch are drawn from both, and validation and fits have the pairs alone.

    Args:
        views: the scenes.
        pairs: the pairs; None: none.
        pair_share: share of the crops that are of pairs, in [0, 1].
        options: arguments of `PairDataModule`.

    Raises:
        ConfigError: an argument is outside its range, or the pairs are of another camera.
    """

    def __init__(
        self, views: CameraSource, pairs: PreparedSource | None, *, pair_share: float, **options: Any
    ) -> None:
        if not 0 <= pair_share <= 1:
            raise ConfigError(f"data.pair_share must lie in [0, 1], got {pair_share}")
        if pairs is not None and pairs.profile.name != views.profile.name:
            raise ConfigError(
                f"data.pairs are of {pairs.profile.name}, but data.camera is {views.profile.name}: name its file"
            )
        super().__init__(pairs or views, **options)
        self.views, self.pairs, self.pair_share = views, pairs, pair_share

    @property
    def placed(self) -> bool:
        """Whether all samples know their place: views do, and photos of pairs that were not cut."""
        return self.pairs is None or super().placed

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops.

        Raises:
            ConfigError: an argument is outside its range.
            DataError: a picture is smaller than a crop.
        """
        if self.pairs is None:
            return super().train_dataloader()
        views = self.views.train_pictures()
        samplers = (
            self._crop_sampler(self.train_pictures),
            self._crop_sampler(views, oe_share=0.0, strata=None, augment=False),
        )
        datasets = (CropDataset(self.train_pictures, self.crop), CropDataset(views, self.crop))
        return self._crop_loader(
            _MixedCrops(datasets, placed=self.placed), _MixedSampler(samplers, self.pair_share, self.seed)
        )


class _MixedSampler(Sampler[tuple[int, CropSpec]]):
    """Draw the crops of an epoch from two samplers; the share is of the first."""

    def __init__(self, samplers: tuple[CropSampler, CropSampler], share: float, seed: int) -> None:
        self.samplers, self.share, self.seed = samplers, share, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; Lightning calls this before each epoch."""
        self.epoch = epoch
        for sampler in self.samplers:
            sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.samplers[0])

    def __iter__(self) -> Iterator[tuple[int, CropSpec]]:
        first = self.samplers[0]
        draws = np.random.default_rng([self.seed, self.epoch, 2]).random(first.length)
        sources = [iter(sampler) for sampler in self.samplers]
        for draw in draws[first.rank :: first.world_size].tolist():
            which = int(draw >= self.share)
            yield which, next(sources[which])


class _MixedCrops(Dataset[Sample]):
    """Crops of two data sets, by the number of the set and the crop. All know their place, or none."""

    def __init__(self, datasets: tuple[CropDataset, CropDataset], *, placed: bool) -> None:
        self.datasets, self.placed = datasets, placed

    def __getitem__(self, index: tuple[int, CropSpec]) -> Sample:
        which, spec = index
        sample = self.datasets[which][spec]
        return sample if self.placed else sample._replace(place=torch.empty(0))


def camera_scenes(
    camera: str | Path, pairs: str | Path | None, *, pair_share: float = 0.5, crop: int = 128, **options: Any
) -> CameraDataModule:
    """Return the data module of scenes that one camera takes, with its pairs if there are some.

    Args:
        camera: a camera file of ``revisp-prepare``.
        pairs: a prepared data set, of which the images of that camera are taken; None: none.
        pair_share: as for `CameraDataModule`.
        crop: side of a crop.
        options: arguments of `SceneSource`, and of `PairDataModule`.

    Raises:
        ConfigError: the file is not a camera file, or an argument is outside its range.
        DataError: no scenes, or no images of that camera.
        OutputError: the decoded scenes cannot be stored.
    """
    measured = read_camera(camera)
    found = None if pairs is None else PreparedSource(pairs, camera=measured.profile.name)
    views = CameraSource(measured, crop=crop, **taken_by(SceneSource, options))
    if found is None:
        options |= {"oe_share": 0.0, "augment": False}
    else:
        options |= {"val_tile": 512, "val_tiles": 4}
    return CameraDataModule(views, found, pair_share=pair_share, crop=crop, **options)
