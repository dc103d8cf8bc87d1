"""Small prepared data sets, written array by array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.cfa import CFA
from revisp.data import create_data
from revisp.data.entry import Entry, array_path
from revisp.data.manifest import write_manifest

BLACKS = (60.0, 64.0, 66.0, 72.0)


def levels(cfa: CFA | str = CFA.GRBG, **changes: Any) -> CameraProfile:
    """Return a profile whose four planes have different black levels."""
    return SIMULATED.profile.replace(**{"cfa": cfa, "black_level": BLACKS, **changes})


def entry(name: str = "img1", **changes: Any) -> Entry:
    """Return a manifest entry of a small image."""
    values: dict[str, Any] = {
        "name": name, "kind": "pair", "scene": name, "split": "train", "camera": "Maker One", "profile": levels(),
        "height": 40, "width": 44, "oe_share": 0.0, "sources": ({"path": "a.dng", "size": 1, "mtime_ns": 2},),
        "fingerprint": "abc",
    }  # fmt: skip
    return Entry(**{**values, **changes})


def image(root: Path, name: str, seed: int = 0, **changes: Any) -> Entry:
    """Write the arrays of an image whose photo tells where each of its pixels lies: (row, column, colour)."""
    made = entry(name, **changes)
    height, width, rng = made.height, made.width, np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    colours = np.array(["RGB".index(letter) for letter in made.profile.cfa.value])
    arrays = {
        "raw": rng.integers(50, 1024, (height, width)).astype(np.uint16),
        "srgb": np.stack([rows, columns, colours[2 * (rows % 2) + columns % 2]], axis=-1).astype(np.uint16),
        "target": rng.random((3, height, width)).astype(np.float16),
        "oe": np.array([[0, 0], [20, 30]], np.int32)[: 2 if made.oe_share else 0],
    }
    if made.has_valid:
        arrays["valid"] = np.array([[1, 0], [0, 1]], np.uint8)
    (root / "arrays").mkdir(exist_ok=True)
    for what, array in arrays.items():
        np.save(array_path(root, name, what), array)
    return made


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """The function `entry`."""
    return entry


@pytest.fixture
def make_image() -> Callable[..., Entry]:
    """The function `image`."""
    return image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared data set: three images to learn from and one to validate with."""
    entries = [
        image(tmp_path, "img1", 1, oe_share=0.01),
        image(tmp_path, "img2", 2, has_valid=True),
        image(tmp_path, "img10", 3, profile=levels("RGGB")),
        image(tmp_path, "val", 4, split="val"),
    ]
    write_manifest(tmp_path, entries)
    return tmp_path


def stream_data(shards: Path, **options: Any) -> Any:
    """Return the data module of shards, with small crops."""
    return create_data("stream", root=str(shards), **{"crop": 32, "batch_size": 2, **options})


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
    from revisp.data.packing import write_shards

    return write_shards(dataset, tmp_path_factory.mktemp("out") / "shards", tile=64, overlap=16, val_tile=64)
