"""Scenes through one measured camera: its RAW, at its places, alone and together with its pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from revisp.camera.fitted import FittedCamera, as_tuples, plain_curve
from revisp.camera.place import place_map
from revisp.camera.simulate import SIMULATED
from revisp.data import create_data
from revisp.data.camera_views import shot_of
from revisp.data.scene_views import SceneView
from revisp.errors import ConfigError
from revisp.io.camera_file import IsoNoise, MeasuredCamera, read_camera, save_camera
from revisp.io.mosaic_file import write_mosaic
from revisp.mosaic import mosaic
from revisp.prepare import PrepareOptions, prepare
from revisp.schema import build

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers.*")

PROFILE = SIMULATED.profile.replace(make="Maker", model="One")
FITTED = FittedCamera(
    as_tuples(plain_curve().numpy()), ((2.0, 0.1, 0.0), (0.0, 1.0, 0.2), (0.0, 0.0, 1.5)), shading=(0.4, 0.1)
)


def measured_camera() -> MeasuredCamera:
    values = {"profile": PROFILE.to_dict(), "fitted": FITTED.to_dict(), "noise": SIMULATED.noise._asdict()}
    return build(MeasuredCamera, values | {"size": [300, 400]}, "camera", ConfigError)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "one.json"
    iso = [IsoNoise(100, 1e-6, 0.0), IsoNoise(1600, 2e-6, 0.0)]
    ceilings = (0.9, None, None, 0.8)
    save_camera(path, PROFILE, FITTED, SIMULATED.noise, noise_by_iso=iso, ceilings=ceilings, size=(300, 400))
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two pairs of the camera, whose photos may be cut."""
    folder, root = tmp_path_factory.mktemp("pairs"), tmp_path_factory.mktemp("set")
    for half in ("raw", "srgb"):
        (folder / half).mkdir()
    (folder / "profile.json").write_text(json.dumps(PROFILE.to_dict()))
    for seed in range(2):
        cells = 0.05 + 0.8 * torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed))
        photo = cells.repeat_interleave(12, dim=1).repeat_interleave(12, dim=2)
        write_mosaic(folder / "raw" / f"{seed}.png", mosaic(FITTED.unprocess(photo), PROFILE.cfa), PROFILE)
        pixels = (photo * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / "srgb" / f"{seed}.png")
    prepare([folder], root, PrepareOptions(demosaic="bilinear", workers=1))
    return root


def _data(camera: Path, **options: Any) -> Any:
    given = {"crop": 32, "batch_size": 4, "crops_per_epoch": 16, "val_size": 64, "val_views": 1, **options}
    return create_data("scenes", camera=camera, **given)


def test_what_a_file_says_comes_back(camera: Path) -> None:
    found = read_camera(camera)
    assert (found.profile, found.fitted, found.size) == (PROFILE, FITTED, (300, 400))
    assert found.ceilings == (0.9, None, None, 0.8)
    assert [noise.iso for noise in found.noise_by_iso] == [100, 1600]
    values = json.loads(camera.read_text())
    camera.with_name("old.json").write_text(
        json.dumps({key: values[key] for key in ("profile", "fitted", "noise")})
    )
    assert read_camera(camera.with_name("old.json")).size is None
    camera.with_name("bad.json").write_text(json.dumps(values | {"ceilings": [0, 1, 1, 1]}))
    with pytest.raises(ConfigError, match=r"bad\.json: not a camera file of revisp-prepare: ceilings"):
        read_camera(camera.with_name("bad.json"))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.01, 100))
def test_photo_and_raw_of_a_shot_are_the_cameras(seed: int, scale: float) -> None:
    cells = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(seed)) * scale
    view = SceneView(cells.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2), "room", "picture")
    noise = (IsoNoise(100, 1e-9, 0.0),)
    measured = replace(measured_camera(), noise_by_iso=noise)
    photo, raw_rgb, place = shot_of(view, measured, torch.Generator().manual_seed(seed))
    x, y, _ = place
    top, left = round(float(y[0, 0] * 150 + 149.5)), round(float(x[0, 0] * 200 + 199.5))
    assert torch.equal(place, place_map(300, 400)[:, top : top + 48, left : left + 48])
    assert 0 <= raw_rgb.min() <= raw_rgb.max() <= 1
    even = (slice(None), slice(3, None, 8), slice(3, None, 8))  # inside the cells, away from demosaicing's fringes
    expected = FITTED.develop(raw_rgb, place)
    assert (photo - expected)[even].abs().median() < 0.03
    clean = ((raw_rgb < 0.98).all(0) & (expected < 0.98).all(0))[None].expand_as(raw_rgb)[even]
    light = FITTED.unprocess(expected, place)
    torch.testing.assert_close(light[even][clean], raw_rgb[even][clean], atol=0.01, rtol=0.02)


def test_saturated_colours_stop_at_their_own_ceilings(camera: Path) -> None:
    light = torch.full((3, 48, 48), 0.01)
    light[..., 40:] = 1e6
    view = SceneView(light, "sun", "picture")
    _, raw_rgb, _ = shot_of(view, read_camera(camera), torch.Generator().manual_seed(0))
    torch.testing.assert_close(raw_rgb[:, 20, 46], torch.tensor([0.9, 1.0, 0.8]))


def test_scenes_of_a_camera_are_learnt_alone(camera: Path) -> None:
    data = _data(camera)
    assert data.profile == PROFILE
    assert data.placed
    batch = next(iter(data.train_dataloader()))
    assert batch.place.shape == batch.srgb.shape == (4, 3, 32, 32)
    assert torch.equal(mosaic(batch.target, PROFILE.cfa), batch.bayer)
    assert next(iter(data.val_dataloader())).place.shape == (1, 3, 64, 64)


def test_scenes_and_pairs_are_learnt_together(camera: Path, pairs: Path) -> None:
    def names() -> list[str]:
        return [name for batch in data.train_dataloader() for name in batch.name]

    data = _data(camera, pairs=pairs, crops_per_epoch=32, pair_share=0.25)
    known = {picture.name for picture in data.train_pictures}
    assert 2 <= sum(name in known for name in names()) <= 15
    assert names() == names()
    assert {batch.name[0] for batch in data.test_dataloader()} == {picture.name for picture in data.val_pictures}
    assert not data.placed  # pairs may be cut
    assert next(iter(data.train_dataloader())).place.numel() == 0


def test_settings_that_do_not_fit_are_refused_in_one_line(camera: Path, pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pair_share must lie in \[0, 1\]"):
        _data(camera, pairs=pairs, pair_share=2.0)
    with pytest.raises(ConfigError, match=r"data\.pairs needs data\.camera"):
        create_data("scenes", pairs=pairs)
