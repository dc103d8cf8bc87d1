"""Shards: what is packed comes back pixel by pixel, is divided among processes, and never unpickled."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from revisp.cfa import CFA, sample_mask
from revisp.data import create_data
from revisp.data.manifest import write_manifest
from revisp.data.picture import Sample
from revisp.data.prepared import PreparedPicture
from revisp.mosaic import mosaic

from .conftest import image, levels, stream_data

pytest.importorskip("litdata", reason='LitData is not installed: pip install "revisp[stream]"')
from revisp.data.packing import write_shards

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")


def _pictures(root: Path) -> dict[str, Sample]:
    from revisp.data.manifest import read_manifest

    entries = read_manifest(root).entries
    return {entry.name: PreparedPicture(root, entry).read(0, 0, entry.height, entry.width) for entry in entries}


def _places(srgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return row, column and colour of each pixel, which the photos of `image` tell."""
    rows, columns, colours = (srgb * 65535).round().long()
    return rows, columns, colours


def _check(sample: Sample, pictures: dict[str, Sample], cfa: CFA) -> None:
    rows, columns, colours = _places(sample.srgb)
    whole = pictures[sample.name]
    assert torch.equal(sample.bayer[0], whole.bayer[0, rows, columns])
    assert torch.equal(sample.valid[0], whole.valid[0, rows, columns])
    assert torch.equal(colours, sample_mask(cfa, *colours.shape).int().argmax(dim=0))
    assert torch.equal(mosaic(sample.target, cfa), sample.bayer)
    assert torch.equal(sample.target, whole.target[:, rows, columns])


def _samples(batches: Any) -> list[Sample]:
    return [Sample(*item) for batch in batches for item in zip(*batch, strict=True)]


def test_crops_are_those_of_the_prepared_pictures_in_the_data_sets_phase(dataset, shards):
    pictures, data = _pictures(dataset), stream_data(shards, crops_per_epoch=200)
    assert data.profile.cfa is CFA.RGGB
    crops = _samples(data.train_dataloader())
    assert len(crops) == 200
    for crop in crops:
        assert crop.srgb.shape == (3, 32, 32)
        _check(crop, pictures, data.profile.cfa)
    assert {crop.name for crop in crops} == {"one", "two", "three", "four"}
    rows, columns, _ = _places(torch.stack([crop.srgb for crop in crops]).transpose(0, 1))
    assert (rows[:, 1, 0] != rows[:, 0, 0] + 1).any()  # mirrored
    assert (columns[:, 1, 0] != columns[:, 0, 0]).any()  # transposed


def test_tiles_cover_all_that_is_valid_and_validation_counts_no_pixel_twice(dataset, shards):
    pictures, data = _pictures(dataset), stream_data(shards)
    seen = {name: np.zeros(sample.bayer.shape[-2:], int) for name, sample in pictures.items()}
    for part, count in data.shards.info.tiles.items():
        tiles = data.shards.random_access(part)
        for index in range(count):
            tile = tiles[index]
            rows, columns, _ = _places(tile.read(0, 0, tile.height, tile.width).srgb)
            np.add.at(seen[tile.name], (rows.numpy(), columns.numpy()), 1)
            assert part == "val" or tile.has_overexposed == (part == "train-oe")
    assert all((seen[name] > 0).all() for name in ("one", "two", "three", "four"))
    inner = seen["val"][1:-1, 1:-1]  # BGGR becomes RGGB one row and one column later
    assert (inner == 1).all()
    assert seen["val"].sum() == inner.size
    for sample in _samples(data.test_dataloader()):
        _check(sample, pictures, data.profile.cfa)
    assert len(data.val_dataloader()) == data.shards.info.tiles["val"] == len(data.test_dataloader())


def test_crops_around_overexposed_pixels_are_as_many_as_asked_for(shards):
    """Every image lists (0, 0) and (20, 30); the one at the corner is taken for its inner neighbour."""

    def share(oe_share: float) -> float:
        found = []
        for crop in _samples(stream_data(shards, crops_per_epoch=400, oe_share=oe_share).train_dataloader()):
            rows, columns, _ = _places(crop.srgb)
            listed = ((rows == 1) & (columns == 1)) | ((rows == 20) & (columns == 30))
            found.append(crop.name in ("one", "three") and bool(listed.any()))
        return float(np.mean(found))

    anywhere = share(0.0)
    assert share(1.0) == 1.0
    assert anywhere < 0.4
    assert share(0.5) == pytest.approx(0.5 + 0.5 * anywhere, abs=0.08)


def test_an_epoch_is_a_function_of_seed_and_epoch(shards):
    def epoch(number: int, seed: int = 0, workers: int = 0) -> list[torch.Tensor]:
        data = stream_data(shards, crops_per_epoch=16, seed=seed, num_workers=workers)
        loader = data.train_dataloader()
        loader._epoch = lambda: number
        return [batch.srgb for batch in loader]

    def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    assert same(epoch(3), epoch(3))
    assert same(epoch(3, workers=2), epoch(3, workers=2))
    assert not same(epoch(3), epoch(4))
    assert not same(epoch(3), epoch(3, seed=1))


class _Recorder(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.srgb.double().sum().item())
        return (self.weight * batch.srgb - batch.target).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_training_sees_the_same_crops(shards, tmp_path, workers):
    def fit(epochs: int, ckpt_path: Path | None = None) -> tuple[_Recorder, Trainer]:
        recorder = _Recorder()
        trainer = Trainer(
            default_root_dir=tmp_path, max_epochs=epochs, accelerator="cpu", logger=False, limit_val_batches=0,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        )  # fmt: skip
        data = stream_data(shards, num_workers=workers, crops_per_epoch=8)
        trainer.fit(recorder, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
        return recorder, trainer

    whole, _ = fit(3)
    first, trainer = fit(1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second, _ = fit(3, tmp_path / "last.ckpt")
    assert len(set(whole.seen)) == 12
    assert first.seen + second.seen == whole.seen


DDP = """
import json, sys
import torch
from pytorch_lightning import LightningModule, Trainer
from revisp.data import create_data

class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen = {}
    def training_step(self, batch, batch_idx):
        self.seen.setdefault(self.current_epoch, []).extend(batch.name)
        return self.weight * batch.srgb.mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

if __name__ == "__main__":
    shards, out = sys.argv[1:]
    recorder = Recorder()
    data = create_data("stream", root=shards, crop=32, batch_size=2, oe_share=0.0)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0,
    )
    trainer.fit(recorder, datamodule=data)
    with open(f"{out}/{trainer.global_rank}.json", "w") as file:
        json.dump(recorder.seen, file)
"""


@pytest.mark.slow
def test_two_ddp_processes_read_disjoint_shards_and_together_all(tmp_path):
    """Each image makes one tile, so its name tells which tile was read."""
    root = tmp_path / "dataset"
    root.mkdir()
    sizes = {"height": 160, "width": 160, "profile": levels("RGGB")}
    entries = [image(root, f"t{i}", i, oe_share=0.01 if i < 12 else 0.0, **sizes) for i in range(36)]
    write_manifest(root, [*entries, image(root, "val", split="val", **sizes)])
    out = write_shards(root, tile=160, overlap=0, chunk_bytes=2**20)
    assert len(list((out / "train").glob("*.bin"))) > 2  # several chunks for each process
    script = tmp_path / "train.py"
    script.write_text(DDP)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(script), str(out), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    everything = {entry.name for entry in entries}
    for epoch in ("0", "1"):
        one, other = (ranks[epoch] for ranks in seen)
        assert len(one) == len(other) == 18
        assert not set(one) & set(other)
        assert set(one) | set(other) == everything
    assert seen[0]["0"] != seen[0]["1"]


def test_samples_to_look_at_are_always_the_same(shards, dataset):
    data, pictures = stream_data(shards), _pictures(dataset)
    for samples in (data.training_samples(6), data.validation_samples(3)):
        for sample in samples:
            _check(sample, pictures, data.profile.cfa)
    assert len(data.training_samples(6)) == 6
    assert [s.name for s in data.training_samples(6)] == [s.name for s in stream_data(shards).training_samples(6)]
    assert {s.name for s in data.validation_samples(3)} == {"val"}
    assert len(stream_data(shards, val_tiles=2).val_dataloader()) == 2


def test_a_remote_copy_is_streamed_through_a_cache(shards, dataset, tmp_path):
    """``local:`` makes LitData download the files of a folder as it does from object storage."""
    data = create_data("stream", root=f"local:{shards}", cache=tmp_path, crop=32, batch_size=2, crops_per_epoch=20)
    pictures = _pictures(dataset)
    crops = _samples(data.train_dataloader())
    assert len(crops) == 20
    for crop in crops:
        _check(crop, pictures, data.profile.cfa)
    assert list(tmp_path.rglob("index.json"))
    assert len(list(data.test_dataloader())) == data.shards.info.tiles["val"]


def test_a_remote_copy_that_does_not_fit_is_told(shards, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("revisp.data.shards.shutil.disk_usage", lambda path: SimpleNamespace(free=10**4))
    create_data("stream", root=f"local:{shards}", cache=tmp_path, crop=32, batch_size=2)
    assert re.search(r"val: 0\.\d GB must be downloaded, but the disk of .* data.cache", caplog.text)
