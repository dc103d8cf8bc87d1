"""Lightning data module: pairs to training crops and whole validation images, with demosaiced targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from revisp.data.crops import CropSampler
from revisp.data.datasets import CropDataset, Pair, PairSource, Sample, WholeDataset
from revisp.demosaic import Demosaic
from revisp.errors import ConfigError
from revisp.mask import OverexposureMask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from revisp.camera.profile import CameraProfile

__all__ = ["PairDataModule", "embedded", "pairs"]


class PairDataModule(LightningDataModule):
    """Serve the pairs of a source.

    Each image is demosaiced once, in `setup`, by the profile's white balance, and the measured samples are written
    back, so that the mosaic of a target is its RAW exactly. Everything is kept in memory.

    A `Trainer` needs ``use_distributed_sampler=False``: the training sampler deals out ranks itself.

    Args:
        source: where the pairs come from.
        crop: side of a training crop in pixels, even.
        batch_size: training crops in a batch of one process.
        crops_per_epoch: training crops in an epoch, over all processes.
        oe_share: share of crops drawn around overexposed pixels, in [0, 1] (`CropSampler`).
        augment: flip and transpose crops, keeping their Bayer phase.
        num_workers: processes that cut crops; they do not change which.
        seed: seed of the crops.
        demosaic: arguments of `Demosaic` (``method``, ...); its CFA and gains are the profile's.
        mask: arguments of `OverexposureMask`, by which overexposed crops are found.

    Raises:
        ConfigError: a batch size that is none.
    """

    def __init__(
        self,
        source: PairSource,
        *,
        crop: int = 128,
        batch_size: int = 8,
        crops_per_epoch: int = 512,
        oe_share: float = 0.5,
        augment: bool = True,
        num_workers: int = 0,
        seed: int = 0,
        demosaic: Mapping[str, Any] | None = None,
        mask: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"data.batch_size must be a whole number above 0, got {batch_size!r}")
        self.source = source
        self.crop = crop
        self.batch_size = batch_size
        self.crops_per_epoch = crops_per_epoch
        self.oe_share = oe_share
        self.augment = augment
        self.num_workers = num_workers
        self.seed = seed
        self.demosaic = Demosaic(
            **{"method": "demosaicnet", **(demosaic or {})}, cfa=self.profile.cfa, gains=self.profile.gains
        ).to(memory_format=torch.channels_last)  # a quarter faster on a CPU
        self.mask = OverexposureMask(**(mask or {}))
        self.train_samples: list[Sample] = []
        self.val_samples: list[Sample] = []

    @property
    def profile(self) -> CameraProfile:
        """The camera of all pairs."""
        return self.source.profile

    def setup(self, stage: str | None = None) -> None:
        """Read and demosaic the pairs that a stage needs, once.

        Args:
            stage: ``"fit"`` or None for all, ``"validate"``, ``"test"`` or ``"predict"`` for the validation pairs.

        Raises:
            DataError: the source cannot give its pairs.
        """
        if not self.val_samples:
            self.val_samples = self._prepare(self.source.val_pairs())
        if stage in (None, "fit") and not self.train_samples:
            self.train_samples = self._prepare(self.source.train_pairs())

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops.

        Raises:
            ConfigError: an argument outside its range.
            DataError: an image is smaller than a crop.
        """
        sampler = CropSampler(
            [self.mask(sample.srgb) for sample in self.train_samples],
            self.profile.cfa,
            crop=self.crop,
            length=self.crops_per_epoch,
            oe_share=self.oe_share,
            augment=self.augment,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        dataset = CropDataset(self.train_samples, self.crop)
        return _EpochLoader(dataset, batch_size=self.batch_size, sampler=sampler, num_workers=self.num_workers)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of whole validation images, one a batch."""
        return DataLoader(WholeDataset(self.val_samples), batch_size=1)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the validation images: there is no third set."""
        return self.val_dataloader()

    @torch.no_grad()
    def _prepare(self, pairs: Sequence[Pair]) -> list[Sample]:
        return [Sample(pair.srgb, pair.bayer, self.demosaic(pair.bayer), pair.name) for pair in pairs]


class _EpochLoader(DataLoader[Sample]):
    """A loader that asks its sampler for indices at the first batch, not when iteration is set up.

    On resuming, Lightning makes the iterator before it tells the sampler the epoch; worker processes would be
    given indices of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


def embedded(*, exposures: Sequence[float] | None = None, **options: Any) -> PairDataModule:
    """Return the data module of the embedded photographs, seen by a simulated camera.

    Args:
        exposures: exposures of each photograph in EV; None takes `revisp.data.embedded.EXPOSURES`.
        options: arguments of `PairDataModule`.
    """
    from revisp.data.embedded import EXPOSURES, EmbeddedPhotos

    return PairDataModule(EmbeddedPhotos(EXPOSURES if exposures is None else exposures), **options)


def pairs(*, root: str | Path, val: Sequence[str] | None = None, **options: Any) -> PairDataModule:
    """Return the data module of a folder of pairs.

    Args:
        root: the folder, laid out as `revisp.data.pairs` says.
        val: names of the pairs to validate with; None takes the last fifth.
        options: arguments of `PairDataModule`.

    Raises:
        DataError: the folder is incomplete or inconsistent.
    """
    from revisp.data.pairs import PairsFolder

    return PairDataModule(PairsFolder(root, val), **options)
