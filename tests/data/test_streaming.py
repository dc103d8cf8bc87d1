"""Shards: what is packed comes back pixel by pixel, is divided among processes, and never unpickled."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from safetensors.numpy import load, save
from torch import nn

from revisp.cfa import CFA, sample_mask
from revisp.data import create_data
from revisp.data.manifest import Entry, write_manifest
from revisp.data.picture import Sample
from revisp.data.prepared import PreparedPicture
from revisp.errors import ConfigError, DataError, OutputError
from revisp.mosaic import mosaic

from .conftest import image, levels

pytest.importorskip("litdata", reason='LitData is not installed: pip install "revisp[stream]"')
from revisp.data.packing import write_shards
from revisp.data.shards import read_tile

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images to learn from, of two phases and sizes, one with invalid blocks, and one to validate with."""
    root = tmp_path_factory.mktemp("dataset")
    entries = [
        image(root, "one", 1, height=128, width=192, oe_share=0.01, profile=levels("RGGB")),
        image(root, "two", 2, height=100, width=130, profile=levels("RGGB")),
        image(root, "three", 3, height=64, width=64, oe_share=0.01, has_valid=True, profile=levels("RGGB")),
        image(root, "four", 4, height=96, width=70, profile=levels("GBRG")),
        image(root, "val", 5, height=150, width=100, split="val", oe_share=0.01, profile=levels("BGGR")),
    ]
    write_manifest(root, entries)
    return root


@pytest.fixture(scope="module")
def shards(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(dataset, tmp_path_factory.mktemp("out") / "shards", tile=64, overlap=16, val_tile=64)


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


def _data(shards: Path, **options: Any) -> Any:
    return create_data("stream", root=str(shards), **{"crop": 32, "batch_size": 2, **options})


def test_crops_are_those_of_the_prepared_pictures_in_the_data_sets_phase(dataset, shards):
    pictures, data = _pictures(dataset), _data(shards, crops_per_epoch=200)
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
    pictures, data = _pictures(dataset), _data(shards)
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
        for crop in _samples(_data(shards, crops_per_epoch=400, oe_share=oe_share).train_dataloader()):
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
        data = _data(shards, crops_per_epoch=16, seed=seed, num_workers=workers)
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
        data = _data(shards, num_workers=workers, crops_per_epoch=8)
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
    data, pictures = _data(shards), _pictures(dataset)
    for samples in (data.training_samples(6), data.validation_samples(3)):
        for sample in samples:
            _check(sample, pictures, data.profile.cfa)
    assert len(data.training_samples(6)) == 6
    assert [s.name for s in data.training_samples(6)] == [s.name for s in _data(shards).training_samples(6)]
    assert {s.name for s in data.validation_samples(3)} == {"val"}
    assert len(_data(shards, val_tiles=2).val_dataloader()) == 2


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


def _copy(shards: Path, out: Path) -> Path:
    shutil.copytree(shards, out)
    return out


def test_an_index_that_would_be_unpickled_is_refused(shards, tmp_path):
    copy = _copy(shards, tmp_path / "copy")
    index = json.loads((copy / "val" / "index.json").read_text())
    index["config"]["data_format"] = ["pickle"]
    (copy / "val" / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="not shards that revisp packed"):
        _data(copy)


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage", [_remove, _cut])
def test_missing_and_cut_chunks_are_told_at_once(shards, tmp_path, damage: Callable[[Path], None]):
    copy = _copy(shards, tmp_path / "copy")
    damage(next((copy / "train").glob("*.bin")))
    with pytest.raises(DataError, match=r"chunk-0-0.bin is missing or cut short"):
        _data(copy).train_dataloader()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_spec": '[1, {"type": "os.system", "context": null, "children_spec": []}]'}, "data_spec"),
        (
            {"data_spec": '[1, {"type": "collections.namedtuple", "context": "x.y", "children_spec": []}]'},
            "data_spec",
        ),
        ({"item_loader": "os.path"}, "item_loader"),
        ({"compression": "zstd"}, "compression"),
        ({"data_format": ["pickle"]}, r"samples of \['pickle'\]"),
        ({"data_format": "bytes"}, "samples of 'bytes'"),
    ],
)
def test_an_index_that_names_code_is_refused_before_litdata_reads_it(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    copy = shutil.copytree(shards, tmp_path / "shards")
    index = json.loads((copy / "val" / "index.json").read_text())
    index["config"] |= change
    (copy / "val" / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr("litdata.StreamingDataset", lambda *_, **__: pytest.fail("LitData has read it"))
    with pytest.raises(DataError, match=message):
        _data(copy)


def test_a_chunk_outside_the_folder_is_refused(shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "shards")
    (copy / "chunk.bin").write_bytes((copy / "val" / "chunk-0-0.bin").read_bytes())
    index = json.loads((copy / "val" / "index.json").read_text())
    index["chunks"][0]["filename"] = "../chunk.bin"
    (copy / "val" / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="filename must be the name of a file in the folder"):
        _data(copy)


def test_damaged_samples_are_told(shards):
    tile = _data(shards).shards.random_access("val").dataset[0]
    arrays = load(bytes(tile))
    assert read_tile(save(arrays), "x").name == "val"
    about = json.loads(arrays["about"].tobytes())
    newer = np.frombuffer(json.dumps({**about, "format": 99}).encode(), np.uint8)
    with pytest.raises(DataError, match="x: shards of format 99"):
        read_tile(save({**arrays, "about": newer}), "x")
    for blob in (b"", bytes(tile)[:-100], save({key: arrays[key] for key in ("raw", "about")})):
        with pytest.raises(DataError, match="x: cannot be read"):
            read_tile(blob, "x")


def test_errors_of_storage_clients_are_told_in_one_line(shards, monkeypatch):
    data = _data(shards)
    loader = data.train_dataloader()

    def broken(self: Any) -> Any:
        yield from ()
        raise OSError("no route\nto host")

    monkeypatch.setattr(type(loader.dataset.everything), "__iter__", broken)
    with pytest.raises(DataError, match=r"shards: cannot be read \(no route\)"):
        list(loader)


def test_packing_replaces_shards_whole_or_not_at_all(dataset, tmp_path):
    out = tmp_path / "shards"
    calls: list[tuple[int, int]] = []
    write_shards(dataset, out, tile=64, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(at + 1, len(calls)) for at in range(len(calls))]
    before = {path: path.read_bytes() for path in out.rglob("*.json")}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(dataset, out, tile=128, progress=stop)
    assert {path: path.read_bytes() for path in out.rglob("*.json")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    write_shards(dataset, out, tile=96)
    assert _data(out).shards.info.side == 64  # the smallest image
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        write_shards(dataset, out)
    assert (out / "notes.txt").is_file()


def test_packing_within_a_distributed_job_does_not_wait_for_the_others(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = write_shards(dataset, tmp_path / "shards", tile=64)
    with pytest.raises(ConfigError, match="LitData sees 2 processes where the trainer has 1"):
        _data(out).train_dataloader()


def test_a_full_disk_is_told_before(dataset, tmp_path, monkeypatch):
    from revisp.data import packing

    monkeypatch.setattr(packing, "FREE_BYTES", 2**60)
    with pytest.raises(OutputError, match="GB are free"):
        write_shards(dataset, tmp_path / "shards")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"tile": 63}, "sides of tiles"),
        ({"val_tile": 30}, "sides of tiles"),
        ({"tile": 64, "overlap": 64}, r"overlap must be even and in \[0, 64\)"),
        ({"chunk_bytes": 10}, "chunk_bytes"),
    ],
)
def test_impossible_sizes_are_refused(dataset, sizes, message):
    with pytest.raises(ConfigError, match=message):
        write_shards(dataset, **sizes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crop": 64}, ConfigError, "data.crop=64 is too large for tiles of 64 pixels: use at most 62"),
        ({"batch_size": 100}, ConfigError, "fill no batch of 100 on 1 processes"),
        ({"batch_size": 0}, ConfigError, "data.batch_size must be a whole number"),
        ({"val_tiles": 0}, ConfigError, "data.val_tiles"),
        ({"root": "/no/such"}, DataError, "/no/such/val: no shards here"),
    ],
)
def test_impossible_options_are_refused(shards, options, error, message):
    with pytest.raises(error, match=message):
        create_data("stream", **{"root": str(shards), "crop": 32, "batch_size": 2, **options}).train_dataloader()


def test_more_workers_than_tiles_is_told(tmp_path):
    sizes: dict[str, Any] = {"height": 64, "width": 64, "profile": levels("RGGB")}
    entries: list[Entry] = [image(tmp_path, "a", **sizes), image(tmp_path, "b", split="val", **sizes)]
    write_manifest(tmp_path, entries)
    data = _data(write_shards(tmp_path), crops_per_epoch=8, num_workers=2)
    with pytest.raises(DataError, match="too few tiles"):
        list(data.train_dataloader())


def test_without_litdata_the_extra_is_named(monkeypatch, dataset):
    monkeypatch.setitem(sys.modules, "litdata", None)
    for call in (lambda: write_shards(dataset), lambda: create_data("stream", root="x")):
        with pytest.raises(ConfigError, match=r'pip install "revisp\[stream\]"'):
            call()
