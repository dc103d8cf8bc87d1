"""A folder of real pairs: what is read, how it is split, and what each mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.data.pairs import PairsFolder
from revisp.errors import ConfigError, DataError
from revisp.io.mosaic import write_mosaic

PROFILE = SIMULATED.profile


def _add(root: Path, name: str, *, size: tuple[int, int] = (20, 24), srgb: str = "png", raw: str = "png") -> None:
    rng = np.random.default_rng(len(name))
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / "srgb" / f"{name}.{srgb}")
    mosaic = rng.integers(64, 1024, size, dtype=np.uint16)
    if raw == "npy":
        np.save(root / "raw" / f"{name}.npy", mosaic)
    else:
        write_mosaic(root / "raw" / f"{name}.{raw}", mosaic, PROFILE)


@pytest.fixture
def root(tmp_path):
    for folder in ("srgb", "raw"):
        (tmp_path / folder).mkdir()
    (tmp_path / "profile.json").write_text(json.dumps(PROFILE.to_dict()))
    return tmp_path


@pytest.mark.parametrize(("srgb", "raw"), [("png", "png"), ("jpg", "npy"), ("webp", "tiff")])
def test_pair_is_read_and_normalised(root, srgb, raw):
    _add(root, "a", srgb=srgb, raw=raw)
    _add(root, "b")
    pair = PairsFolder(root).read("a")
    stored = np.random.default_rng(1)
    stored.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    expected = (stored.integers(64, 1024, (20, 24), dtype=np.uint16) - 64.0) / (1023 - 64)
    np.testing.assert_allclose(pair.bayer[0].numpy(), expected, atol=1e-6)
    with Image.open(root / "srgb" / f"a.{srgb}") as image:
        np.testing.assert_allclose(pair.srgb.permute(1, 2, 0).numpy(), np.asarray(image) / 255, atol=1e-6)


def test_last_fifth_in_natural_order_validates(root):
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
        _add(root, f"img{number}")
    source = PairsFolder(root)
    assert source.val_names == ["img9", "img10"]
    assert source.train_names == [f"img{number}" for number in range(1, 9)]
    assert [pair.name for pair in PairsFolder(root, val=["img3"]).val_pairs()] == ["img3"]


def test_odd_sizes_are_cropped_to_even(root):
    _add(root, "a", size=(21, 25))
    _add(root, "b")
    pair = PairsFolder(root).read("a")
    assert pair.srgb.shape == (3, 20, 24)
    assert pair.bayer.shape == (1, 20, 24)


def test_missing_half_is_named(root):
    _add(root, "a")
    _add(root, "b")
    (root / "raw" / "b.png").unlink()
    with pytest.raises(DataError, match="'b' has no file in raw/"):
        PairsFolder(root)


def test_sizes_must_agree(root):
    _add(root, "a")
    _add(root, "b")
    Image.new("RGB", (30, 20)).save(root / "srgb" / "a.png")
    with pytest.raises(DataError, match=r"a\.png is 20x30, but its RAW is 20x24"):
        PairsFolder(root).read("a")


def test_raw_must_have_sixteen_bits(root):
    _add(root, "a")
    _add(root, "b")
    Image.new("L", (24, 20)).save(root / "raw" / "a.png")
    with pytest.raises(DataError, match="one channel of 16 bits"):
        PairsFolder(root).read("a")


def test_values_above_white_are_refused(root):
    _add(root, "a", raw="npy")
    _add(root, "b")
    np.save(root / "raw" / "a.npy", np.full((20, 24), 4000, np.uint16))
    with pytest.raises(DataError, match="holds 4000, above the white level 1023"):
        PairsFolder(root).read("a")


def test_damaged_photo_is_named(root):
    _add(root, "a")
    _add(root, "b")
    (root / "srgb" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"srgb/a\.png"):
        PairsFolder(root).read("a")


def test_one_pair_cannot_be_split(root):
    _add(root, "a")
    with pytest.raises(DataError, match="1 pairs leave 0 to train"):
        PairsFolder(root)


def test_unknown_val_name_is_refused(root):
    _add(root, "a")
    _add(root, "b")
    with pytest.raises(DataError, match="no pair is named 'c'"):
        PairsFolder(root, val=["c"])
    with pytest.raises(DataError, match="2 pairs leave 2 to train and 0"):
        PairsFolder(root, val=[])


def test_name_twice_is_refused(root):
    _add(root, "a")
    _add(root, "a", raw="npy")
    with pytest.raises(DataError, match="named 'a'"):
        PairsFolder(root)


def test_missing_folders_and_profile_are_told(root, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        PairsFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no files that end in"):
        PairsFolder(root)
    (root / "profile.json").unlink()
    with pytest.raises(ConfigError, match=r"profile\.json"):
        PairsFolder(root)


def test_real_pair_reads(sample_data, tmp_path):
    crops = sample_data / "raw_samples" / "pairs_ready"
    for folder in ("srgb", "raw"):
        (tmp_path / folder).mkdir()
    for name in ("GOPR8508_y1300_x1000", "GOPR8514_y600_x1500"):
        (tmp_path / "raw" / f"{name}.png").symlink_to(crops / f"hero7_{name}_raw_grbg14.png")
        (tmp_path / "srgb" / f"{name}.png").symlink_to(crops / f"hero7_{name}_rgb.png")
    profile = PROFILE.replace(cfa="GRBG", bits=14, black_level=0, white_level=16383)
    (tmp_path / "profile.json").write_text(json.dumps(profile.to_dict()))
    pair = PairsFolder(tmp_path).train_pairs()[0]
    assert pair.bayer.shape == (1, 1024, 1536)
    luma = pair.srgb.mean(dim=0).flatten()
    correlation = torch.corrcoef(torch.stack([luma, pair.bayer.flatten()]))[0, 1]
    assert correlation > 0.7
