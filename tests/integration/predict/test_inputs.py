"""What `revisp-predict` takes: names in other encodings, other endings, pipes, and no RAW."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from revisp.camera.simulate import SIMULATED
from revisp.io import read_raw, write_mosaic


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode on this system")
def test_a_name_in_another_encoding_stops_no_other(command: Path, model: Path, photo: Path, tmp_path: Path):
    album = tmp_path / "album"
    album.mkdir()
    shutil.copy(photo, os.fsencode(album) + b"/caf\xe9.jpg")
    shutil.copy(photo, album / "été.jpg")
    words = [command, album, "-o", tmp_path / "raws", "--model", model]
    for encoding in ("ascii", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        done = subprocess.run(words, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b" -> ") == 2
    assert len(list((tmp_path / "raws").glob("*.dng"))) == 2


def test_a_photo_comes_through_a_pipe(command: Path, model: Path, photo: Path, tmp_path: Path):
    for name in ("-", "/dev/stdin"):
        words = [command, name, "-o", tmp_path / "a.dng", "--model", model]
        done = subprocess.run(words, capture_output=True, input=photo.read_bytes(), check=False)
        assert done.returncode == 0, done.stderr
        assert read_raw(tmp_path / "a.dng").mosaic.shape == (80, 61)
        assert read_raw(tmp_path / "a.dng").metadata.lens == "Lens 35mm"


def test_names_as_long_as_the_system_allows_are_converted(call, model: Path, photo: Path, tmp_path: Path):
    album = tmp_path / "album"
    album.mkdir()
    shutil.copy(photo, album / f"{'x' * 251}.jpg")
    assert call(album, "-o", tmp_path / "raws", "--model", model)[0] == 0
    assert [path.name for path in (tmp_path / "raws").iterdir()] == [f"{'x' * 251}.dng"]


def test_other_endings_of_the_same_content_are_converted(call, model: Path, photo: Path, tmp_path: Path):
    album = tmp_path / "album"
    album.mkdir()
    for ending in ("jfif", "jpe", "mpo"):
        shutil.copy(photo, album / f"{ending}.{ending}")
    (album / "notes.bmp").touch()
    code, _, err = call(album, "-o", tmp_path / "raws", "--model", model)
    assert (code, err) == (0, f"{album}: left out 1 with other endings (.bmp)\n")
    assert len(list((tmp_path / "raws").iterdir())) == 3


def test_what_it_wrote_is_not_taken_for_a_photo(call, model: Path, photo: Path, tmp_path: Path):
    assert call(photo, "-o", tmp_path / "a.dng", "--model", model)[0] == 0
    write_mosaic(tmp_path / "a.tiff", np.full((32, 48), 0.5, np.float32), SIMULATED.profile)
    for name, reason in {"a.dng": "a RAW file, not a photo", "a.tiff": "a RAW mosaic of one channel"}.items():
        code, _, err = call(tmp_path / name, "-o", tmp_path / "b.dng", "--model", model)
        assert code == 2
        assert err.startswith(f"error: {tmp_path / name}: {reason}")
        assert err.count("\n") == 1
        assert not (tmp_path / "b.dng").exists()
