"""What goes wrong with files, names and disks: said in one line that names the file, and nothing is lost by it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.entry import array_path
from revisp.data.manifest import read_manifest
from revisp.errors import DataError, OutputError
from revisp.io.dng import Provenance, write_dng
from revisp.io.raw.read import read_raw
from revisp.prepare import PrepareOptions, prepare, run, store
from revisp.prepare.conclusion import describe_preparation
from revisp.prepare.journal import JOURNAL

FAST = PrepareOptions(demosaic="bilinear", workers=1)
OTHER = replace(FAST, demosaic="malvar")


def photo(path: Path, level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (96, 64), (level, 120, 60)).save(path)
    return path


def names(root: Path) -> list[str]:
    return [entry.name for entry in read_manifest(root).entries]


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have the next preparation stop once it has finished some items."""
    real = run.work

    def stops(*args: object) -> Iterator[object]:
        for index, done in enumerate(real(*args)):
            if index == count:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(run, "work", stops)


def test_names_of_any_alphabet_and_length_stay_apart(tmp_path):
    for name in ("花", "鳥", "a b..c", "x" * 240 + "1", "x" * 240 + "2"):
        photo(tmp_path / "in" / f"{name}.png")
    made = prepare([tmp_path / "in"], tmp_path / "set", FAST).made
    assert len(made) == 5
    assert {"花", "鳥", "a-b..c"} < set(made)
    assert all(array_path(tmp_path / "set", name, "raw").is_file() for name in made)


def test_names_of_several_lines_and_without_utf_8_do_not_stop_a_folder(tmp_path):
    for name in ("good", "new\nline", os.fsdecode(b"caf\xe9")):
        photo(tmp_path / "in" / f"{name}.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "in" / "too\nsmall.png")
    found = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert set(found.made) == {"good", "new-line", "caf"}
    assert [reject.reason.partition(": ")[0] for reject in found.refused] == [f"{tmp_path}/in/too small.png"]
    assert prepare([tmp_path / "in"], tmp_path / "set", FAST).made == ()


@pytest.mark.parametrize(
    "name", ["arrays/good.raw.npy", "arrays/other.srgb.npy", "sheet.png", "cameras/mine.json"]
)
def test_a_folder_of_the_user_with_such_names_is_left_alone(tmp_path, name):
    photo(tmp_path / "in" / "good.png")
    mine = tmp_path / "set" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OutputError, match=rf"set: holds {re.escape(name)} and is no data set"):
        prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert [path for path in (tmp_path / "set").rglob("*") if path.is_file()] == [mine]
    mine.unlink()
    assert prepare([tmp_path / "in"], tmp_path / "set", FAST).made == ("good",)


def test_files_of_equal_name_size_and_time_are_not_taken_for_each_other(tmp_path, monkeypatch):
    for folder, level in (("one", 50), ("two", 51)):
        os.utime(photo(tmp_path / "in" / folder / "a.png", level), ns=(0, 0))
    assert len({file.stat().st_size for file in (tmp_path / "in").rglob("*.png")}) == 1
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            prepare([tmp_path / "in"], tmp_path / "set", FAST)
    prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert names(tmp_path / "set") == ["one-a", "two-a"]


def test_a_picture_of_another_file_is_not_replaced_but_a_moved_one_is_kept(tmp_path):
    photo(tmp_path / "one" / "a.png", 50), photo(tmp_path / "two" / "a.png", 60)
    prepare([tmp_path / "one"], tmp_path / "set", FAST)
    with pytest.raises(DataError, match=r"two/a\.png would be called 'a', which in .* is .*one/a\.png"):
        prepare([tmp_path / "two"], tmp_path / "set", FAST)
    (tmp_path / "one").rename(tmp_path / "three")
    assert prepare([tmp_path / "three"], tmp_path / "set", FAST).kept == ("a",)


def test_a_file_found_by_several_ways_is_taken_once(tmp_path, monkeypatch):
    given = photo(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to(given)
    monkeypatch.chdir(tmp_path)
    result = prepare([tmp_path / "in", "in", given, Path("in/sub/a.png")], "set", FAST)
    assert len(result.made) == 1


def test_the_data_set_is_no_input(tmp_path):
    photo(tmp_path / "in" / "a.png")
    with pytest.raises(DataError, match="would be written among its files: give another -o"):
        prepare([tmp_path / "in"], tmp_path / "in", FAST)
    prepare([tmp_path / "in"], tmp_path / "in" / "set", FAST)
    (tmp_path / "in" / "set" / "sheet.png").write_bytes((tmp_path / "in" / "a.png").read_bytes())
    assert prepare([tmp_path / "in"], tmp_path / "other", FAST).made == ("a",)
    with pytest.raises(DataError, match="is a data set itself"):
        prepare([tmp_path / "in" / "set"], tmp_path / "other", FAST)


def test_broken_links_and_pipes_do_not_stop_a_folder(tmp_path):
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    result = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert result.made == ("a",)
    assert [reject.reason for reject in result.refused] == [f"{tmp_path}/in/gone.jpg: No such file or directory"]


def test_a_file_that_vanishes_after_the_plan_is_rejected_and_welcome_when_back(tmp_path, monkeypatch):
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")
    real = run.work

    def vanishes(*args: object) -> Iterator[object]:
        (tmp_path / "in" / "b.png").unlink()
        yield from real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(run, "work", vanishes)
        result = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert (result.made, [reject.name for reject in result.refused]) == (("a",), ["b"])
    photo(tmp_path / "in" / "b.png")
    result = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    assert (result.made, result.refused, result.manifest.rejects) == (("b",), (), ())


def test_a_journal_cut_short_twice_is_continued_twice(tmp_path, monkeypatch):
    for index in range(3):
        photo(tmp_path / "in" / f"{index}.png")
    for done in (1, 1):
        with monkeypatch.context() as patch:
            stop_after(patch, done)
            with pytest.raises(KeyboardInterrupt):
                prepare([tmp_path / "in"], tmp_path / "set", FAST)
        with (tmp_path / "set" / JOURNAL).open("a") as journal:
            journal.write('[{"status": "ok", "na')
    assert len(prepare([tmp_path / "in"], tmp_path / "set", FAST).made) == 1


def test_a_picture_half_made_by_other_settings_is_made_anew(tmp_path, monkeypatch):
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(tmp_path / "in" / "a.png")
    root = tmp_path / "set"
    prepare([tmp_path / "in"], root, FAST)
    first = array_path(root, "a", "target").read_bytes()

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_positions", dies)  # after the target is written, before the item is done
        with pytest.raises(KeyboardInterrupt):
            prepare([tmp_path / "in"], root, OTHER)
    assert array_path(root, "a", "target").read_bytes() != first
    assert prepare([tmp_path / "in"], root, FAST).made == ("a",)
    assert array_path(root, "a", "target").read_bytes() == first


def test_a_missing_array_is_made_again_and_strangers_are_left(tmp_path):
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")
    root = tmp_path / "set"
    prepare([tmp_path / "in"], root, FAST)
    array_path(root, "b", "oe").unlink()
    array_path(root, "old", "raw").write_bytes(b"of a picture that is no more")
    (root / "arrays" / "notes.txt").write_text("somebody's own")
    assert prepare([tmp_path / "in"], root, FAST).made == ("b",)
    assert not array_path(root, "old", "raw").exists()
    assert (root / "arrays" / "notes.txt").exists()


def test_a_full_disk_is_an_error_that_keeps_what_is_done(tmp_path, monkeypatch):
    for index in range(3):
        photo(tmp_path / "in" / f"{index}.png")
    root, real = tmp_path / "set", np.save

    def full(file: object, array: np.ndarray, **options: object) -> None:
        if (root / JOURNAL).exists():  # one item is done
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, array, **options)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OutputError, match=r"cannot write .*1\.raw\.npy: No space"):
            prepare([tmp_path / "in"], root, FAST)
    assert not list(root.rglob("*.part"))
    assert prepare([tmp_path / "in"], root, FAST).made == ("1", "2")


def test_gpr_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.GPR").write_bytes(b"II*\0")
    monkeypatch.setitem(sys.modules, "flashraw", None)
    [reject] = prepare([tmp_path / "a.GPR"], tmp_path / "set", FAST).refused
    assert (
        reject.reason == f'{tmp_path}/a.GPR: GoPro GPR files need the package flashraw: pip install "revisp[gpr]"'
    )


def test_predicted_raw_is_not_taken_for_a_sensors(tmp_path):
    note = Provenance.of_photo(photo(tmp_path / "cat.png"), model="default")
    (tmp_path / "in").mkdir()
    write_dng(tmp_path / "in" / "cat.dng", np.full((64, 96), 0.5, np.float32), SIMULATED.profile, provenance=note)
    result = prepare([tmp_path / "in"], tmp_path / "set", FAST)
    (reject,) = result.refused
    assert result.made == ()
    assert re.search(r"cat\.dng: its RAW was predicted from cat\.png", reject.reason)


def test_small_photos_and_odd_endings_are_named(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    (tmp_path / "x.gif").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"x\.gif: neither a photo nor a RAW"):
        result = prepare([tmp_path / "small.png", tmp_path / "x.gif"], tmp_path / "set", FAST)
    assert result.refused[0].reason.startswith(f"{tmp_path}/small.png: ")
    assert result.explicit == {"small"}


def test_a_jpeg_in_another_folder_is_not_simulated_as_well(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.dng").write_bytes(b"II*\0")
    photo(tmp_path / "jpeg" / "a.jpg")
    result = prepare([tmp_path], tmp_path / "set", FAST)
    assert (result.made, [reject.name for reject in result.refused]) == ((), ["raw-a"])


@pytest.fixture(scope="module")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A RAW file, and its photo."""
    generator, photo = torch.Generator().manual_seed(3), torch.zeros(3, 300, 400)
    for cells in (4, 16, 64, 128):
        noise = torch.rand(1, 3, cells, cells, generator=generator)
        photo += torch.nn.functional.interpolate(noise, size=(300, 400), mode="nearest")[0] / 4
    shot = simulate(photo**2, SIMULATED, generator=generator)
    path = tmp_path_factory.mktemp("camera") / "a.dng"
    write_dng(path, shot.bayer, SIMULATED.profile, plain=True)
    return path, shot.srgb


def test_a_turned_jpeg_without_exif_turns_the_raw(camera_file, tmp_path):
    raw, srgb = camera_file
    shutil.copy(raw, tmp_path / "a.dng")
    turned = srgb.rot90(1, (1, 2))
    pixels = (turned * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    [entry] = prepare([tmp_path / "a.dng"], tmp_path / "set", FAST).manifest.entries
    assert (entry.kind, entry.height, entry.width) == ("raw+jpeg", 400, 300)
    assert entry.alignment["offset"] == pytest.approx([0, 0], abs=0.1)
    stored = np.load(array_path(tmp_path / "set", "a", "raw"), allow_pickle=False)
    mosaic = read_raw(raw).mosaic
    assert np.array_equal(stored, np.rot90(mosaic))
    before, after = SIMULATED.profile.cfa.value, entry.profile.cfa.value
    letters = np.tile(np.array(list(before)).reshape(2, 2), (150, 200))
    assert "".join(np.rot90(letters)[:2, :2].ravel()) == after


def test_a_photo_of_another_scene_is_refused_and_a_small_one_not_used(camera_file, tmp_path):
    raw, srgb = camera_file
    shutil.copy(raw, tmp_path / "a.dng")
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    coarse.resize((400, 300)).save(tmp_path / "a.jpg")
    [reject] = prepare([tmp_path / "a.dng"], tmp_path / "set", FAST).refused
    assert reject.reason.startswith(f"{tmp_path}/a.jpg does not fit {tmp_path}/a.dng: ")
    coarse.save(tmp_path / "a.jpg")
    neutral, bright = (replace(FAST, styles=(style,)) for style in ("neutral", "bright"))
    result = prepare([tmp_path / "a.dng"], tmp_path / "set", neutral)
    assert (result.made, result.manifest.rejects) == (("a_libraw_neutral",), ())
    assert prepare([tmp_path / "a.dng"], tmp_path / "set", bright).made == ("a_libraw_bright",)
    pixels = (srgb * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    assert prepare([tmp_path / "a.dng"], tmp_path / "set", bright).made == ("a",)
    assert prepare([tmp_path / "a.dng"], tmp_path / "set", neutral).kept == ("a",)  # styles do not concern it


def _resized(srgb: torch.Tensor, share: float) -> Image.Image:
    pixels = (srgb * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).resize(
        (round(share * pixels.shape[1]), round(share * pixels.shape[0])), Image.LANCZOS
    )


def test_a_jpeg_of_nearly_half_the_size_counts_as_half(camera_file, tmp_path):
    raw, srgb = camera_file
    shutil.copy(raw, tmp_path / "a.dng")
    _resized(srgb, 0.49).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    [entry] = prepare([tmp_path / "a.dng"], tmp_path / "set", FAST).manifest.entries
    assert entry.kind == "raw+jpeg"
    assert (entry.height, entry.width) == pytest.approx((147, 196), abs=4)


def test_the_summary_names_a_jpeg_that_is_too_small(camera_file, tmp_path):
    raw, srgb = camera_file
    shutil.copy(raw, tmp_path / "a.dng")
    _resized(srgb, 0.4).save(tmp_path / "a.jpg", quality=95)
    result = prepare([tmp_path / "a.dng"], tmp_path / "set", replace(FAST, styles=("neutral",)))
    said = describe_preparation(result)
    assert (
        f"not used: {tmp_path}/a.jpg (0.40): too small for its RAW, of which a rendering of it was taken" in said
    )
    _resized(srgb, 1).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    assert "not used" not in describe_preparation(prepare([tmp_path / "a.dng"], tmp_path / "set", FAST))


def test_mosaics_of_8_bits_are_refused_not_photographed(tmp_path):
    mosaic = np.random.default_rng(0).integers(0, 255, (96, 128), dtype=np.uint8)
    Image.fromarray(mosaic).save(tmp_path / "a.png")
    (tmp_path / "profile.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    result = prepare([tmp_path], tmp_path / "set", FAST)
    assert result.made == ()
    assert re.search(
        r"a\.png: a mosaic has 16 bits, this is uint8 .*: write the sensor's own", result.refused[0].reason
    )
