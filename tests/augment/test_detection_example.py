"""The example that turns a detection data set into RAW: it runs offline, and programs open its files."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rawpy
from PIL import Image

from revisp import CameraProfile
from revisp.data.embedded import VAL_PHOTOS


@pytest.fixture(scope="module")
def script(repository: Path) -> Path:
    return repository / "docs" / "examples" / "detection" / "photos_to_raw.py"


@pytest.fixture(scope="module")
def example(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("photos_to_raw", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_small_set_as_dng(script, example, tmp_path):
    command = [sys.executable, script, "-o", tmp_path, "--format", "dng", "--preview", tmp_path / "preview.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    coco = json.loads((tmp_path / "annotations.json").read_text())
    before, _ = example.small_data_set()
    assert coco["annotations"] == json.loads(json.dumps(before["annotations"]))
    assert coco["categories"] == before["categories"]
    assert len(coco["images"]) == 6
    for image in coco["images"]:
        with rawpy.imread(str(tmp_path / "images" / image["file_name"])) as raw:
            assert raw.raw_image.shape == (image["height"], image["width"])
            assert raw.raw_image.max() <= image["camera"]["white_level"]
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    for each in coco["annotations"]:
        (left, top, width, height), (right, bottom) = each["bbox"], sizes[each["image_id"]]
        assert 0 <= left < left + width <= right
        assert 0 <= top < top + height <= bottom
    with Image.open(tmp_path / "preview.png") as preview:
        assert preview.height == 480


def _own_set(folder: Path) -> list[str]:
    (folder / "photos" / "a").mkdir(parents=True)
    with Image.open(VAL_PHOTOS[1].path) as photo:
        photo.crop((200, 100, 361, 221)).save(folder / "photos" / "a" / "one.jpg")
    coco = {
        "info": {"year": 2026},
        "images": [{"id": 9, "file_name": "a/one.jpg", "width": 161, "height": 121, "license": 3}],
        "annotations": [{"id": 4, "image_id": 9, "category_id": 1, "bbox": [1.5, 2, 30, 40], "segmentation": []}],
        "categories": [{"id": 1, "name": "flower"}],
    }
    (folder / "coco.json").write_text(json.dumps(coco))
    return ["--annotations", str(folder / "coco.json"), "--images", str(folder / "photos")]


def test_a_set_of_ones_own_as_arrays(example, tmp_path, monkeypatch):
    arguments = _own_set(tmp_path)
    monkeypatch.setattr(sys, "argv", ["photos_to_raw.py", "-o", str(tmp_path / "out"), *arguments])
    example.main()
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("coco.json", "out/annotations.json"))
    (image,) = after.pop("images")
    assert image["file_name"] == "a/one.npy"
    assert before["images"][0].items() <= (image | {"file_name": "a/one.jpg"}).items()
    assert after == {name: value for name, value in before.items() if name != "images"}
    stored = np.load(tmp_path / "out" / "images" / "a" / "one.npy")
    assert stored.dtype == np.uint16
    assert stored.shape == (121, 161)
    normalised = CameraProfile.from_dict(image["camera"]).normalise(stored)
    assert 0.01 < normalised.mean() < 0.9


def _turn(photo: Path) -> None:
    """Have viewers turn a photo, as a camera held upright does."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo) as picture:
        picture.save(photo, exif=exif)


IMAGE = {"id": 9, "width": 161, "height": 121}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda photo, coco: photo.unlink(), "one.jpg"),
        (lambda photo, coco: _turn(photo), "upright it has 121x161 and not 161x121 pixels"),
        (lambda photo, coco: coco.write_text("{"), "not annotations in COCO's format"),
        (lambda photo, coco: coco.write_text("[1]"), "not annotations in COCO's format"),
        (
            lambda photo, coco: coco.write_text(
                json.dumps({"images": [{**IMAGE, "file_name": f"a/one.{ending}"} for ending in ("jpg", "png")]})
            ),
            "two photos differ in their ending alone",
        ),
        (
            lambda photo, coco: coco.write_text(json.dumps({"images": [{**IMAGE, "file_name": str(photo)}]})),
            "leads out of the folder of photos",
        ),
    ],
)
def test_what_cannot_become_raw_is_one_line(example, tmp_path, monkeypatch, capsys, spoil, reason):
    arguments = _own_set(tmp_path)
    spoil(tmp_path / "photos" / "a" / "one.jpg", tmp_path / "coco.json")
    monkeypatch.setattr(sys, "argv", ["photos_to_raw.py", "-o", str(tmp_path / "out"), *arguments])
    with pytest.raises(SystemExit) as left:
        example.main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert reason in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.npy"))
