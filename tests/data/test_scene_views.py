"""Scenes of a folder: decoded once, divided by scene, and looked at in views that a seed decides."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_files
import torch
from PIL import Image

from revisp.camera.panorama import halved
from revisp.data import scene_cache
from revisp.data.scene_cache import CachedScene, SceneCache
from revisp.data.scene_split import split_scenes
from revisp.data.scene_views import SceneLibrary, SceneViews, random_view
from revisp.errors import ConfigError, DataError

Array = np.ndarray[Any, Any]


def _panorama(seed: int, height: int = 64) -> Array:
    """Return a panorama with a textured ground, a smooth sky, and a sun."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, : 2 * height]
    turn = columns * np.pi / height
    light = 1 + 0.5 * np.sin(turn * rng.integers(1, 5) + rng.uniform(0, 6)) * np.sin(rows / height * np.pi)
    light[height // 2 :] *= rng.uniform(0.5, 1.5, (height // 2, 2 * height))
    light[height // 4, rng.integers(2 * height)] = 2000
    return light[..., None] * rng.uniform(0.5, 1, 3)


def _write(path: Path, light: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = light.shape[:2]
    return scene_files.write_hdr(path, scene_files.coded(scene_files.rgbe(light)), f"-Y {height} +X {width}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve panoramas, a picture, a file that is none, and one that is no scene."""
    root = tmp_path_factory.mktemp("scenes")
    for index in range(12):
        _write(root / ("far" if index > 8 else "near") / f"place_{index}_1k.hdr", _panorama(index))
    _write(root / "lamp.hdr", _panorama(50)[:, :100])
    Image.new("RGB", (40, 30)).save(root / "ordinary.hdr", "PNG")
    (root / "notes.txt").write_text("no scene")
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 256, (5, 6, 3), np.uint8)
        Image.fromarray(pixels).resize((150, 100), Image.Resampling.BICUBIC).save(root / f"p{index}.png")
    return root


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, folder: Path, photos: Path) -> SceneLibrary:
    return SceneLibrary(folder, photos, cache=tmp_path_factory.mktemp("cache"))


class TestLibrary:
    def test_scenes_are_found_named_and_divided(
        self, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            parts = SceneLibrary(folder, cache=tmp_path).parts
        names = [scene.name for part in parts.values() for scene in part]
        assert sorted(names) == sorted(
            [f"{'far' if i > 8 else 'near'}/place_{i}_1k" for i in range(12)] + ["lamp"]
        )
        assert parts["train"]
        assert parts["val"]
        assert "1 of 14 scenes are left out" in caplog.text
        assert "an ordinary PNG picture" in caplog.text
        kinds = {scene.name: scene.kind for part in parts.values() for scene in part}
        assert kinds["lamp"] == "picture"
        assert kinds["near/place_0_1k"] == "panorama"

    def test_scenes_are_decoded_once(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = SceneLibrary(folder, cache=tmp_path).parts
        monkeypatch.setattr(scene_cache, "_pyramid", lambda *_: pytest.fail("decoded again"))
        assert SceneLibrary(folder, cache=tmp_path).parts == first

    def test_named_scenes_and_folders_validate(self, folder: Path, tmp_path: Path) -> None:
        parts = SceneLibrary(folder, cache=tmp_path, val=["far", "lamp"]).parts
        assert [scene.name for scene in parts["val"]] == [
            "far/place_9_1k",
            "far/place_10_1k",
            "far/place_11_1k",
            "lamp",
        ]
        assert parts["test"] == []
        with pytest.raises(DataError, match="named 'nowhere'"):
            SceneLibrary(folder, cache=tmp_path, val="nowhere")

    def test_folders_without_scenes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such folder of scenes"):
            SceneLibrary(tmp_path / "no")
        with pytest.raises(DataError, match=r"no scenes in it \(\.hdr"):
            SceneLibrary(tmp_path)
        Image.new("RGB", (40, 30)).save(tmp_path / "a.hdr", "JPEG")
        with pytest.raises(DataError, match=r"of 1 scene or photo none .* ordinary JPEG picture"):
            SceneLibrary(tmp_path)


def _scene(name: str, seed: int = 0, kind: Any = "panorama") -> CachedScene:
    rng = np.random.default_rng([seed, *name.encode()])
    values = rng.standard_normal(128)
    values = (values - values.mean()) / values.std()
    return CachedScene(name, kind, Path("x"), ((16, 32),), 1.0, 0.0, 5.0, (), tuple(values.tolist()))


class TestSplit:
    def test_a_scene_stays_where_it_is_when_others_come(self) -> None:
        many = [_scene(f"place{index}") for index in range(60)]
        all_parts, few_parts = split_scenes(many), split_scenes(many[::2])
        for split, part in few_parts.items():
            assert {scene.name for scene in part} <= {scene.name for scene in all_parts[split]}
        assert all(len(all_parts[split]) >= 2 for split in ("train", "val", "test"))

    def test_sizes_and_copies_of_a_scene_stay_together(self) -> None:
        for seed in range(20):
            scenes = [_scene(f"place{index}", seed) for index in range(20)]
            copy = _scene("other name")
            copy = CachedScene(**{**vars(copy), "thumbnail": scenes[3].thumbnail})
            parts = split_scenes([*scenes, copy, _scene("deep/place4_8k", seed), _scene("place4_1k", seed)])
            place = {scene.name: split for split, part in parts.items() for scene in part}
            assert place["other name"] == place["place3"]
            assert place["place4"] == place["deep/place4_8k"] == place["place4_1k"]

    def test_of_two_scenes_one_validates_and_one_is_too_few(self) -> None:
        parts = split_scenes([_scene("p2"), _scene("p3")])
        assert (len(parts["train"]), len(parts["val"]) + len(parts["test"])) == (1, 1)
        with pytest.raises(DataError, match="at least two"):
            split_scenes([_scene("p2")], val="p2")

    def test_a_copy_at_another_exposure_is_known(self, tmp_path: Path) -> None:
        cache, light = SceneCache(tmp_path / "cache"), _panorama(1)
        one = cache.add_scene(_write(tmp_path / "a.hdr", light), "a")
        other = cache.add_scene(_write(tmp_path / "b.hdr", halved(light) * 3.7), "b")
        assert one.shows_same(other)
        third = cache.add_scene(_write(tmp_path / "c.hdr", _panorama(2)), "c")
        assert not one.shows_same(third)


class TestViews:
    def test_views_are_functions_of_seed_and_number(self, library: SceneLibrary) -> None:
        views = SceneViews(library, 32, seed=3)
        again, other = SceneViews(library, 32, seed=3), SceneViews(library, 32, seed=4)
        assert torch.equal(views.view(7).light, again.view(7).light)
        assert not torch.equal(views.view(7).light, other.view(7).light)
        assert not torch.equal(views.view(7).light, views.view(8).light)
        generator = torch.Generator().manual_seed(1)
        drawn = [views.view(generator).light for _ in range(2)]
        assert not torch.equal(*drawn)

    def test_views_are_light_of_the_split(self, library: SceneLibrary) -> None:
        kinds = set()
        for split in ("train", "val"):
            views = SceneViews(library, 24, split=split)
            names = {scene.name for scene in library.parts[split]}
            for number in range(40):
                view = views.view(number)
                kinds.add(view.kind)
                assert view.name in names
                assert view.light.shape == (3, 24, 24)
                assert view.light.dtype == torch.float32
                assert torch.isfinite(view.light).all()
                assert view.light.min() >= 0
                assert view.light.max() > 0
        assert kinds >= {"panorama", "photo"}

    def test_the_share_of_photos_is_kept(self, library: SceneLibrary) -> None:
        kinds = [[SceneViews(library, 16, photo_share=share).view(n).kind for n in range(40)] for share in (0, 1)]
        assert "photo" not in kinds[0]
        assert set(kinds[1]) == {"photo"}

    def test_highlights_are_sought_by_their_range(self, tmp_path: Path) -> None:
        scene = SceneCache(tmp_path / "cache").add_scene(_write(tmp_path / "a.hdr", _panorama(3, 128)), "a")

        def suns(by_range: float) -> int:
            views = [
                random_view(scene, 32, torch.Generator().manual_seed(n), by_range=by_range).light
                for n in range(120)
            ]
            return sum(bool(view.max() > 16 * view.median()) for view in views)

        assert suns(1) > 1.5 * suns(0) > 0

    def test_light_keeps_its_scale(self, tmp_path: Path) -> None:
        light = np.random.default_rng(0).uniform(90, 110, (96, 80, 3))
        light[0, 0] = 1e6
        scene = SceneCache(tmp_path / "cache").add_scene(_write(tmp_path / "a.hdr", light), "a")
        view = random_view(scene, 32, torch.Generator().manual_seed(0), by_range=0)
        assert view.light.median().item() == pytest.approx(100, rel=0.05)

    def test_pictures_are_cut_at_every_scale_without_loss(self, tmp_path: Path) -> None:
        light = np.random.default_rng(0).uniform(0.2, 1.8, (200, 300, 3))
        light[::2, ::2] = 5  # mean 2; a view that leaves pixels out is 1 or 5 in places
        scene = SceneCache(tmp_path / "cache").add_scene(_write(tmp_path / "a.hdr", light), "a")
        means = [
            random_view(scene, 32, torch.Generator().manual_seed(n), by_range=0).light.mean().item()
            for n in range(30)
        ]
        np.testing.assert_allclose(means, 2, rtol=0.06)

    def test_photos_get_highlights_above_their_white(self, library: SceneLibrary) -> None:
        photo = next(scene for scene in library.parts["train"] if scene.kind == "photo")
        brightest = [random_view(photo, 64, torch.Generator().manual_seed(n)).light.max() for n in range(20)]
        assert max(brightest) > 1.5

    def test_pure_skies_are_looked_at_above_the_horizon_only(self, tmp_path: Path) -> None:
        rows, columns = np.mgrid[:128, :256]
        sky = (2 + 1.9 * np.sin(columns * np.pi / 128) * np.exp(-((rows - 30) ** 2) / 400))[..., None] * np.ones(3)
        sky[:64] *= np.random.default_rng(0).uniform(0.95, 1.05, (64, 256, 1))
        ground = sky.copy()
        ground[64:] *= np.random.default_rng(0).uniform(0.8, 1.2, (64, 256, 1))
        cache = SceneCache(tmp_path / "cache")
        floors = [
            cache.add_scene(_write(tmp_path / f"{name}.hdr", light), name).floor
            for name, light in (("sky", sky), ("ground", ground))
        ]
        assert floors == [scene_cache.SKY_FLOOR, scene_cache.SCENE_FLOOR]

    def test_arguments_outside_their_range_are_refused(self, library: SceneLibrary) -> None:
        with pytest.raises(ConfigError, match="split must be one of train, val, test"):
            SceneViews(library, 32, split="all")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"data\.size"):
            SceneViews(library, 4)
        with pytest.raises(ConfigError, match=r"data\.photo_share"):
            SceneViews(library, 32, photo_share=2)

    def test_large_scenes_are_halved_until_they_fit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scene_cache, "MAX_SIDE", {"panorama": 100, "picture": 100, "photo": 100})
        scene = SceneCache(tmp_path / "cache").add_scene(_write(tmp_path / "a.hdr", _panorama(0)), "a")
        assert scene.shapes == ((32, 64), (16, 32))
        described = json.loads(scene.file.with_suffix(".json").read_text())
        assert described["name"] == "a"
