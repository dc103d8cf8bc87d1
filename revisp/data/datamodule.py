"""The Lightning data module that makes training crops and validation tiles of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Dataset, Sampler

from revisp.data.base import DataModule, check_whole
from revisp.data.crops import CropDataset, CropSampler
from revisp.data.picture import Picture, PictureSource, Sample, know_places, table_of
from revisp.data.tiles import TileDataset, picture_tiles, spread, spread_tiles
from revisp.errors import ConfigError
from revisp.io.storage import require_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from revisp.camera.profile import CameraProfile
    from revisp.data.conditions import Conditions

__all__ = ["PairDataModule", "embedded", "prepared"]

SAMPLE_SIDE = 1024
"""Longest side in pixels of a sample of `PairDataModule.training_samples`."""

MIN_TILE = 64
"""Least `val_tile`. Pictures are cut into about equal parts of at least half of it, and SSIM needs 22 pixels."""


class PairDataModule(DataModule):
    """Serve the pictures of a source as random training crops and as validation tiles.

    Windows are read when they are needed and are not kept.

    Args:
        source: the source of the pictures.
        crop: side of a training crop in pixels, even.
        batch_size: training crops in a batch of one process.
        crops_per_epoch: training crops in an epoch, over all processes.
        oe_share: share of crops drawn around overexposed pixels, in [0, 1] (`CropSampler`).
        strata: bins of brightness over which the other crops are drawn evenly; None draws them from all pixels.
        augment: flip and transpose crops, keeping their Bayer phase.
        num_workers: processes that cut crops; their number does not change the crops.
        seed: seed of the crops.
        val_tile: longest side in pixels of a tile in validation and test, even, at least `MIN_TILE`; each tile
            counts as an image in the scores. None takes whole pictures.
        val_tiles: most tiles of a picture in a validation during training, spread evenly over it; a test uses all.
            None takes all.

    Raises:
        ConfigError: a size or count is not a whole number in its range, or ``val_tile`` is odd or too small.
    """

    def __init__(
        self,
        source: PictureSource,
        *,
        crop: int = 128,
        batch_size: int = 8,
        crops_per_epoch: int = 512,
        oe_share: float = 0.5,
        strata: int | None = None,
        augment: bool = True,
        num_workers: int = 0,
        seed: int = 0,
        val_tile: int | None = None,
        val_tiles: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("crop", crop), ("batch_size", batch_size), ("crops_per_epoch", crops_per_epoch)):
            check_whole(value, name)
        check_whole(num_workers, "num_workers", 0)
        if strata is not None:
            check_whole(strata, "strata", 2)
        if val_tile is not None:
            check_whole(val_tile, "val_tile", MIN_TILE)
            if val_tile % 2:
                raise ConfigError(f"data.val_tile must be even, got {val_tile}")
        if val_tiles is not None:
            check_whole(val_tiles, "val_tiles")
        self.source = source
        self.crop = crop
        self.batch_size = batch_size
        self.crops_per_epoch = crops_per_epoch
        self.oe_share = oe_share
        self.strata = strata
        self.augment = augment
        self.num_workers = num_workers
        self.seed = seed
        self.val_tile = val_tile
        self.val_tiles = val_tiles
        self._train: Sequence[Picture] | None = None
        self._val: Sequence[Picture] | None = None

    @property
    def profile(self) -> CameraProfile:
        """The camera of the data set. All samples have its Bayer phase."""
        return self.source.profile

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each given folder with files that are not used, if the source has such lines."""
        return tuple(getattr(self.source, "left_out", ()))

    @property
    def conditions(self) -> Mapping[str, Conditions]:
        """Under which conditions validation pictures were taken, by their names, if the source knows it."""
        known: Mapping[str, Conditions] = getattr(self.source, "conditions", {})
        return known

    @property
    def placed(self) -> bool:
        """Whether all pictures know where in their photos they lie."""
        return know_places(self.train_pictures) and know_places(self.val_pictures)

    @property
    def train_pictures(self) -> Sequence[Picture]:
        """The training pictures; the source is asked for them once."""
        if self._train is None:
            self._train = self.source.train_pictures()
        return self._train

    @property
    def val_pictures(self) -> Sequence[Picture]:
        """The validation pictures; the source is asked for them once."""
        if self._val is None:
            self._val = self.source.val_pictures()
        return self._val

    def setup(self, stage: str | None = None) -> None:
        """Ask the source for the pictures that a stage needs.

        Args:
            stage: ``"fit"`` or None: all pictures; ``"validate"``, ``"test"`` or ``"predict"``: the validation
                pictures.

        Raises:
            DataError: the source cannot provide its pictures.
        """
        _ = self.val_pictures
        if stage in (None, "fit"):
            _ = self.train_pictures

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops.

        Raises:
            ConfigError: an argument is outside its range.
            DataError: a picture is smaller than a crop.
        """
        pictures = self.train_pictures
        return self._crop_loader(CropDataset(pictures, self.crop), self._crop_sampler(pictures))

    def _crop_sampler(self, pictures: Sequence[Picture], **changes: Any) -> CropSampler:
        """Return the sampler of an epoch's crops; ``changes`` replace the module's own settings."""
        settings = {"oe_share": self.oe_share, "strata": self.strata, "augment": self.augment, "seed": self.seed}
        return CropSampler(
            pictures,
            self.profile.cfa,
            crop=self.crop,
            length=self.crops_per_epoch,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            **{**settings, **changes},
        )

    def _crop_loader(self, dataset: Dataset[Sample], sampler: Sampler[Any]) -> DataLoader[Sample]:
        return _EpochLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of validation tiles, one tile in a batch: at most `val_tiles` of a picture."""
        return self._tile_loader(self.val_tiles)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of all tiles of the validation pictures. There is no separate test set."""
        return self._tile_loader(None)

    def training_samples(self, limit: int = 64) -> list[Sample]:
        """Return samples to which a simple model is fitted, spread evenly over the training pictures.

        They are always the same.

        Args:
            limit: most samples. A sample is a whole picture or, of a picture larger than `SAMPLE_SIDE` or
                `val_tile`, a tile.
        """
        return self._spread_samples(self.train_pictures, limit)

    def validation_samples(self, limit: int = 4) -> list[Sample]:
        """Return samples to show: spread evenly over the validation pictures, as in `training_samples`."""
        return self._spread_samples(self.val_pictures, limit)

    def _spread_samples(self, pictures: Sequence[Picture], limit: int) -> list[Sample]:
        tiles = spread_tiles(pictures, self.profile.cfa, min(self.val_tile or SAMPLE_SIDE, SAMPLE_SIDE), limit)
        dataset = TileDataset(pictures, tiles)
        return [dataset[index] for index in range(len(dataset))]

    def _tile_loader(self, limit: int | None) -> DataLoader[Sample]:
        pictures = self.val_pictures
        table = table_of(pictures)
        tiles = [
            tile
            for image in range(len(pictures))
            for tile in spread(picture_tiles(table, image, self.profile.cfa, self.val_tile), limit)
        ]
        return DataLoader(TileDataset(pictures, tiles), batch_size=1)


class _EpochLoader(DataLoader[Sample]):
    """A loader that asks its sampler for indices at the first batch, not when the iterator is made.

    When Lightning resumes a training, it makes the iterator before it tells the sampler the epoch. Worker
    processes would otherwise get the indices of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


def embedded(
    *,
    exposures: Sequence[float] | None = None,
    demosaic: Mapping[str, Any] | None = None,
    mask: Mapping[str, Any] | None = None,
    **options: Any,
) -> PairDataModule:
    """Return the data module of the embedded photographs, taken by a simulated camera.

    Args:
        exposures: exposures of each photograph in EV; None takes `revisp.data.embedded.EXPOSURES`.
        demosaic: arguments of `revisp.demosaic.Demosaic`, which makes the targets.
        mask: arguments of `revisp.mask.OverexposureMask`, which finds overexposed pixels.
        options: arguments of `PairDataModule`.
    """
    from revisp.data.embedded import EXPOSURES, EmbeddedPhotos
    from revisp.data.memory import MemorySource

    photos = EmbeddedPhotos(EXPOSURES if exposures is None else exposures)
    return PairDataModule(MemorySource(photos, demosaic=demosaic, mask=mask), **options)


def prepared(
    *,
    root: str | Path,
    val: Sequence[str] | str | None = None,
    camera: str | None = None,
    demosaic: Mapping[str, Any] | None = None,
    **options: Any,
) -> PairDataModule:
    """Return the data module of a data set that ``revisp-prepare`` made.

    Args:
        root: its folder.
        val: scenes or images to validate with, instead of those that ``revisp-prepare`` set apart.
        camera: take the images of this camera only.
        demosaic: ignored, since the data set contains its targets.
        options: arguments of `PairDataModule`.

    Raises:
        DataError: the folder is not a prepared data set, it is incomplete or inconsistent, or it does not contain
            a name.
    """
    from revisp.data.prepared import PreparedSource

    require_on_disk(Path(root), "data=prepared (data=stream takes shards at an address)")
    return PairDataModule(PreparedSource(root, val=val, camera=camera), **options)
