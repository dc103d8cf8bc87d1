"""Shards that are damaged, forged or cannot be read or packed: told in one line, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from revisp.data import create_data
from revisp.data.entry import Entry
from revisp.data.manifest import write_manifest
from revisp.errors import ConfigError, DataError, OutputError

from .conftest import image, levels, stream_data

pytest.importorskip("litdata", reason='LitData is not installed: pip install "revisp[stream]"')
from revisp.data.packing import write_shards
from revisp.data.shards import read_tile

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")


def _copy(shards: Path, out: Path) -> Path:
    shutil.copytree(shards, out)
    return out


def test_an_index_that_would_be_unpickled_is_refused(shards, tmp_path):
    copy = _copy(shards, tmp_path / "copy")
    index = json.loads((copy / "val" / "index.json").read_text())
    index["config"]["data_format"] = ["pickle"]
    (copy / "val" / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="not shards that revisp packed"):
        stream_data(copy)


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage", [_remove, _cut])
def test_missing_and_cut_chunks_are_told_at_once(shards, tmp_path, damage: Callable[[Path], None]):
    copy = _copy(shards, tmp_path / "copy")
    damage(next((copy / "train").glob("*.bin")))
    with pytest.raises(DataError, match=r"chunk-0-0.bin is missing or cut short"):
        stream_data(copy).train_dataloader()


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
        stream_data(copy)


def test_a_chunk_outside_the_folder_is_refused(shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "shards")
    (copy / "chunk.bin").write_bytes((copy / "val" / "chunk-0-0.bin").read_bytes())
    index = json.loads((copy / "val" / "index.json").read_text())
    index["chunks"][0]["filename"] = "../chunk.bin"
    (copy / "val" / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="filename must be the name of a file in the folder"):
        stream_data(copy)


def test_damaged_samples_are_told(shards):
    tile = stream_data(shards).shards.random_access("val").dataset[0]
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
    data = stream_data(shards)
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
    assert stream_data(out).shards.info.side == 64  # the smallest image
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        write_shards(dataset, out)
    assert (out / "notes.txt").is_file()


def test_packing_within_a_distributed_job_does_not_wait_for_the_others(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = write_shards(dataset, tmp_path / "shards", tile=64)
    with pytest.raises(ConfigError, match="LitData sees 2 processes where the trainer has 1"):
        stream_data(out).train_dataloader()


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
    data = stream_data(write_shards(tmp_path), crops_per_epoch=8, num_workers=2)
    with pytest.raises(DataError, match="too few tiles"):
        list(data.train_dataloader())


def test_without_litdata_the_extra_is_named(monkeypatch, dataset):
    monkeypatch.setitem(sys.modules, "litdata", None)
    for call in (lambda: write_shards(dataset), lambda: create_data("stream", root="x")):
        with pytest.raises(ConfigError, match=r'pip install "revisp\[stream\]"'):
            call()
