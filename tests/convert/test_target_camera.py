"""Photos become RAW of a camera that the model does not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rawpy
import torch
from PIL import Image
from torch import Tensor

from revisp import predict
from revisp.camera.cameras import known_profile
from revisp.camera.canonical import canonical_profile
from revisp.camera.fitted import FittedCamera
from revisp.camera.noise import NoiseLevels
from revisp.camera.target import as_camera
from revisp.cfa import CFA
from revisp.challenges import CHALLENGES
from revisp.convert import TorchEngine, load_engine
from revisp.convert.formats import convert_photo
from revisp.convert.target import find_camera
from revisp.errors import ConfigError
from revisp.io import read_raw
from revisp.io.camera_file import save_camera
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP

TARGET = known_profile("Canon EOS 5D Mark II")


def build(**kwargs: object) -> ReverseISP:
    torch.manual_seed(0)
    options: dict = {"backbone_kwargs": {"width": 4, "depth": 2, "norm": "none"}, "profile": canonical_profile()}
    return ReverseISP("unet", **(options | kwargs)).eval()


@pytest.fixture
def photo() -> Tensor:
    """An odd number of rows and columns, overexposed in part."""
    noise = torch.rand(3, 49, 67, generator=torch.Generator().manual_seed(0))
    return (noise + torch.linspace(-0.3, 0.8, 67)).clamp(0, 1)


@pytest.mark.parametrize("cfa", CFA)
def test_each_phase_samples_the_same_picture(photo: Tensor, cfa: CFA) -> None:
    model, target = build(), TARGET.replace(cfa=cfa)
    engine = TorchEngine(model, camera=target)
    raw_rgb = as_camera(predict(model, photo).raw_rgb, canonical_profile(), target)
    assert (engine.cfa, engine.profile) == (cfa, target)
    torch.testing.assert_close(engine.bayer(photo), mosaic(raw_rgb, cfa))


def test_the_models_own_camera_gives_the_models_own_raw(photo: Tensor) -> None:
    model = build(refine={"width": 4, "depth": 2})
    torch.nn.init.normal_(model.refine.network.get_submodule("head").weight, std=0.05)  # type: ignore[union-attr]
    own = predict(model, photo)
    assert (own.bayer - own.mosaiced).abs().max() > 0.01
    inside = (own.bayer > 0) & (own.bayer < 0.95)
    found = TorchEngine(model, camera=canonical_profile()).bayer(photo)
    torch.testing.assert_close(found[inside], own.bayer[inside], rtol=0, atol=1e-3)


def test_a_dng_is_the_cameras(photo: Tensor, tmp_path: Path) -> None:
    pixels = (photo * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    engine = TorchEngine(build(), camera=TARGET)
    files = convert_photo(engine, tmp_path / "photo.png", tmp_path / "photo.dng", preview=True)
    assert len(files) == 2
    with rawpy.imread(str(files[0])) as raw:
        np.testing.assert_allclose(raw.rgb_xyz_matrix[:3], TARGET.color_matrix, atol=1e-4)
        assert raw.white_level == 15600
        assert raw.black_level_per_channel == [1024] * 4
        assert raw.raw_image_visible.shape == (49, 67)
        np.testing.assert_allclose(raw.camera_whitebalance[:3], TARGET.gains, atol=1e-4)
        assert raw.postprocess().shape == (49, 67, 3)
    back = read_raw(files[0])
    assert (back.profile.name, back.profile.cfa, back.profile.bits) == (TARGET.name, TARGET.cfa, TARGET.bits)
    expected = TARGET.quantise(engine.bayer(torch.from_numpy(pixels).permute(2, 0, 1) / 255)[0].numpy())
    assert np.abs(back.mosaic.astype(int) - expected).max() <= 1


def test_a_file_names_the_camera_too(tmp_path: Path) -> None:
    profile, prepared = tmp_path / "profile.json", tmp_path / "prepared.json"
    profile.write_text(json.dumps(TARGET.to_dict()))
    fitted = FittedCamera((0.0, 0.2, 1.0), ((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
    save_camera(prepared, TARGET, fitted, NoiseLevels(1e-4, 1e-6))
    assert find_camera(profile) == find_camera(str(prepared)) == find_camera(TARGET) == TARGET
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"list\.json: not a camera profile"):
        find_camera(tmp_path / "list.json")


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("fitted", {"curve": "steep"}, "fitted camera"),
        ("fitted", None, "fitted"),
        ("noise", {"shot": -1, "read": 0}, "shot"),
        ("nois", {}, "unknown field 'nois'"),
    ],
)
def test_a_damaged_part_of_a_camera_file_is_told(tmp_path: Path, part: str, value: object, said: str) -> None:
    file = tmp_path / "camera.json"
    fitted = FittedCamera((0.0, 0.2, 1.0), ((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
    save_camera(file, TARGET, fitted, NoiseLevels(1e-4, 1e-6))
    file.write_text(json.dumps({**json.loads(file.read_text()), part: value}))
    with pytest.raises(ConfigError, match=rf"camera\.json: not a camera profile: .*{said}"):
        find_camera(file)


def test_colours_must_be_known() -> None:
    with pytest.raises(ConfigError, match="knows no camera profile"):
        TorchEngine(build(profile=None), camera=TARGET)
    with pytest.raises(ConfigError, match="colours of Samsung S7"):
        TorchEngine(build(profile=CHALLENGES["s7"].profile), camera=TARGET)


def test_a_graph_gives_its_own_camera_only() -> None:
    with pytest.raises(ConfigError, match="camera is a setting of the engine torch"):
        load_engine("model.onnx", camera="Nikon D750")
