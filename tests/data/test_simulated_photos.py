"""Photos through simulated cameras: windows of what the whole photo would give, drawn reproducibly."""

from __future__ import annotations

import gc
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from revisp.camera.cameras import typical_profile
from revisp.camera.fitted import FittedCamera, plain_curve
from revisp.camera.isp import ISPSettings
from revisp.camera.noise import NoiseLevels
from revisp.camera.simulate import SIMULATED, SimulatedCamera, simulate
from revisp.cfa import CFA
from revisp.data import create_data, photo_cache
from revisp.data.crops import CropDataset, CropSampler, CropSpec
from revisp.data.datamodule import PairDataModule
from revisp.data.photo_cache import PhotoCache
from revisp.data.simulated import SimulatedPhoto, SimulatedSource
from revisp.demosaic import Demosaic, demosaic
from revisp.errors import ConfigError, DataError, ImageError, OutputError
from revisp.io.camera_file import save_camera
from revisp.mosaic import mosaic

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*multi-threaded.*")

NOISELESS = SimulatedCamera(
    SIMULATED.profile.replace(cfa="GBRG"),
    contrast=0.3,
    shot_noise=1e-14,
    read_noise=0.0,
    expansion=1.0,
    shading=(0.6, 0.3),
    isp=ISPSettings(sharpening=0.5, shading=(0.5,)),
    invert=True,
)
"""A camera without chance, whose lens shading tells places apart."""


def _photo(path: Path, seed: int, height: int = 120, width: int = 150) -> Path:
    """Write a smooth photo with a white patch."""
    coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    pixels = ((smooth * 1.3 - 0.1).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    pixels[10:30, 20:50] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for index in range(1, 11):
        _photo(root / ("holidays" if index > 8 else "home") / f"p{index}.png", index)
    (root / "notes.txt").write_text("no photo")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _data(photos: Path, cache: Path, **options: Any) -> PairDataModule:
    return create_data(
        "simulated",
        **{"photos": photos, "cache": cache, "crop": 32, "batch_size": 4, "crops_per_epoch": 12, **options},
    )


def _picture(cache: Path, path: Path, camera: SimulatedCamera | None = None, **options: Any) -> SimulatedPhoto:
    files = PhotoCache(cache).add(path)
    profile = typical_profile() if camera is None else camera.profile
    options = {"profile": profile, "demosaic": Demosaic("malvar"), "camera": camera, **options}
    return SimulatedPhoto(path.stem, *files, **options)


def _epoch(data: PairDataModule, number: int) -> list[torch.Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return [torch.cat([batch.srgb, batch.target, batch.bayer], dim=1) for batch in loader]


def _same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 88), st.integers(0, 118))
@example(top=87, left=85)
def test_a_window_is_that_of_the_whole_photo(photos, cache, top, left):
    """Phase, lens shading, JPEG blocks and what processing sees beside the window."""
    path = photos / "home" / "p1.png"
    picture = _picture(cache, path, NOISELESS, exposures=(0.4, 0.4))
    whole = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1).float() / 255
    shot = simulate(whole, NOISELESS, exposure=0.4, generator=torch.Generator())
    target = demosaic(shot.bayer, NOISELESS.profile.cfa, "malvar", gains=NOISELESS.profile.gains)
    window = (..., slice(top, top + 32), slice(left, left + 32))
    sample = picture.read(top, left, 32, 32, seed=7)
    rounded = int(((sample.bayer - shot.bayer[window]).abs() > 1e-6).sum())  # stored values, the other way
    blocks = rounded * 16**2 / 32**2  # share of the window that is JPEG blocks with such a value
    for one, whole_one, most, places in (
        (sample.bayer, shot.bayer[window], 1.01 / 959, 0.02),
        (sample.target, target[window], 3 / 959, 0.02),
        (sample.srgb, shot.srgb[window], 8 / 255, 0.5 + blocks),
    ):
        difference = (one - whole_one).abs()
        assert difference.max() < most
        assert (difference > 1e-6).float().mean() < places
        assert difference.mean() < 0.5 / 255
    assert torch.equal(mosaic(sample.target, picture.cfa.crop(top, left)), sample.bayer)
    assert bool(sample.valid.all())


def test_crops_have_the_data_sets_phase_and_a_target_whose_mosaic_is_the_raw(photos, cache):
    for method in ("malvar", "demosaicnet"):
        data = _data(photos, cache, demosaic={"method": method}, crops_per_epoch=8)
        for batch in [*data.train_dataloader(), *data.val_dataloader()]:
            assert torch.equal(mosaic(batch.target, data.profile.cfa), batch.bayer)
            assert batch.bayer.max() <= 1
            assert 0 <= batch.srgb.min() < batch.srgb.max() <= 1


def test_demosaicnet_targets_know_each_cameras_white_balance(photos, cache):
    """The target off the samples is DemosaicNet's with the drawn camera's gains, not the typical one's."""
    camera = replace(NOISELESS, profile=NOISELESS.profile.replace(as_shot_neutral=(0.2, 1.0, 0.9)))
    picture = _picture(
        cache, photos / "home" / "p2.png", camera, demosaic=Demosaic("demosaicnet"), exposures=(0, 0)
    )
    sample = picture.read(0, 0, 120, 150)
    expected = demosaic(sample.bayer, "GBRG", "demosaicnet", gains=(5.0, 1.0, 1 / 0.9))
    assert torch.allclose(sample.target, expected, atol=1e-5)
    part = picture.read(41, 50, 32, 32)  # sees as far beyond its edges as the network does
    assert torch.allclose(part.target, expected[:, 41:73, 50:82], atol=1e-4)


def test_every_crop_has_its_own_camera_exposure_and_noise_by_its_seed_alone(photos, cache):
    picture = _picture(cache, photos / "home" / "p1.png")
    shots = [picture.read(10, 20, 64, 64, seed=seed) for seed in (1, 2, 1)]
    assert torch.equal(shots[0].bayer, shots[2].bayer)
    assert torch.equal(shots[0].srgb, shots[2].srgb)
    ratios = [shot.target.mean(dim=(1, 2)) / shot.target.mean() for shot in shots[:2]]
    assert (ratios[0] - ratios[1]).abs().max() > 0.02  # another sensor and light
    levels = [picture.read(0, 0, 120, 150, seed=seed).srgb.mean().item() for seed in range(12)]
    assert max(levels) > 1.3 * min(levels)


def test_epochs_differ_and_workers_do_not(photos, cache):
    assert _same(_epoch(_data(photos, cache), 2), _epoch(_data(photos, cache, num_workers=2), 2))
    assert not _same(_epoch(_data(photos, cache), 2), _epoch(_data(photos, cache), 3))
    assert not _same(_epoch(_data(photos, cache), 2), _epoch(_data(photos, cache, seed=1), 2))


def test_ranks_together_see_what_one_process_sees(photos, cache):
    pictures = _data(photos, cache).train_pictures

    def crops(**ranks: int) -> list[torch.Tensor]:
        specs: list[CropSpec] = list(CropSampler(pictures, CFA.RGGB, crop=32, length=8, **ranks))
        return [CropDataset(pictures, 32)[spec].bayer for spec in specs]

    dealt = [crops(rank=rank, world_size=2) for rank in range(2)]
    assert _same(crops(), [bayer for pair in zip(*dealt, strict=True) for bayer in pair])


def test_validation_is_fixed_and_each_photo_has_one_camera(photos, cache):
    one, other = (list(_data(photos, cache, seed=seed, val_tile=64).test_dataloader()) for seed in (0, 1))
    assert [list(batch.name) for batch in one] == [["home/p7.png"]] * 6 + [["home/p8.png"]] * 6
    assert all(
        torch.equal(a.bayer, b.bayer) and torch.equal(a.srgb, b.srgb) for a, b in zip(one, other, strict=True)
    )
    picture = _picture(cache, photos / "home" / "p1.png", fixed=True)
    whole, part = picture.read(0, 0, 120, 150), picture.read(16, 16, 64, 64)
    gap = (whole.target[:, 16:80, 16:80] - part.target).mean(dim=(1, 2)).abs()
    assert (gap < 0.02 * part.target.mean(dim=(1, 2))).all()  # the same light, through other noise
    assert not torch.equal(whole.bayer[:, 16:80, 16:80], part.bayer)


def test_the_last_fifth_in_natural_order_validates_or_what_is_named(photos, cache):
    def names(**options: Any) -> tuple[list[str], list[str]]:
        data = _data(photos, cache, **options)
        return [p.name for p in data.train_pictures], [p.name for p in data.val_pictures]

    train, val = names()
    assert train == ["holidays/p9.png", "holidays/p10.png", *(f"home/p{index}.png" for index in range(1, 7))]
    assert val == ["home/p7.png", "home/p8.png"]
    assert names(val="home/p3")[1] == ["home/p3.png"]
    assert names(val=["home/p3.png", "holidays/"])[1] == ["holidays/p9.png", "holidays/p10.png", "home/p3.png"]


def test_one_camera_takes_all_pictures_and_gives_its_profile(photos, cache, tmp_path):
    fitted = FittedCamera(
        curve=tuple(plain_curve().tolist()), matrix=((2.0, -0.5, 0.0), (-0.3, 1.6, -0.2), (0.0, -0.6, 2.4)),
        black=(0.0, 0.0, 0.0), headroom=((0.0,) * 4,) * 3, shading=(0.0, 0.0),
    )  # fmt: skip
    profile = SIMULATED.profile.replace(cfa="BGGR", model="Mine")
    save_camera(tmp_path / "mine.json", profile, fitted, NoiseLevels(1e-4, 1e-6))
    data = _data(photos, cache, camera=tmp_path / "mine.json")
    assert data.profile == profile
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(mosaic(batch.target, CFA.BGGR), batch.bayer)
    steps = batch.bayer * (profile.white_level - profile.black_level[0])
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no\.json: not a camera file"):
        _data(photos, cache, camera=tmp_path / "no.json")


def test_the_typical_profile_lies_amid_the_drawn_ones(photos, cache):
    from revisp.camera.cameras import random_camera_profile

    drawn = [random_camera_profile(torch.Generator().manual_seed(seed)) for seed in range(200)]
    matrices = np.array([profile.srgb_to_camera for profile in drawn])
    typical = typical_profile()
    assert np.abs(matrices.mean(axis=0) - typical.srgb_to_camera).max() < 0.08
    neutrals = np.array([profile.as_shot_neutral for profile in drawn])
    assert (neutrals.min(axis=0) <= typical.as_shot_neutral).all()
    assert (neutrals.max(axis=0) >= typical.as_shot_neutral).all()
    assert _data(photos, cache).profile == typical


@pytest.mark.parametrize("exposure", [-8.0, 0.0, 0.3, 2.0])
def test_overexposed_positions_are_those_of_the_exposed_photo(photos, tmp_path, exposure):
    path = photos / "home" / "p1.png"
    _, file = PhotoCache(tmp_path, exposure=exposure).add(path)
    encoded = np.asarray(Image.open(path)) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) * 2**exposure
    again = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).clip(0, 1)
    luma = again @ [0.299, 0.587, 0.114]
    sure, unsure = set(map(tuple, np.argwhere(luma >= 0.979))), set(map(tuple, np.argwhere(luma >= 0.977)))
    found = np.load(file)
    assert found.dtype == np.int32
    if len(unsure) <= 4096:
        assert sure <= set(map(tuple, found)) <= unsure
    else:
        assert len(set(map(tuple, found))) == 4096
        assert set(map(tuple, found)) <= unsure
    assert (exposure < 0) == (len(found) == 0)


def test_crops_around_overexposed_pixels_hold_some(photos, cache):
    data = _data(photos, cache, oe_share=1.0, crops_per_epoch=40, exposures=[1.0, 1.3])
    shares = [(batch.srgb.amin(dim=1) > 0.9).float().mean(dim=(1, 2)) for batch in data.train_dataloader()]
    assert (torch.cat(shares) > 0).float().mean() > 0.9


def test_decoded_photos_are_kept_and_found_again(photos, tmp_path, monkeypatch):
    copy = tmp_path / "photos"
    shutil.copytree(photos / "home", copy)
    _data(copy, tmp_path / "kept").setup()
    count = len(list((tmp_path / "kept").iterdir()))
    assert count == 16
    monkeypatch.setattr(photo_cache, "read_srgb", lambda path: pytest.fail(f"{path} was decoded again"))
    _data(copy, tmp_path / "kept").setup()
    monkeypatch.undo()
    _photo(copy / "p1.png", 99)
    _data(copy, tmp_path / "kept").setup()
    assert len(list((tmp_path / "kept").iterdir())) == count + 2


def test_decoded_photos_of_no_cache_go_with_the_training(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = create_data("simulated", photos=photos, crop=32)
    data.setup()
    assert len(list(tmp_path.glob("revisp-photos-*/*.npy"))) == 20
    del data
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_large_photos_are_reduced_in_linear_light(tmp_path):
    pixels = np.zeros((100, 201, 3), np.uint8)
    pixels[:, 100:] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")
    reduced = np.load(PhotoCache(tmp_path, max_side=50).add(tmp_path / "half.png")[0])
    assert reduced.shape == (3, 24, 50)
    assert reduced[0, 0, 0] == 0
    assert reduced[0, 0, -1] == 255
    stripes = np.zeros((100, 200, 3), np.uint8)
    stripes[:, 1:200:2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    even = np.load(PhotoCache(tmp_path, max_side=100).add(tmp_path / "stripes.png")[0])
    assert np.unique(even).tolist() == [188]  # half the light


def test_unreadable_photos_are_left_out_and_told(photos, tmp_path, caplog):
    copy = tmp_path / "photos"
    shutil.copytree(photos / "home", copy)
    (copy / "p0.jpg").write_bytes(b"no JPEG")
    with caplog.at_level(logging.WARNING):
        data = _data(copy, tmp_path / "kept")
        assert len(data.train_pictures) == 6
    assert "1 of 7 photos are left out; the first: " in caplog.text
    assert "p0.jpg" in caplog.text
    Image.fromarray(np.zeros((20, 100, 3), np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(ImageError, match="100x20 pixels, at least 24 a side"):
        PhotoCache(tmp_path / "kept").add(tmp_path / "flat.png")


def test_files_that_are_no_photos_are_told_by_the_data(photos, cache):
    assert _data(photos, cache).left_out == (f"{photos}: left out 1 with other endings (.txt)",)
    assert _data(photos / "home", cache).left_out == ()


def test_a_full_disk_is_told_before_decoding(photos, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(photo_cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(OutputError, match=r"2 decoded photos take .* set data.cache"):
        _data(photos, tmp_path).setup()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"photos": "/no/such"}, DataError, "/no/such: no such folder"),
        ({"val": "p77"}, DataError, "no photo or folder to validate with is named 'p77'"),
        ({"val": ["home", "holidays"]}, DataError, "none is left to train with"),
        ({"exposures": [1.0]}, ConfigError, "data.exposures must be least and most EV"),
        ({"exposures": [1.0, 0.0]}, ConfigError, "data.exposures must be least and most EV"),
        ({"max_side": 2.5}, ConfigError, "data.max_side must be a whole number"),
        ({"camera": "/no/such.json"}, ConfigError, "/no/such.json: not a camera file"),
        ({"demosaic": {"method": "magic"}}, ConfigError, "unknown demosaicing method 'magic'"),
    ],
)
def test_impossible_options_are_refused(photos, cache, options, error, message):
    with pytest.raises(error, match=message):
        _data(**{"photos": photos, "cache": cache, **options})


def test_too_few_photos_are_told(tmp_path, photos):
    _photo(tmp_path / "only.png", 1)
    with pytest.raises(DataError, match=r"one photo \(.jpg"):
        SimulatedSource(tmp_path)
