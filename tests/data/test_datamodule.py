"""The data module: targets whose mosaic is the RAW, tiles, and the same crops after resuming a training."""

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
from revisp.data.manifest import write_manifest
from revisp.data.memory import MemorySource
from revisp.data.picture import Pair
from revisp.errors import ConfigError, DataError, UnknownNameError
from revisp.mosaic import mosaic

PROFILE = SIMULATED.profile
TWO_PHASES = PROFILE.replace(cfa="RGGB"), PROFILE.replace(cfa="GBRG")


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


def _data(method: str = "malvar", **options: Any) -> PairDataModule:
    source = MemorySource(TwoPairs(), demosaic={"method": method})
    return PairDataModule(source, **{"crop": 16, "batch_size": 4, "crops_per_epoch": 12, **options})


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
    data = _data(method)
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
    assert batches[0].valid.shape == (4, 1, 16, 16)
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
    assert {"embedded", "prepared"} <= set(list_data())
    with pytest.raises(UnknownNameError, match="did you mean 'embedded'"):
        create_data("embeded")
    with pytest.raises(ConfigError, match="cropp"):
        create_data("embedded", cropp=3)
    with pytest.raises(DataError, match="no prepared data set here"):
        create_data("prepared", root="/no/such/folder")
    assert DATASETS.kind == "data set"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "abc"}, "data.crop must be a whole number"),
        ({"batch_size": 0}, "data.batch_size must be a whole number of at least 1, got 0"),
        ({"crops_per_epoch": 1.5}, "data.crops_per_epoch"),
        ({"num_workers": -1}, "data.num_workers"),
        ({"val_tile": 32}, "data.val_tile must be a whole number of at least 64"),
        ({"val_tile": 129}, "data.val_tile must be even"),
        ({"val_tiles": 0}, "data.val_tiles"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        _data(**options)


def test_large_images_are_validated_in_tiles(root, make_image):
    entries = [
        make_image(root, "large", split="val", height=160, width=200, profile=TWO_PHASES[1]),
        make_image(root, "small", split="val", profile=TWO_PHASES[0]),
        make_image(root, "train", profile=TWO_PHASES[0]),
    ]
    write_manifest(root, entries)
    data = create_data("prepared", root=root, val_tile=100, val_tiles=2)
    tested = list(data.test_dataloader())
    assert [list(batch.name) for batch in tested] == [["large"]] * 4 + [["small"]]
    assert {tuple(batch.bayer.shape[-2:]) for batch in tested} == {(78, 100), (80, 100), (40, 44)}
    assert all(torch.equal(mosaic(batch.target, data.profile.cfa), batch.bayer) for batch in tested)
    validated = list(data.val_dataloader())
    assert [list(batch.name) for batch in validated] == [["large"]] * 2 + [["small"]]
    assert torch.equal(validated[0].bayer, tested[1].bayer)
    assert [list(batch.name) for batch in create_data("prepared", root=root).test_dataloader()] == [
        ["large"],
        ["small"],
    ]


def test_samples_to_fit_to_are_spread_and_always_the_same(root):
    data = create_data("prepared", root=root)
    samples = data.training_samples()
    assert [sample.name for sample in samples] == ["img1", "img2", "img10"]
    assert [tuple(sample.srgb.shape) for sample in samples] == [(3, 40, 44), (3, 40, 44), (3, 40, 42)]
    assert all(torch.equal(mosaic(sample.target, data.profile.cfa), sample.bayer) for sample in samples)
    assert 0 < samples[1].valid.mean() < 1
    assert [sample.name for sample in data.training_samples(1)] == ["img2"]
    assert torch.equal(data.training_samples(1)[0].bayer, samples[1].bayer)
    assert [sample.name for sample in data.validation_samples()] == ["val"]
    embedded = _data()
    assert [sample.name for sample in embedded.training_samples()] == ["one", "two"]
    assert embedded.training_samples()[0].srgb.shape == (3, 40, 48)


def test_crop_larger_than_an_image_is_refused():
    data = _data(crop=64)
    data.setup("fit")
    with pytest.raises(DataError, match="smaller than the crop of 64"):
        data.train_dataloader()
