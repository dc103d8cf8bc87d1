"""Folders of scenes: told apart from photos, decoded once, described, and refused in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_files
from PIL import Image
from typer.testing import CliRunner

from revisp.cli.prepare import app
from revisp.data import scene_cache
from revisp.data.scene_views import SceneLibrary
from revisp.errors import DataError
from revisp.io.scene_folder import find_scenes
from revisp.prepare.scenes import prepare_scenes, scene_inputs


def _panorama(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    light = rng.uniform(0.5, 2, (32, 64, 3)) * np.exp(np.sin(np.arange(64) * np.pi / 32 + seed))[:, None]
    light[8, rng.integers(64)] = 500 * 2.0**seed
    path.parent.mkdir(parents=True, exist_ok=True)
    return scene_files.write_hdr(path, scene_files.coded(scene_files.rgbe(light)), "-Y 32 +X 64")


def _photo(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three panoramas, a damaged one, a PNG named as one, and a photo."""
    root = tmp_path / "hdri"
    for seed in range(3):
        _panorama(root / "sub" / f"place_{seed}.hdr", seed)
    cut = _panorama(root / "cut.hdr", 7)
    cut.write_bytes(cut.read_bytes()[:-100])
    _photo(root / "preview.png")
    _photo(root / "ldr.png").rename(root / "ldr.hdr")
    return root


def _run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_tells_what_it_found(folder: Path, tmp_path: Path) -> None:
    result = _run(folder, "-o", tmp_path / "scenes")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"3 scenes in {tmp_path / 'scenes'}: ")
    assert lines[0].endswith("2 rejected")
    assert lines[1].split()[:2] == ["panorama", "3"]
    low, high, middle = (float(number) for number in re.findall(r"\d+\.\d", lines[1]))
    assert high - low == pytest.approx(2, abs=0.3)
    assert low < middle < high
    assert "cut.hdr: cut off or damaged" in result.stdout
    assert "ldr.hdr: an ordinary PNG picture" in result.stdout
    assert "left out: 1 photo or RAW file" in result.stdout
    assert lines[-1] == f"Train: revisp-train data=scenes data.scenes={tmp_path / 'scenes'}"


def test_what_was_prepared_serves_without_the_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_scenes([folder], tmp_path / "scenes")
    expected = SceneLibrary(folder, cache=tmp_path / "cache").parts
    folder.rename(tmp_path / "moved away")
    moved = (tmp_path / "scenes").rename(tmp_path / "elsewhere")
    monkeypatch.setattr(scene_cache, "_pyramid", lambda *_: pytest.fail("decoded again"))
    found = SceneLibrary(moved, cache=tmp_path / "cache").parts
    assert {split: [scene.name for scene in part] for split, part in found.items()} == {
        split: [scene.name for scene in part] for split, part in expected.items()
    }
    for part in found.values():
        assert all(scene.levels()[0].shape == (32, 64, 3) for scene in part)


def test_a_second_call_decodes_only_what_is_new(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_scenes([folder], tmp_path / "scenes")
    made: list[Any] = []
    pyramid = scene_cache._pyramid
    monkeypatch.setattr(scene_cache, "_pyramid", lambda *given: made.append(given) or pyramid(*given))
    new = _panorama(tmp_path / "more" / "new.hdr", 9)
    assert [scene.name for scene in prepare_scenes([new], tmp_path / "scenes").scenes] == [
        "sub/place_0", "sub/place_1", "sub/place_2", "new"
    ]  # fmt: skip
    assert len(made) == 1
    prepare_scenes([folder, new], tmp_path / "scenes")
    assert len(made) == 1


def test_photos_are_no_scenes(tmp_path: Path) -> None:
    assert scene_inputs([_photo(tmp_path / "a.png"), tmp_path]) == {}
    xmp = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    Image.new("RGB", (60, 40)).save(tmp_path / "phone.jpg", xmp=xmp)
    assert scene_inputs([tmp_path]) == {}  # phones write such photos


def test_trouble_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    for given, said in ((folder / "ldr.hdr", "an ordinary PNG"), (folder / "cut.hdr", "cut off or damaged")):
        result = _run(given, "-o", tmp_path / "scenes")
        assert result.exit_code == 2
        assert said in result.stderr.splitlines()[-1]
    other = _panorama(tmp_path / "other" / "sub" / "place_1.hdr", 5)
    with pytest.raises(DataError, match="would both be called 'sub/place_1'"):
        prepare_scenes([folder, other.parent.parent], tmp_path / "scenes")
    prepare_scenes([folder], tmp_path / "scenes")
    (tmp_path / "scenes" / scene_cache.SCENE_LIST).write_text("{")
    with pytest.raises(DataError, match="damaged: prepare the scenes anew"):
        SceneLibrary(tmp_path / "scenes")
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "manifest.jsonl").touch()
    with pytest.raises(DataError, match="is a data set of pairs"):
        prepare_scenes([folder], tmp_path / "pairs")


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    paths = [_panorama(tmp_path / place / "room.hdr", seed) for seed, place in enumerate("ab")]
    assert list(find_scenes(paths).values()) == paths
    assert len(find_scenes(tmp_path)) == 2
