"""A preparation as a whole: nothing changes twice, nothing is lost, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.simulate import SIMULATED, simulate
from revisp.cfa import CFA, pack
from revisp.data.entry import array_path
from revisp.data.manifest import MANIFEST, read_manifest
from revisp.errors import DataError, OutputError
from revisp.mosaic import mosaic
from revisp.prepare import PrepareOptions, prepare, run
from revisp.prepare.conclusion import describe_preparation
from revisp.prepare.journal import JOURNAL

FAST = PrepareOptions(demosaic="bilinear", workers=1)


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    photo = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)[0]
    return (photo * 255).byte().permute(1, 2, 0).numpy()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(picture(index)).save(folder / f"p{index}.png")
    return folder


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    files = [file for file in root.rglob("*") if file.is_file() and file.name != ".lock"]
    return {str(file.relative_to(root)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def test_photos_become_pairs_whose_target_holds_the_raw(photos, tmp_path):
    root = tmp_path / "set"
    result = prepare([photos], root, FAST)
    assert result.made == ("p0", "p1", "p2")
    assert sorted(entry.split for entry in result.manifest.entries) == ["train", "train", "val"]
    assert read_manifest(root) == result.manifest
    for entry in result.manifest.entries:
        stored = np.load(array_path(root, entry.name, "raw"), mmap_mode="r", allow_pickle=False)
        target = np.load(array_path(root, entry.name, "target"), mmap_mode="r", allow_pickle=False)
        srgb = np.load(array_path(root, entry.name, "srgb"), mmap_mode="r", allow_pickle=False)
        assert (stored.shape, srgb.shape, target.shape) == ((96, 128), (96, 128, 3), (3, 96, 128))
        bayer = torch.from_numpy(entry.profile.normalise(np.array(stored))).unsqueeze(0)
        again = mosaic(torch.from_numpy(np.array(target, np.float32)), entry.profile.cfa)
        assert torch.allclose(again, bayer, atol=2e-3)  # as float16
        positions = np.load(array_path(root, entry.name, "oe"), allow_pickle=False)
        luma = np.array(srgb, np.float64)[positions[:, 0], positions[:, 1]] @ [0.299, 0.587, 0.114] / 255
        assert (luma >= 0.978 - 1e-6).all()
        assert entry.oe_share == pytest.approx(len(positions) / (96 * 128), abs=1e-6)


def test_a_single_photo_is_told_in_the_singular(photos, tmp_path):
    lines: list[str] = []
    with pytest.warns(UserWarning, match="a single scene"):
        result = prepare([photos / "p0.png"], tmp_path / "set", FAST, tell=lines.append)
    assert lines[0].startswith("1 item, 0 of them")
    closing = "1 made, 0 kept, 0 rejected; 1 picture in"
    assert describe_preparation(result).startswith(closing)


def test_a_second_run_changes_nothing_and_a_changed_file_only_its_own(photos, tmp_path):
    root = tmp_path / "set"
    prepare([photos], root, FAST)
    before = contents(root)
    second = prepare([photos], root, FAST)
    assert (second.made, second.kept) == ((), ("p0", "p1", "p2"))
    assert contents(root) == before
    Image.fromarray(picture(9)).save(photos / "p1.png")
    assert prepare([photos], root, FAST).made == ("p1",)
    after = contents(root)
    assert {name for name in before if after[name] != before[name]} == {
        MANIFEST, "arrays/p1.raw.npy", "arrays/p1.srgb.npy", "arrays/p1.target.npy", "arrays/p1.oe.npy"
    }  # fmt: skip


def test_more_inputs_are_added_and_scenes_stay_on_their_side(photos, tmp_path):
    root = tmp_path / "set"
    first = prepare([photos], root, FAST).manifest
    Image.fromarray(picture(5)).save(tmp_path / "extra.png")
    second = prepare([tmp_path / "extra.png"], root, FAST).manifest
    assert [entry.name for entry in second.entries] == ["extra", "p0", "p1", "p2"]
    assert [entry for entry in second.entries if entry.name != "extra"] == list(first.entries)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_what_is_made(photos, tmp_path, workers):
    one = prepare([photos], tmp_path / "one", FAST).manifest
    other = prepare([photos], tmp_path / "other", PrepareOptions(demosaic="bilinear", workers=workers)).manifest
    assert one.entries == other.entries
    arrays = [
        {file.name: file.read_bytes() for file in (tmp_path / name / "arrays").iterdir()}
        for name in ("one", "other")
    ]
    assert arrays[0] == arrays[1]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stop_at_any_item_loses_nothing(photos, tmp_path, monkeypatch, after):
    root = tmp_path / "set"
    whole = prepare([photos], tmp_path / "whole", FAST).manifest
    real = run.work

    def stops(*args: object) -> Iterator[object]:
        for index, done in enumerate(real(*args)):
            if index == after:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(run, "work", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare([photos], root, FAST)
    with (root / JOURNAL).open("a") as journal:
        journal.write('[{"status": "ok", "na')  # what a crash leaves of a line
    (root / "arrays" / ".revisp-0123456789ab.part").write_bytes(b"half a file")
    monkeypatch.setattr(run, "work", real)
    result = prepare([photos], root, FAST)
    assert len(result.made) == 3 - after
    assert result.manifest.entries == whole.entries
    assert sorted(file.name for file in root.iterdir()) == [".lock", "arrays", MANIFEST]
    assert len(list((root / "arrays").iterdir())) == 12


def test_renderings_of_one_raw_share_its_arrays(tmp_path):
    pair = simulate(torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0)), SIMULATED,
                    generator=torch.Generator().manual_seed(1))  # fmt: skip
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "scene.npy", SIMULATED.profile.quantise(pair.bayer[0].numpy()))
    (tmp_path / "in" / "scene.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    result = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    names = [entry.name for entry in result.manifest.entries]
    assert len(names) >= 2
    assert {entry.kind for entry in result.manifest.entries} == {"raw+developer"}
    assert len({entry.split for entry in result.manifest.entries}) == 1
    raws = [array_path(tmp_path / "set", name, "raw") for name in names]
    assert len({file.stat().st_ino for file in raws}) == 1
    stored = np.load(raws[0], allow_pickle=False)
    assert np.array_equal(stored, np.load(tmp_path / "in" / "scene.npy")[: stored.shape[0], : stored.shape[1]])


def challenge(folder: Path, name: str, packed: np.ndarray, side: int) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", packed)
    Image.fromarray(np.full((2 * side, 2 * side, 3), 128, np.uint8)).save(folder / f"{name}.jpg")


def test_challenge_tiles_keep_their_scene_and_their_levels(tmp_path):
    packed = np.random.default_rng(0).integers(60, 1000, (248, 248, 4), dtype=np.uint16)
    for scene in range(4):
        for tile in range(2):
            challenge(tmp_path / "p20", f"{scene}_{tile}", packed, 248)
    result = prepare([tmp_path / "p20"], tmp_path / "set", FAST)
    assert {entry.profile.black_level for entry in result.manifest.entries} == {(60.0, 60.0, 60.0, 60.0)}
    assert {entry.profile.white_level for entry in result.manifest.entries} == {1020.0}
    sides: dict[str, set[str]] = {}
    for entry in result.manifest.entries:
        sides.setdefault(entry.scene, set()).add(entry.split)
    assert sorted(map(sorted, sides.values())) == [["train"], ["train"], ["train"], ["val"]]
    stored = np.load(array_path(tmp_path / "set", "0_0", "raw"), allow_pickle=False)
    assert np.array_equal(pack(stored[None], CFA.RGGB).transpose(1, 2, 0), packed)


def reasons(folder: Path, root: Path) -> list[str]:
    return [reject.reason for reject in prepare([folder], root, FAST).refused]


def test_bad_challenge_tiles_are_rejected_by_name(tmp_path):
    good = np.zeros((252, 252, 4), np.uint16)
    folder = tmp_path / "s7"
    challenge(folder, "1_0", good, 252)
    challenge(folder, "1_1", good, 252)
    (folder / "1_1.jpg").unlink()
    challenge(folder, "1_2", good, 252)
    (folder / "1_2.npy").unlink()
    challenge(folder, "1_3", good + 1025, 252)
    challenge(folder, "1_4", good.astype(np.float32), 252)
    challenge(folder, "1_5", good, 248)
    found = reasons(folder, tmp_path / "set")
    expected = (
        "1_1.npy: its other half 1_1.jpg is missing",
        "1_2.jpg: its other half 1_2.npy is missing",
        "1_3.npy: holds 1025, above the 1024",
        "1_4.npy: a mosaic has 16 bits, this is float32",
        "1_5.jpg: is 496x496, but its RAW is 504x504",
    )
    assert len(found) == len(expected)
    for reason, text in zip(found, expected, strict=True):
        assert text in reason
        assert "\n" not in reason


def test_damaged_files_do_not_stop_the_others(photos, tmp_path):
    (photos / "broken.jpg").write_bytes((photos / "p0.png").read_bytes()[:500])
    (photos / "raw.dng").write_text("not a RAW")
    (photos / "p1.png").rename(photos / "raw.jpg")
    result = prepare([photos], tmp_path / "set", FAST)
    assert all(str(photos) in reject.reason for reject in result.refused)
    assert any("raw.dng" in reject.reason for reject in result.refused)


def test_a_manifest_edited_into_nonsense_is_named_and_left_alone(photos, tmp_path):
    root = tmp_path / "set"
    prepare([photos], root, FAST)
    edited = (root / MANIFEST).read_text().replace('"split": "train"', '"split": "maybe"')
    (root / MANIFEST).write_text(edited)
    with pytest.raises(DataError, match=r"manifest\.jsonl:\d+: split"):
        prepare([photos], root, FAST)
    assert (root / MANIFEST).read_text() == edited


def test_a_damaged_journal_is_named(photos, tmp_path):
    root = tmp_path / "set"
    (root / "arrays").mkdir(parents=True)
    (root / JOURNAL).write_text('[{"status": "nonsense"}]\n')
    with pytest.raises(DataError, match=r"journal\.jsonl:1: damaged"):
        prepare([photos], root, FAST)


def test_too_small_a_disk_is_told_before_the_work(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match=r"needs about .* GB, but only"):
        prepare([photos], tmp_path / "set", FAST)
    assert not list((tmp_path / "set" / "arrays").iterdir())


def test_two_preparations_of_one_data_set_do_not_mix(photos, tmp_path):
    (tmp_path / "set").mkdir()
    with run._locked(tmp_path / "set"), pytest.raises(OutputError, match="another revisp-prepare"):
        prepare([photos], tmp_path / "set", FAST)


def test_an_unwritable_place_is_named(photos, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot make the folder"):
        prepare([photos], tmp_path / "file", FAST)
