"""What `revisp-predict` takes: names in other encodings, other endings, pipes, and no RAW."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.io import read_raw, write_mosaic

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
FIELDS = {"Version": "1.0", "GainMapMax": "2.5", "HDRCapacityMax": "2.5", "OffsetSDR": "0", "OffsetHDR": "0"}


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


def test_a_gain_map_gives_the_level_of_overexposed_pixels(call, model: Path, tmp_path: Path):
    """It is said in one line, and left out on demand; a photo without one is predicted as ever."""
    y, x = np.mgrid[:64, :96]
    lamp = np.exp(-((x - 48) ** 2 + (y - 32) ** 2) / 200)
    srgb = np.clip(0.3 + 0.3 * np.sin(x / 9) ** 2 + 1.2 * lamp, 0, 1)
    pixels = np.rint(np.stack([srgb] * 3, axis=-1) * 255).astype(np.uint8)
    values = np.rint(lamp[::2, ::2] * 255).astype(np.uint8)
    fields = "".join(f' hdrgm:{name}="{value}"' for name, value in FIELDS.items())
    xmp = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
        f'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"{fields}/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)
    Image.fromarray(values).save(tmp_path / "map.jpg", quality=95, xmp=xmp.encode())
    photo = tmp_path / "photo.jpg"
    photo.write_bytes((tmp_path / "plain.jpg").read_bytes() + (tmp_path / "map.jpg").read_bytes())
    said, mosaics = {}, {}
    for name, source, words in (
        ("auto", photo, []), ("off", photo, ["--gain-map", "off"]), ("plain", tmp_path / "plain.jpg", [])
    ):  # fmt: skip
        code, said[name], err = call(
            source, "-o", tmp_path / f"{name}.dng", "--model", "default", "--plain-dng", *words
        )
        assert (code, err) == (0, "")
        mosaics[name] = read_raw(tmp_path / f"{name}.dng").mosaic.astype(int)
    pixels, level = r"\d+\.\d\d% of the pixels by the gain map \(Ultra HDR\)", r"\d\.\d EV above the photo's white"
    assert re.search(rf"\); {pixels}, stored up to {level}\n", said["auto"])
    assert "gain map" not in said["off"] + said["plain"]
    assert np.array_equal(mosaics["off"], mosaics["plain"])
    change = np.abs(mosaics["auto"] - mosaics["off"])
    brighter = change > 0.002 * 65535  # networks that see the map also change other pixels, by less
    assert 0.01 < brighter.mean() < 0.5
    assert np.abs(x[brighter] - 48).max() < 40
