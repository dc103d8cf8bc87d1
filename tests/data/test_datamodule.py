"""The data module: targets whose mosaic is the RAW, and the same crops after resuming a training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from revisp.camera.simulate import SIMULATED
from revisp.data import DATASETS, create_data, list_data
from revisp.data.datamodule import PairDataModule
from revisp.data.datasets import Pair
from revisp.errors import ConfigError, DataError, UnknownNameError
from revisp.mosaic import mosaic

PROFILE = SIMULATED.profile


class TwoPairs:
    """A source of noise pictures, one with a clipped patch."""

    profile = PROFILE

    def train_pairs(self) -> list[Pair]:
        return [self._pair("one", 0), self._pair("two", 1)]

    def val_pairs(self) -> list[Pair]:
        return [self._pair("three", 2)]

    def _pair(self, name: str, seed: int) -> Pair:
        generator = torch.Generator().manual_seed(seed)
        srgb = torch.rand(3, 40, 48, generator=generator)
        srgb[:, 10:14, 10:14] = 1.0
        return Pair(name, srgb, torch.rand(1, 40, 48, generator=generator))


def _data(**options: Any) -> PairDataModule:
    defaults: dict[str, Any] = {
        "crop": 16, "batch_size": 4, "crops_per_epoch": 12, "demosaic": {"method": "malvar"}
    }  # fmt: skip
    return PairDataModule(TwoPairs(), **{**defaults, **options})


class Recorder(LightningModule):
    """A network of one parameter that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.srgb.double().sum().item())
        return (self.weight * batch.srgb - batch.target).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/mean", batch.bayer.mean(), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def _trainer(root: Any, epochs: int, **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=root, max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["bilinear", "malvar", "demosaicnet"])
def test_mosaic_of_every_target_is_its_raw(method):
    data = _data(demosaic={"method": method})
    data.setup("fit")
    for batch in [*data.train_dataloader(), *data.val_dataloader()]:
        assert torch.equal(mosaic(batch.target, PROFILE.cfa), batch.bayer)


def test_batches_hold_what_was_asked_for():
    data = _data()
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    assert batches[0].srgb.shape == (4, 3, 16, 16)
    assert batches[0].bayer.shape == (4, 1, 16, 16)
    assert set(batches[0].name) <= {"one", "two"}
    whole = next(iter(data.val_dataloader()))
    assert whole.target.shape == (1, 3, 40, 48)
    assert list(whole.name) == ["three"]


def test_every_crop_holds_overexposed_pixels_when_asked_to():
    data = _data(crops_per_epoch=200, oe_share=1.0)
    data.setup("fit")
    for batch in data.train_dataloader():
        assert ((batch.srgb == 1).all(dim=1).flatten(1).sum(dim=1) > 0).all()


def test_validation_alone_reads_no_training_pairs(monkeypatch):
    monkeypatch.setattr(TwoPairs, "train_pairs", lambda self: pytest.fail("training pairs were read"))
    data = _data()
    data.setup("validate")
    assert len(data.val_dataloader()) == 1


def test_workers_do_not_change_the_crops():
    def epoch(workers: int) -> list[torch.Tensor]:
        data = _data(num_workers=workers)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(2)
        return [batch.srgb for batch in loader]

    for one, two in zip(epoch(0), epoch(2), strict=True):
        assert torch.equal(one, two)


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")
@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_training_sees_the_same_crops(tmp_path, workers):
    whole, first, second = Recorder(), Recorder(), Recorder()
    _trainer(tmp_path / "whole", 4).fit(whole, datamodule=_data(num_workers=workers))
    trainer = _trainer(tmp_path / "parts", 2)
    trainer.fit(first, datamodule=_data(num_workers=workers))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    _trainer(tmp_path / "parts", 4).fit(
        second, datamodule=_data(num_workers=workers), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert len(set(whole.seen)) == 12  # no epoch repeats another
    assert first.seen + second.seen == whole.seen
    assert second.weight.item() == whole.weight.item()


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")
@pytest.mark.parametrize("workers", [0, 1])
def test_resuming_from_the_callbacks_checkpoint_sees_the_same_crops(tmp_path, workers):
    whole, second = Recorder(), Recorder()
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=False)
    _trainer(tmp_path, 4, callbacks=[keep]).fit(whole, datamodule=_data(num_workers=workers))
    _trainer(tmp_path, 4).fit(
        second, datamodule=_data(num_workers=workers), ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True
    )
    assert second.seen == whole.seen[6:]


def test_registered_names_and_mistakes():
    assert {"embedded", "pairs"} <= set(list_data())
    with pytest.raises(UnknownNameError, match="did you mean 'embedded'"):
        create_data("embeded")
    with pytest.raises(ConfigError, match="cropp"):
        create_data("embedded", cropp=3)
    with pytest.raises(DataError, match="no such folder"):
        create_data("pairs", root="/no/such/folder")
    assert DATASETS.kind == "data set"


def test_crop_larger_than_an_image_is_refused():
    data = _data(crop=64)
    data.setup("fit")
    with pytest.raises(DataError, match="smaller than the crop of 64"):
        data.train_dataloader()
