"""Scenes as training data: views rendered at random, and the RAW of one sensor that the scene decides."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_files
import torch

from revisp.camera.canonical import canonical_profile, light_to_raw, raw_to_light
from revisp.config import compose
from revisp.data import create_data
from revisp.data.datamodule import PairDataModule
from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS
from revisp.data.picture import Sample
from revisp.data.scene_pairs import SceneDataModule, rendered_pair
from revisp.data.scene_views import SceneView
from revisp.errors import ConfigError, DataError
from revisp.mosaic import mosaic
from revisp.training.build import build_training

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Panoramas with a bright patch each, whose colour tells them apart."""
    root = tmp_path_factory.mktemp("scenes")
    for seed in range(8):
        rng = np.random.default_rng(seed)
        light = rng.uniform(0.2, 2, (64, 128, 3)) * rng.uniform(0.3, 1, 3)
        light *= np.exp(np.sin(np.arange(128) * np.pi / 64 + seed))[:, None]
        light[10:24, 20:60] *= 100
        scene_files.write_hdr(
            root / f"place_{seed}.hdr", scene_files.coded(scene_files.rgbe(light)), "-Y 64 +X 128"
        )
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _data(folder: Path, cache: Path, **options: Any) -> PairDataModule:
    given = {"crop": 32, "batch_size": 4, "crops_per_epoch": 16, "val_size": 64, "val_views": 2, **options}
    return create_data("scenes", scenes=folder, cache=cache, **given)


def test_batches_are_pairs_of_the_canonical_sensor(folder: Path, cache: Path) -> None:
    data = _data(folder, cache)
    assert data.profile == canonical_profile()
    batches = list(data.train_dataloader())
    assert [batch.srgb.shape for batch in batches] == [(4, 3, 32, 32)] * 4
    for batch in batches:
        assert torch.equal(mosaic(batch.target, data.profile.cfa), batch.bayer)
        assert batch.valid.min() == 1
        assert torch.equal(batch.srgb * 255, (batch.srgb * 255).round())  # a JPEG's values
        assert 0 <= batch.bayer.min() < batch.bayer.max() <= 1
    names = {name for batch in batches for name in batch.name}
    assert names <= {scene.name for scene in data.source.scene_library.parts["train"]}
    assert len(names) > 2
    assert max(batch.bayer.max() for batch in batches) > 0.2  # highlights far above mid grey, 1/32


def test_crops_are_functions_of_seed_and_epoch(folder: Path, cache: Path) -> None:
    def first(seed: int, epoch: int) -> Sample:
        loader = _data(folder, cache, seed=seed).train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        return next(iter(loader))

    assert torch.equal(first(0, 0).srgb, first(0, 0).srgb)
    assert not torch.equal(first(0, 0).srgb, first(0, 1).srgb)
    assert not torch.equal(first(0, 0).srgb, first(1, 0).srgb)


def test_workers_change_nothing(folder: Path, cache: Path) -> None:
    alone, helped = (list(_data(folder, cache, num_workers=workers).train_dataloader()) for workers in (0, 1))
    assert all(torch.equal(a.srgb, b.srgb) for a, b in zip(alone, helped, strict=True))


def test_validation_shows_the_same_views_of_scenes_never_learnt_from(folder: Path, cache: Path) -> None:
    data = _data(folder, cache)
    held = [scene.name for scene in data.source.scene_library.parts["val"]]
    names = [sample.name[0] for sample in data.val_dataloader()]
    assert names == [f"{scene} {number}" for scene in held for number in (1, 2)]
    first, again = (list(_data(folder, cache, seed=seed).val_dataloader()) for seed in (0, 7))
    assert all(torch.equal(a.bayer, b.bayer) for a, b in zip(first, again, strict=True))
    assert first[0].srgb.shape == (1, 3, 64, 64)
    assert not torch.equal(first[0].srgb, first[1].srgb)


def test_samples_to_fit_to_are_many_and_differ(folder: Path, cache: Path) -> None:
    samples = _data(folder, cache).training_samples(20)
    assert len(samples) == 20
    assert len({sample.srgb.sum().item() for sample in samples}) == 20


def test_pictures_can_be_sent_to_workers(folder: Path, cache: Path) -> None:
    picture = _data(folder, cache).train_pictures[3]
    sent = pickle.loads(pickle.dumps(picture))
    assert torch.equal(sent.read(0, 0, 32, 32, seed=5).srgb, picture.read(0, 0, 32, 32, seed=5).srgb)
    part = picture.read(4, 8, 16, 12, seed=5)
    assert torch.equal(part.bayer, picture.read(0, 0, 32, 32, seed=5).bayer[:, 4:20, 8:20])


def test_the_raw_is_the_scenes_light_whatever_the_rendering() -> None:
    light = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0)) + 0.05
    view = SceneView(light, "a", "panorama")
    photos, lights = [], []
    for seed in range(6):
        photo, raw_rgb, _ = rendered_pair(view, torch.Generator().manual_seed(seed))
        photos.append(photo)
        found = raw_to_light(raw_rgb)
        lights.append(found / found.mean())
    for one in lights[1:]:
        assert torch.allclose(one, light / light.mean(), rtol=1e-3, atol=1e-4)
    assert (photos[0] - photos[1]).abs().mean() > 0.01


def test_the_clean_photo_is_the_photo_without_noise_sharpening_and_file() -> None:
    stripes = torch.full((3, 48, 48), 1.0)
    stripes[:, :, 24:] = 0.5
    view = SceneView(stripes, "a", "panorama")
    for seed in range(4):
        photo, _, clean = rendered_pair(view, torch.Generator().manual_seed(seed), clean=True)
        assert clean.diff(dim=1).abs().max() < 1e-6 < photo.diff(dim=1).abs().max()
        assert (photo - clean)[:, 4:-4, 4:20].mean().abs() < 0.02


@pytest.mark.parametrize("gain_maps", [0.0, 0.5])
def test_crops_have_the_clean_photo_where_a_training_asks_for_it(
    folder: Path, cache: Path, gain_maps: float
) -> None:
    """Nothing else in a crop depends on it."""
    data = _data(folder, cache, gain_maps=gain_maps)
    without = next(iter(data.train_dataloader()))
    assert isinstance(data, SceneDataModule)
    data.ask_for_clean_photos()
    with_it = next(iter(data.train_dataloader()))
    assert not without.clean.numel()
    assert with_it.clean.shape == with_it.srgb.shape
    for name in ("srgb", "bayer", "target"):
        assert torch.equal(getattr(without, name), getattr(with_it, name))


@pytest.mark.parametrize(("pipeline", "asks"), [("fusion_estimated", True), ("fusion_residual", False)])
def test_a_training_asks_for_clean_photos_on_an_estimated_base(
    folder: Path, cache: Path, pipeline: str, asks: bool
) -> None:
    words = [f"data.scenes={folder}", f"data.cache={cache}", "data.crop=32", "data.num_workers=0"]
    cfg = compose(["+backbone=unet", "data=scenes", f"pipeline={pipeline}", "trainer.accelerator=cpu", *words])
    batch = next(iter(build_training(cfg).data.train_dataloader()))
    assert bool(batch.clean.numel()) == asks


def test_light_beyond_the_sensor_is_clipped() -> None:
    """At a white of its own for each rendering, which has no colour and is never below the photo's."""
    light = torch.full((3, 48, 48), 1.0)
    light[:, 20:24, 20:24] = 1e5
    whites = []
    for seed in range(12):
        _, raw_rgb, _ = rendered_pair(SceneView(light, "a", "panorama"), torch.Generator().manual_seed(seed))
        raw_rgb = raw_rgb * torch.tensor(canonical_profile().gains).view(3, 1, 1)
        sun = raw_rgb[:, 21:23, 21:23]
        assert torch.allclose(sun, sun[1, 0, 0].expand_as(sun))
        assert raw_rgb.max() <= sun.max() * 1.00001 <= 1.0001
        whites.append(sun.max().item())
    assert len(set(whites)) > 6
    assert 0.05 < min(whites) < 0.5
    assert light_to_raw(torch.full((3, 1, 1), 0.18))[1].item() == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"photo_share": 1.5}, r"data\.photo_share must lie in \[0, 1\]"),
        ({"by_range": -1}, r"data\.by_range must lie in \[0, 1\]"),
        ({"val_size": 65}, r"data\.val_size must be even"),
        ({"val_size": 10}, r"data\.val_size must be a whole number of at least 64"),
        ({"val_views": 0}, r"data\.val_views"),
        ({"crop": 8}, r"data\.crop must be a whole number of at least 32"),
    ],
)
def test_settings_outside_their_range_are_refused(
    folder: Path, cache: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        _data(folder, cache, **options)


def test_without_scenes_the_embedded_photographs_stand_for_them(tmp_path: Path) -> None:
    parts = create_data(
        "scenes", val=["chelsea", "flower"], cache=tmp_path, crop=32, num_workers=0
    ).source.scene_library.parts
    assert {scene.name for scene in parts["val"]} == {photo.name for photo in VAL_PHOTOS}
    assert {scene.name for scene in parts["train"]} == {photo.name for photo in TRAIN_PHOTOS}


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scenes in it"):
        create_data("scenes", scenes=tmp_path)


def test_half_of_the_photos_have_a_gain_map(folder: Path, cache: Path) -> None:
    data = _data(folder, cache, gain_maps=0.5, crops_per_epoch=64)
    gain = torch.cat([batch.gain for batch in data.train_dataloader()])
    assert gain.shape == (64, 1, 32, 32)
    known = ~gain.isnan().flatten(1).any(dim=1)
    assert torch.equal(known, gain.isfinite().flatten(1).all(dim=1))
    assert 16 < known.sum() < 48
    assert next(iter(data.val_dataloader())).gain.numel() == 0


def test_maps_change_neither_photo_nor_raw(folder: Path, cache: Path) -> None:
    without, with_maps = (next(iter(_data(folder, cache, gain_maps=x).train_dataloader())) for x in (0.0, 1.0))
    assert torch.equal(without.srgb, with_maps.srgb)
    assert torch.equal(without.bayer, with_maps.bayer)
    assert without.gain.numel() == 0
