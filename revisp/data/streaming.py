"""Training from LitData shards: tiles are streamed from a disk or object storage, and crops are cut from them.

LitData divides the chunks among the processes of a distributed training and their workers, and shuffles them. It
downloads the chunks of a remote folder when they are needed, and deletes them afterwards.
"""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from revisp.data.base import DataModule, check_whole
from revisp.data.crops import CropDataset, CropSampler
from revisp.data.picture import Sample, know_places, with_place
from revisp.data.shards import Shards, ShardTile, TileReader, read_tile, reading, require_litdata
from revisp.data.tiles import spread
from revisp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA

__all__ = ["ShardCrops", "StreamDataModule", "stream"]

EPOCH_STRIDE = 2**16
"""Added to LitData's epoch when shards are read again within an epoch, so that they are shuffled differently."""


class ShardCrops(IterableDataset[Sample]):
    """The crops of one process.

    There are two kinds of crops, chosen at random. One lies around an overexposed pixel of the next tile with
    overexposed pixels. The other lies anywhere in the next of all tiles. LitData shuffles and divides the tiles;
    each epoch starts at another position of the shards. With the same numbers of processes and workers, an epoch
    depends only on ``(seed, epoch)``.

    Args:
        everything: all tiles.
        rich: tiles with overexposed pixels, or None.
        cfa: Bayer phase of the crops.
        crop: side of a crop.
        batches: batches in an epoch.
        batch_size: crops in a batch.
        oe_share: share of the crops around overexposed pixels.
        augment: apply a random symmetry.
        seed: seed of the training.
        rank: rank of the process.
        where: name of the shards in an error message.
    """

    def __init__(
        self,
        everything: Any,
        rich: Any,
        cfa: CFA,
        *,
        crop: int,
        batches: int,
        batch_size: int,
        oe_share: float,
        augment: bool,
        seed: int,
        rank: int,
        where: str,
    ) -> None:
        self.everything = everything
        self.rich = rich
        self.cfa = cfa
        self.crop = crop
        self.batches = batches
        self.batch_size = batch_size
        self.oe_share = oe_share
        self.augment = augment
        self.seed = seed
        self.rank = rank
        self.where = where
        self.epoch = 0

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        draws = np.random.default_rng([self.seed, self.epoch, self.rank, worker])
        everything = self._tiles(self.everything)
        rich = None if self.rich is None else self._tiles(self.rich)
        for _ in range(len(range(worker, self.batches, workers)) * self.batch_size):
            share, seed = draws.random(), int(draws.integers(2**62))
            tile = next(rich, None) if rich is not None and share < self.oe_share else None
            around = tile is not None
            if tile is None:
                tile = next(everything, None)
            if tile is None:
                raise DataError(
                    f"{self.where}: too few tiles: each of the {workers} workers of each process needs one. Use "
                    "fewer processes or workers, or train on the prepared data set itself (data=prepared)"
                )
            yield self._crop(tile, around, seed)

    def _tiles(self, dataset: Any) -> Iterator[ShardTile]:
        """Yield tiles again and again; no tile if LitData gives this worker none."""
        for turn in itertools.count():
            dataset.set_epoch(self.epoch + turn * EPOCH_STRIDE)
            blob = None
            with reading(self.where):
                for blob in dataset:
                    yield read_tile(blob, self.where, balanced=True)
            if blob is None:
                return

    def _crop(self, tile: ShardTile, around: bool, seed: int) -> Sample:
        sampler = CropSampler(
            [tile], self.cfa, crop=self.crop, length=1, oe_share=float(around), augment=self.augment, seed=seed
        )
        return CropDataset([tile], self.crop)[next(iter(sampler))]


class _CropLoader(DataLoader[Sample]):
    """A loader that reads the current epoch when its first batch is requested."""

    def __init__(self, dataset: ShardCrops, epoch: Callable[[], int], num_workers: int) -> None:
        super().__init__(dataset, batch_size=dataset.batch_size, num_workers=num_workers)
        self._epoch = epoch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.dataset.epoch = self._epoch()  # type: ignore[attr-defined]
        yield from super().__iter__()


class _TileSamples(Dataset[Sample]):
    """Whole tiles of a part, some or all. A tile of another phase than the data set's loses a border."""

    def __init__(self, tiles: TileReader, indices: Sequence[int], cfa: CFA) -> None:
        self.tiles = tiles
        self.indices = indices
        self.cfa = cfa

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        tile = self.tiles[self.indices[index]]
        top, left = tile.cfa.offset_to(self.cfa)
        sample = tile.read(top, left, tile.height - 2 * top, tile.width - 2 * left)
        return with_place(sample, tile, top, left) if know_places([tile]) else sample


class StreamDataModule(DataModule):
    """Serve crops and tiles from shards.

    Args:
        shards: the shards.
        crop: side of a training crop in pixels, even.
        batch_size: training crops in a batch of one process.
        crops_per_epoch: training crops in an epoch, over all processes; a remainder that does not fill a batch on
            every process is left out. None: the number of tiles.
        oe_share: share of crops drawn around overexposed pixels, in [0, 1].
        augment: flip and transpose crops, keeping their Bayer phase.
        num_workers: processes that read shards and cut crops.
        seed: seed of the crops.
        val_tiles: most tiles in a validation during training, spread evenly over all; a test uses all. None takes
            all.

    Raises:
        ConfigError: a count is not a whole number of at least 1 (``num_workers``: of at least 0), or ``crop`` is
            too large for the tiles.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        crop: int = 128,
        batch_size: int = 8,
        crops_per_epoch: int | None = None,
        oe_share: float = 0.5,
        augment: bool = True,
        num_workers: int = 0,
        seed: int = 0,
        val_tiles: int | None = None,
    ) -> None:
        super().__init__()
        tiles = shards.info.tiles
        self.crops_per_epoch = tiles["train"] + tiles["train-oe"] if crops_per_epoch is None else crops_per_epoch
        counts = {"crop": crop, "batch_size": batch_size, "crops_per_epoch": self.crops_per_epoch}
        for name, value in counts.items():
            check_whole(value, name)
        check_whole(num_workers, "num_workers", 0)
        if val_tiles is not None:
            check_whole(val_tiles, "val_tiles")
        if crop > shards.info.side - 1:
            raise ConfigError(
                f"data.crop={crop} is too large for tiles of {shards.info.side} pixels: use at most "
                f"{shards.info.side - 2}, or pack larger tiles"
            )
        self.shards = shards
        self.crop = crop
        self.batch_size = batch_size
        self.oe_share = oe_share
        self.augment = augment
        self.num_workers = num_workers
        self.seed = seed
        self.val_tiles = val_tiles

    @property
    def profile(self) -> CameraProfile:
        """The camera of the data set. All samples have its Bayer phase."""
        return self.shards.info.profile

    @property
    def placed(self) -> bool:
        """Whether the shards know where in the photos their tiles lie; shards of an earlier revisp do not."""
        return know_places([self.shards.random_access("val")[0]])

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops.

        Raises:
            ConfigError: an argument is outside its range.
            DataError: the shards are damaged or cannot be reached.
        """
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = self.crops_per_epoch // (ranks * self.batch_size)
        if batches == 0:
            raise ConfigError(
                f"{self.crops_per_epoch} crops an epoch fill no batch of {self.batch_size} on {ranks} processes: "
                "set data.crops_per_epoch or data.batch_size"
            )
        # Lightning warns about the length without need: each worker makes its own share of the batches.
        warnings.filterwarnings("ignore", message="Your `IterableDataset` has `__len__` defined")
        everything, rich = self._streams(ranks)
        crops = ShardCrops(
            everything,
            rich,
            self.profile.cfa,
            crop=self.crop,
            batches=batches,
            batch_size=self.batch_size,
            oe_share=self.oe_share,
            augment=self.augment,
            seed=self.seed,
            rank=rank,
            where=self.shards.root,
        )
        return _CropLoader(crops, lambda: self.trainer.current_epoch if self.trainer else 0, self.num_workers)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of validation tiles, one tile in a batch: at most `val_tiles`."""
        return self._loader(self.val_tiles)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of all validation tiles. There is no separate test set."""
        return self._loader(None)

    def training_samples(self, limit: int = 64) -> list[Sample]:
        """Return whole tiles to which a simple model is fitted, spread evenly over all, always the same."""
        tiles = self.shards.info.tiles
        samples: list[Sample] = []
        for part, first in (("train", 0), ("train-oe", tiles["train"])):
            chosen = spread(range(tiles["train"] + tiles["train-oe"]), limit)
            samples += self._samples(part, [at - first for at in chosen if 0 <= at - first < tiles[part]])
        return samples

    def validation_samples(self, limit: int = 4) -> list[Sample]:
        """Return whole tiles to show, spread evenly over the validation tiles."""
        return self._samples("val", spread(range(self.shards.info.tiles["val"]), limit))

    def _streams(self, ranks: int) -> tuple[Any, Any]:
        """Return a stream of all tiles, each once in a turn, and a stream of tiles with overexposed pixels."""
        litdata = require_litdata()
        parts = [part for part in ("train", "train-oe") if self.shards.info.tiles[part]]
        streams = [self.shards.stream(part, self.seed) for part in parts]
        if streams[0].distributed_env.world_size != ranks:
            raise ConfigError(
                f"LitData sees {streams[0].distributed_env.world_size} processes where the trainer has {ranks}: "
                "unset the environment variables WORLD_SIZE and GLOBAL_RANK"
            )
        everything = streams[0]
        if len(streams) > 1:
            everything = litdata.CombinedStreamingDataset(streams, seed=self.seed, iterate_over_all=True)
        rich = self.shards.stream("train-oe", self.seed + 1) if "train-oe" in parts and self.oe_share > 0 else None
        return everything, rich

    def _loader(self, limit: int | None) -> DataLoader[Sample]:
        chosen = spread(range(self.shards.info.tiles["val"]), limit)
        return DataLoader(_TileSamples(self.shards.random_access("val"), chosen, self.profile.cfa), batch_size=1)

    def _samples(self, part: str, chosen: Sequence[int]) -> list[Sample]:
        if not chosen:  # the part may have no shards
            return []
        tiles = _TileSamples(self.shards.random_access(part), chosen, self.profile.cfa)
        return [tiles[index] for index in range(len(tiles))]


def stream(
    *,
    root: str | Path,
    cache: str | Path | None = None,
    demosaic: Mapping[str, Any] | None = None,
    **options: Any,
) -> StreamDataModule:
    """Return the data module of shards.

    Args:
        root: their folder, or the address of a copy in object storage.
        cache: folder for downloads.
        demosaic: ignored, since the shards contain their targets.
        options: arguments of `StreamDataModule`.

    Raises:
        ConfigError: LitData is not installed, or an argument is outside its range.
        DataError: there are no shards, or they are damaged.
    """
    return StreamDataModule(Shards(root, cache), **options)
