"""Measured cameras: written for those that rendered their own photos, and readable by ``--camera``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.entry import array_path
from revisp.data.manifest import read_manifest
from revisp.errors import OutputError
from revisp.io.camera_file import load_camera, read_camera
from revisp.io.mosaic_file import write_mosaic
from revisp.prepare import PrepareOptions, prepare
from revisp.prepare.cameras import write_cameras

FAST = PrepareOptions(demosaic="bilinear", workers=1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two pairs of one camera."""
    folder = tmp_path_factory.mktemp("pairs")
    for half in ("raw", "srgb"):
        (folder / half).mkdir()
    profile = SIMULATED.profile.replace(make="Maker", model="One/2")
    (folder / "profile.json").write_text(json.dumps(profile.to_dict()))
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        cells = torch.rand(1, 3, 12, 16, generator=generator)
        photo = torch.nn.functional.interpolate(cells, size=(192, 256), mode="bicubic").clamp(0, 1)[0]
        shot = simulate(photo, SIMULATED, exposure=0.5, generator=generator)
        write_mosaic(folder / "raw" / f"{seed}.png", shot.bayer, SIMULATED.profile)
        pixels = (shot.srgb * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / "srgb" / f"{seed}.png")
    root = tmp_path_factory.mktemp("set")
    prepare([folder], root, FAST)
    return root


def test_a_camera_file_is_a_camera_to_simulate(pairs: Path, tmp_path: Path) -> None:
    file = pairs / "cameras" / "Maker-One-2.json"
    assert sorted((pairs / "cameras").iterdir()) == [file, file.with_suffix(".png")]
    with Image.open(file.with_suffix(".png")) as sheet:
        assert sheet.size[0] > 900
    measured = read_camera(file)
    assert [(noise.iso, noise.pictures) for noise in measured.noise_by_iso] == [(None, 1)]
    assert measured.fitted.errors is not None
    assert measured.size is None  # photos of pairs may be cut
    camera = load_camera(file)
    assert (camera.profile.make, camera.profile.model) == ("Maker", "One/2")
    assert camera.profile.cfa is SIMULATED.profile.cfa
    assert camera.shot_noise == pytest.approx(SIMULATED.shot_noise, rel=0.5)
    Image.fromarray(np.tile(np.arange(0, 256, 2, np.uint8)[:, None, None], (1, 128, 3))).save(
        tmp_path / "ramp.png"
    )
    options = PrepareOptions(demosaic="bilinear", workers=1, camera=file)
    [entry] = prepare([tmp_path / "ramp.png"], tmp_path / "out", options).manifest.entries
    assert (entry.kind, entry.camera) == ("simulated", "Maker One/2")
    assert isinstance(entry.profile, CameraProfile)
    stored = np.load(array_path(tmp_path / "out", "ramp", "raw"), allow_pickle=False)
    assert stored.max() <= camera.profile.white_level
    rows = stored.astype(float).mean(axis=1)
    assert rows[:32].mean() < rows[32:64].mean() < rows[64:96].mean()  # a brighter photo was a brighter scene


def test_another_camera_makes_simulated_pictures_anew(pairs: Path, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), (90, 120, 60)).save(tmp_path / "a.png")
    root = tmp_path / "set"
    assert prepare([tmp_path / "a.png"], root, FAST).made == ("a",)
    measured = PrepareOptions(demosaic="bilinear", workers=1, camera=pairs / "cameras" / "Maker-One-2.json")
    assert prepare([tmp_path / "a.png"], root, measured).made == ("a",)
    assert prepare([tmp_path / "a.png"], root, measured).made == ()


def test_a_camera_file_that_cannot_be_written_is_an_error(pairs: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    root.mkdir()
    (root / "arrays").symlink_to(pairs / "arrays")
    (root / "cameras").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"cannot write .*cameras"):
        write_cameras(replace(read_manifest(pairs), root=root))
