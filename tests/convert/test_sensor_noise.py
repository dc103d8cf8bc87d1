"""RAW with the noise of a sensor: what is written has the variance that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.canonical import canonical_profile
from revisp.camera.fitted import FittedCamera
from revisp.camera.noise import NoiseLevels, fit_noise
from revisp.camera.simulate import SIMULATED
from revisp.convert import Choice, Conversion, convert_photos
from revisp.convert.sensor_noise import parse_noise, with_noise
from revisp.errors import ConfigError
from revisp.io import read_raw
from revisp.io.camera_file import IsoNoise, save_camera

LEVELS = NoiseLevels(2e-3, 1e-5)


class Ramp:
    """An engine that predicts a ramp from black to beyond the sensor's white, whatever the photo."""

    profile, cfa, name = canonical_profile(), canonical_profile().cfa, "ramp"

    def bayer(self, srgb, *, tile=None, progress=None):
        return torch.linspace(0.0, 1.2, srgb.shape[-1]).clamp_max(1).expand(1, *srgb.shape[-2:]).contiguous()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (1024, 512), (90, 90, 90)).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def _convert(photo: Path, output: str, noise: NoiseLevels | None, **choice: object) -> Path:
    jobs = [Conversion(photo, photo.with_name(output))]
    (done,) = convert_photos(Ramp(), jobs, Choice(noise=noise, **choice), workers=0)
    assert done.error is None
    return done.files[0]


def _samples(path: Path) -> torch.Tensor:
    profile = Ramp.profile
    if path.suffix == ".dng":
        raw = read_raw(path)
        return torch.from_numpy(raw.profile.normalise(raw.mosaic))[None]
    stored = np.asarray(Image.open(path)).astype(np.uint16)
    return torch.from_numpy(profile.normalise(stored))[None]


@pytest.mark.parametrize("output", ["a.dng", "a.png"])
def test_a_file_has_the_noise_that_was_asked_for(photo: Path, output: str) -> None:
    clean, noisy = (_samples(_convert(photo, f"{noise is None}{output}", noise)) for noise in (None, LEVELS))
    light = clean.flatten()
    for low, high in ((0.05, 0.1), (0.4, 0.5), (0.8, 0.9)):
        here = (light > low) & (light < high)
        variance = (noisy - clean).flatten()[here].var().item()
        expected = LEVELS.shot * light[here].mean().item() + LEVELS.read
        assert variance == pytest.approx(expected, rel=0.05)
    assert (noisy[clean >= 1] >= 0.999).all()
    found = fit_noise(noisy, Ramp.cfa)
    assert found.shot == pytest.approx(LEVELS.shot, rel=0.2)


def test_the_noise_follows_the_photos_name_and_the_tag_states_it(photo: Path) -> None:
    first, second = (_convert(photo, name, LEVELS, plain_dng=True).read_bytes() for name in ("a.dng", "b.dng"))
    assert first == second
    bayer = torch.full((1, 8, 8), 0.5)
    assert not torch.equal(with_noise(bayer, LEVELS, "a.jpg"), with_noise(bayer, LEVELS, "b.jpg"))


def test_another_noise_is_another_file(photo: Path) -> None:
    job = Conversion(photo, photo.with_name("a.dng"))
    made = [
        next(convert_photos(Ramp(), [job], Choice(noise=noise), resume=True, workers=0)).skipped
        for noise in (None, LEVELS, LEVELS, None)
    ]
    assert made == [False, False, True, False]


@pytest.fixture
def camera(tmp_path: Path) -> str:
    """A camera file with the noise at two ISO speeds."""
    fitted = FittedCamera((0.0, 0.2, 1.0), ((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
    noise = [IsoNoise(iso, shot, shot / 100) for iso, shot in ((100, 1e-4), (400, 5e-4), (None, 1.0))]
    save_camera(tmp_path / "Camera.json", SIMULATED.profile, fitted, NoiseLevels(1e-4, 1e-6), noise_by_iso=noise)
    return str(tmp_path / "Camera.json")


def test_noise_of_a_camera_file_is_interpolated_or_amplified(camera: str) -> None:
    assert parse_noise("100", camera) == pytest.approx((1e-4, 1e-6))
    assert parse_noise("200", camera) == pytest.approx((3e-4, 3e-6))
    assert parse_noise("1600", camera) == pytest.approx((2e-3, 8e-5))
    assert parse_noise("50", camera) == pytest.approx((5e-5, 2.5e-7))
    assert parse_noise("1e-3,0", None) == (1e-3, 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12800", "no noise at ISO 12800; measured: 100, 400"),
        ("loud", "an ISO speed, or shot and read variance"),
        ("2,0", "got '2,0'"),
        ("1e-4,nan", "got '1e-4,nan'"),
        ("-100", "got '-100'"),
        ("inf", "got 'inf'"),
    ],
)
def test_noise_that_is_not_known_is_refused(camera: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_noise(text, camera)


def test_an_iso_speed_needs_a_camera_file(camera: str, tmp_path: Path) -> None:
    for other in (None, "Nikon D850"):
        with pytest.raises(ConfigError, match="needs a camera file"):
            parse_noise("400", other)
    (tmp_path / "profile.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    with pytest.raises(ConfigError, match="camera file"):
        parse_noise("400", str(tmp_path / "profile.json"))


def test_a_camera_file_may_have_any_name(camera: str, tmp_path: Path) -> None:
    renamed = Path(camera).rename(tmp_path / "My camera 2.0")
    assert parse_noise("100", str(renamed)) == pytest.approx((1e-4, 1e-6))
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match="photo: not a camera file of revisp-prepare"):
        parse_noise("100", str(tmp_path / "photo"))


def test_a_linear_dng_has_no_noise_of_a_sensor() -> None:
    with pytest.raises(ConfigError, match="leave it out for a linear DNG"):
        Choice(noise=LEVELS, linear_dng=True)
