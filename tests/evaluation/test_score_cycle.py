"""Photos against their development: what is known to be right scores high, and the forward ISP is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from revisp.camera.develop import develop
from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.simulate import SIMULATED, SimulatedPair, simulate
from revisp.demosaic import demosaic
from revisp.errors import ConfigError
from revisp.evaluation.score_cycle import match_exposure, score_cycle
from revisp.io.camera_file import save_camera
from revisp.io.photo import write_png
from revisp.pipeline import ReverseISP

PROFILE = SIMULATED.profile


@pytest.fixture(scope="module")
def pair() -> SimulatedPair:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 10, 12, generator=generator) * 0.95
    photo = F.interpolate(coarse, size=(160, 192), mode="bicubic").clamp(0, 1)[0]
    return simulate(photo, replace(SIMULATED, jpeg_quality=None), generator=generator)


@pytest.fixture(scope="module")
def raw_rgb(pair) -> torch.Tensor:
    return demosaic(pair.bayer, PROFILE.cfa, "malvar", gains=PROFILE.gains)


@pytest.fixture
def photo(pair, tmp_path: Path) -> Path:
    write_png(tmp_path / "photo.png", pair.srgb)
    return tmp_path / "photo.png"


@pytest.fixture(scope="module")
def fitted(pair, raw_rgb) -> ReverseISP:
    model = ReverseISP("classical", profile=PROFILE)
    for network in model.branches.values():
        network.fit([FitPair(pair.srgb, raw_rgb)])
    return model.eval()


def test_the_simulated_cameras_own_rendering_judges_its_models(fitted, photo: Path) -> None:
    evaluation = score_cycle(fitted, [photo])
    assert set(evaluation.mean) == {
        f"cycle_{kind}{region}" for kind in ("psnr", "ssim") for region in ("", "_oe", "_noe")
    }
    assert evaluation.mean["cycle_psnr"] > 28
    assert "simulated camera Simulated A" in evaluation.notes[0]
    torch.manual_seed(0)
    untrained = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=PROFILE).eval()
    assert score_cycle(untrained, [photo]).mean["cycle_psnr"] < 20


def test_a_camera_file_judges(fitted, pair, raw_rgb, photo: Path, tmp_path: Path) -> None:
    camera = fit_camera([FitPair(pair.srgb, raw_rgb)], shading=False)
    save_camera(tmp_path / "camera.json", camera.profile(PROFILE), camera, SIMULATED.noise)
    evaluation = score_cycle(fitted, [photo, photo], tmp_path / "camera.json")
    assert evaluation.mean["cycle_psnr"] > 28
    assert len(evaluation.images) == 2
    assert "as measured" in evaluation.notes[0]
    save_camera(tmp_path / "camera.json", PROFILE.replace(cfa="BGGR"), camera, SIMULATED.noise)
    with pytest.raises(ConfigError, match="BGGR"):
        score_cycle(fitted, [photo], tmp_path / "camera.json")
    with pytest.raises(ConfigError, match="nowhere"):
        score_cycle(fitted, [photo], tmp_path / "nowhere.json")


def test_without_a_measured_camera_exposure_is_matched_and_told(fitted, photo: Path) -> None:
    model = ReverseISP("classical", profile=PROFILE.replace(model="Another")).eval()
    model.branches.load_state_dict(fitted.branches.state_dict())
    evaluation = score_cycle(model, [photo])
    assert 0.2 < evaluation.mean["exposure_ev"] < 2  # the JPEG's white lies a stop below saturation
    assert "exposure matched" in evaluation.notes[0]
    assert evaluation.mean["cycle_psnr"] < score_cycle(fitted, [photo]).mean["cycle_psnr"]
    model.profile = None
    with pytest.raises(ConfigError, match="camera=FILE"):
        score_cycle(model, [photo])


@pytest.mark.parametrize("stops", [-2.0, 0.0, 1.5])
def test_the_exposure_of_a_plain_development_is_found(raw_rgb, stops: float) -> None:
    assert match_exposure(raw_rgb, develop(raw_rgb, PROFILE, exposure=stops), PROFILE) == pytest.approx(
        stops, abs=0.05
    )


def test_a_black_photo_tells_no_exposure(raw_rgb) -> None:
    assert match_exposure(raw_rgb, torch.zeros_like(raw_rgb), PROFILE) == 0
    assert match_exposure(torch.zeros_like(raw_rgb), raw_rgb, PROFILE) == 0
