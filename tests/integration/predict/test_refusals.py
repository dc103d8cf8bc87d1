"""What `revisp-predict` cannot do is one line that says why, and leaves nothing behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.convert.formats import convert_photo
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def _bad_photos(folder: Path, photo: Path) -> dict[str, str]:
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo\n" * 9)
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:2000])
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    return {
        "none.jpg": "No such file",
        "empty.jpg": "the file is empty",
        "text.jpg": "not a JPEG, PNG, TIFF or WebP photo",
        "cut.jpg": "damaged",
        "one.png": "1x1 pixels",
    }


def test_a_bad_photo_is_one_line_and_exit_2(photo: Path, model: Path, tmp_path: Path, call):
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, reason in _bad_photos(bad, photo).items():
        code, out, err = call(bad / name, "-o", tmp_path / "x.dng", "--model", model)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {bad / name}: ")
        assert reason in err
        assert err.count("\n") == 1
        assert not (tmp_path / "x.dng").exists()


def test_a_real_process_ends_with_2_and_one_line(run, model: Path, tmp_path: Path):
    done = run(tmp_path / "none.jpg", "-o", tmp_path / "x.dng", "--model", model, expect=2)
    assert done.stderr == f"error: {tmp_path / 'none.jpg'}: No such file or directory\n"
    assert files(tmp_path) == []


def test_bad_photos_do_not_stop_good_ones(photo: Path, model: Path, tmp_path: Path, call):
    bad = tmp_path / "bad"
    bad.mkdir()
    names = _bad_photos(bad, photo)
    code, out, err = call(*(bad / n for n in names), photo, "-o", tmp_path / "o", "--model", model)
    assert code == 1  # something was done
    assert out.count("->") == 1
    assert err.count("error:") == err.count("\n") - 1 == len(names)
    assert err.endswith(f"{len(names)} of {len(names) + 1} photos failed\n")
    assert files(tmp_path / "o") == ["cat.dng"]


def test_without_onnxruntime_the_extra_is_named(photo: Path, tmp_path: Path, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = call(photo, "-o", tmp_path / "x.dng", "--model", tmp_path / "model.onnx")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert 'pip install "revisp[onnx]"' in err


def test_an_exported_program_is_refused(photo: Path, tmp_path: Path, call):
    code, out, err = call(photo, "-o", tmp_path / "x.dng", "--model", tmp_path / "model.pt2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "program for torch.export.load" in err


def test_what_cannot_be_written_is_said_once_before_processes_start(photo: Path, tmp_path: Path, call):
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa="RGGB"), tmp_path / "m")
    words = ("-o", tmp_path / "x.dng", "--model", tmp_path / "m", "--device", "cpu", "--devices", "2")
    code, out, err = call(photo, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no camera profile" in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{album}", "-o", "{here}/o"], "no photos in this folder"),
        (["{photo}", "-o", "{here}/o.cr2"], r"ends in one of .dng, .npy"),
        (["{photo}", "{album}/../b.jpg", "-o", "{here}/o.dng"], "2 photos cannot become the one file"),
        (["{photo}", "{here}/twin/cat.png", "-o", "{here}/o"], "would replace"),
        (["{here}/twin/cat.png", "-o", "{here}/twin/cat.png"], "would replace"),
        (["{here}/twin/cat.png", "-o", "{here}/twin", "--format", "png"], "would replace"),
        (["{photo}", "-o", "{here}/o.dng", "--format", "npy"], "contradicts --format npy"),
        (["{photo}", "-o", "{here}/o.npy", "--bits", "11"], "challenge files hold 10 bits"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "3"], "--tile must be at least 16 pixels, got 3"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "-64"], "--tile must be at least 16 pixels, got -64"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "64", "--memory", "1GiB"], "not both"),
        (["{photo}", "-o", "{here}/o.dng", "--memory", "much"], "'much' is not a size"),
        (["{photo}", "-o", "{here}/o.dng", "--memory", "1MiB"], "MiB"),
        (["{photo}", "-o", "{here}/o.dng", "--engine", "onnx"], "revisp-export"),
        (["{photo}", "-o", "{here}/o.dng", "--camera", "Nikon D751"], "did you mean 'Nikon D750'"),
        (["{photo}", "-o", "{here}/o.dng", "--camera", "{here}/none.json"], "none.json: not a camera profile"),
        (["{photo}", "-o", "{here}/o.dng", "--camera", "{photo}"], "cat.jpg: not a camera profile"),
        (["{here}/none.txt", "-o", "{here}/o"], "No such file"),
        (
            ["{photo}", "-o", "{here}/o.dng", "--device", "abacus"],
            "abacus: torch cannot compute on it here: take auto",
        ),
        (
            ["{photo}", "-o", "{here}/o.dng", "--device", "meta"],
            "meta: torch cannot compute on it here: take auto",
        ),
        (["{photo}", "-o", "{here}/o.dng", "--memory", "9" * 400], "a size must be from one byte to 8 EiB"),
        (["{photo}", "-o", "{here}/" + "o" * 400 + "/x.dng"], "File name too long"),
        (["x" * 5000, "-o", "{here}/o.dng"], "File name too long"),
        (["{photo}", "-o", "{photo}/o"], "cannot make the folder"),
        (["{photo}", "-o", "{photo}/o.dng"], "cannot make the folder"),
    ],
)
def test_wrong_words_are_one_line_and_nothing_is_written(photo: Path, model: Path, tmp_path, call, words, reason):
    album = tmp_path / "album"
    album.mkdir()
    (tmp_path / "twin").mkdir()
    Image.open(photo).save(tmp_path / "twin" / "cat.png")
    before = files(tmp_path)
    words = [word.format(photo=photo, album=album, here=tmp_path) for word in words]
    code, out, err = call(*words, "--model", model)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert reason in err
    assert files(tmp_path) == before


def test_a_photo_that_cannot_be_read_leaves_no_folder(photo: Path, model: Path, tmp_path: Path, call):
    (tmp_path / "kept").mkdir()
    for out in (tmp_path / "new" / "deep", tmp_path / "kept", tmp_path / "kept" / "x.dng"):
        assert call(tmp_path / "lost.jpg", "-o", out, "--model", model)[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [photo.name, "kept"]
    assert call(tmp_path / "lost.jpg", photo, "-o", tmp_path / "new" / "deep", "--model", model)[0] == 1
    assert files(tmp_path / "new" / "deep") == ["cat.dng"]


def test_a_full_disk_leaves_nothing(photo: Path, model: Path, tmp_path: Path, call, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = call(photo, "-o", tmp_path / "o" / "cat.dng", "--model", model)
    assert (code, out) == (2, "")
    assert err == f"error: cannot write {tmp_path / 'o' / 'cat.dng'}: No space left on device\n"
    assert files(tmp_path / "o") == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk_leaves_nothing(run, photo: Path, model: Path, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        done = run(photo, "-o", disk / "cat.dng", "--model", model, expect=2)
        assert done.stderr == f"error: cannot write {disk / 'cat.dng'}: No space left on device\n"
        assert files(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(photo: Path, model: Path, tmp_path: Path, call):
    folder = tmp_path / "o"
    folder.mkdir(mode=0o555)
    code, _, err = call(photo, "-o", folder / "cat.dng", "--model", model)
    assert (code, err) == (2, f"error: cannot write {folder / 'cat.dng'}: Permission denied\n")


@pytest.mark.parametrize("damage", ["missing", "no weights", "no config", "short weights", "text config"])
def test_a_broken_model_folder_is_one_line(photo: Path, model: Path, tmp_path: Path, call, damage: str):
    folder = tmp_path / "m"
    if damage != "missing":
        folder.mkdir()
        for file in model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        weights, config = folder / "model.safetensors", folder / "config.json"
        {
            "no weights": weights.unlink,
            "no config": config.unlink,
            "short weights": lambda: weights.write_bytes(weights.read_bytes()[:500]),
            "text config": lambda: config.write_text("no JSON"),
        }[damage]()
    code, out, err = call(photo, "-o", tmp_path / "o" / "x.dng", "--model", folder)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(folder) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_a_model_without_a_camera_writes_arrays_only(photo: Path, tmp_path: Path, call):
    folder = tmp_path / "m"
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa="RGGB"), folder)
    code, _, err = call(photo, "-o", tmp_path / "x.dng", "--model", folder)
    assert (code, "no camera profile" in err) == (2, True)
    assert not (tmp_path / "x.dng").exists()
    with pytest.warns(UserWarning, match="is cut to 60x80"):
        convert_photo(from_pretrained(folder), photo, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (40, 30, 4)


def test_bf16_is_refused_where_the_hardware_lacks_it(photo: Path, model: Path, tmp_path, call, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    words = ("-o", tmp_path / "x.dng", "--model", model, "--device", "cpu")
    code, out, err = call(photo, *words, "--precision", "bf16")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no bf16" in err
    assert call(photo, *words)[0] == 0  # auto takes fp32
