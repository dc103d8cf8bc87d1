"""Sensor noise: its variance, its published constants, its reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from revisp.camera.isp import invert_isp
from revisp.camera.noise import NoiseLevels, add_noise, fit_noise, noise_levels, random_noise_levels, table_noise
from revisp.camera.simulate import SIMULATED
from revisp.data.embedded import TRAIN_PHOTOS
from revisp.errors import ConfigError, DataError, ShapeError
from revisp.io.photo import read_srgb
from revisp.io.raw.read import read_raw
from revisp.mosaic import mosaic


@pytest.mark.parametrize("signal", [0.0, 0.1, 0.9])
def test_variance_grows_with_the_signal(signal):
    levels = NoiseLevels(shot=0.01, read=1e-4)
    noisy = add_noise(torch.full((200_000,), signal), levels, torch.Generator().manual_seed(0))
    assert noisy.mean().item() == pytest.approx(signal, abs=1e-3)
    assert noisy.var().item() == pytest.approx(0.01 * signal + 1e-4, rel=0.02)


def test_negative_values_have_read_noise_only():
    noisy = add_noise(torch.full((100_000,), -0.5), NoiseLevels(0.01, 1e-4), torch.Generator().manual_seed(0))
    assert noisy.var().item() == pytest.approx(1e-4, rel=0.03)


def test_seed_decides():
    x = torch.rand(50)
    levels = noise_levels(0.01)
    one, two, other = (add_noise(x, levels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_random_levels_follow_the_published_line_in_natural_logarithms():
    generator = torch.Generator().manual_seed(0)
    shots, reads = np.log([random_noise_levels(generator) for _ in range(4000)]).T
    assert math.log(1e-4) <= shots.min() < math.log(1.1e-4)
    assert math.log(0.011) < shots.max() <= math.log(0.012)
    assert shots.mean() == pytest.approx((math.log(1e-4) + math.log(0.012)) / 2, abs=0.05)
    slope, offset = np.polyfit(shots, reads, 1)
    assert slope == pytest.approx(2.18, abs=0.02)
    assert offset == pytest.approx(1.20, abs=0.12)
    assert (reads - slope * shots - offset).std() == pytest.approx(0.26, abs=0.01)


def test_shot_noise_must_be_positive():
    with pytest.raises(ConfigError, match="positive"):
        noise_levels(0.0)


def _textured_raw(photo: int) -> torch.Tensor:
    """A photograph's RAW without noise of the sensor's."""
    pixels = read_srgb(TRAIN_PHOTOS[photo].path)[:, :426, :640]
    return mosaic(invert_isp(pixels, SIMULATED.profile), "RGGB").clamp(0, 1)


@pytest.mark.parametrize("photo", [0, 2, 4, 5])
@pytest.mark.parametrize("levels", [NoiseLevels(0.01, 1e-4), NoiseLevels(0.005, 1e-5)])
def test_noise_of_textured_photographs_is_recovered(photo, levels):
    noisy = add_noise(_textured_raw(photo), levels, torch.Generator().manual_seed(0))
    fitted = fit_noise(noisy, "RGGB")
    assert fitted.shot == pytest.approx(levels.shot, rel=0.12)
    assert fitted.shot * 0.1 + fitted.read == pytest.approx(levels.shot * 0.1 + levels.read, rel=0.12)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("levels", [NoiseLevels(0.01, 1e-4), NoiseLevels(1e-3, 0.0), NoiseLevels(1e-9, 1e-4)])
def test_noise_of_a_ramp_is_recovered_closely(levels, scale):
    ramp = torch.linspace(0.02, 0.8, 2560, dtype=torch.float64).expand(1, 768, 2560)
    fitted = fit_noise(add_noise(ramp, levels, torch.Generator().manual_seed(1)), "GRBG", scale=scale)
    assert fitted.shot == pytest.approx(levels.shot, rel=0.05 * scale, abs=3e-5)
    assert fitted.read == pytest.approx(levels.read, rel=0.15 * scale, abs=1e-5)
    assert min(fitted) >= 0


def test_clipped_samples_do_not_count():
    ramp = torch.linspace(-0.2, 1.3, 1024, dtype=torch.float64).expand(1, 512, 1024)
    noisy = add_noise(ramp, NoiseLevels(0.005, 1e-4), torch.Generator().manual_seed(1)).clamp(0, 1)
    fitted = fit_noise(noisy, "RGGB")
    assert fitted.shot == pytest.approx(0.005, rel=0.08)
    assert fitted.read == pytest.approx(1e-4, rel=0.4)


def test_averaging_finds_the_noise_that_smoothing_left():
    levels = NoiseLevels(0.005, 1e-5)
    ramp = torch.linspace(0.05, 0.8, 1024, dtype=torch.float64).expand(1, 1, 512, 1024)
    noisy = add_noise(ramp, levels, torch.Generator().manual_seed(1))
    kernel = torch.zeros(1, 1, 1, 3, dtype=torch.float64)  # the two nearest samples of one colour in a row
    kernel[..., 0] = kernel[..., 2] = 0.5
    smooth = torch.nn.functional.conv2d(noisy, kernel)[0]
    fine, coarse = (fit_noise(smooth, "GRBG", scale=scale).shot for scale in (1, 3))
    assert fine < 0.3 * levels.shot
    assert 0.5 * levels.shot < coarse < 1.1 * levels.shot


def test_levels_of_a_real_sensor_agree_between_scenes(sample_data):
    """Canon PowerShot S40, losslessly compressed: a small sensor of about 10 000 electrons."""
    fitted = []
    for name in ("CRW_0101", "CRW_0118", "CRW_0119"):
        raw = read_raw(sample_data / "raw_samples" / "canon_s40" / f"{name}.CRW")
        fitted.append(fit_noise(torch.from_numpy(raw.profile.normalise(raw.mosaic))[None], raw.profile.cfa))
    shots = [levels.shot for levels in fitted]
    assert max(shots) < 1.1 * min(shots)
    assert 5e-5 < min(shots) < 3e-4
    assert max(levels.read for levels in fitted) < 5e-6


def test_wavelet_compression_hides_noise_of_the_finest_scale(sample_data):
    pytest.importorskip("flashraw")
    raw = read_raw(sample_data / "raw_samples" / "gopro_hero7" / "GOPR8508.GPR")
    bayer = torch.from_numpy(raw.profile.normalise(raw.mosaic))[None]
    tag = 0.000417 * 0.2 + 1.3e-7  # variance at 0.2 by the file's DNG NoiseProfile
    fine, coarse = (fit_noise(bayer, raw.profile.cfa, scale=scale) for scale in (1, 3))
    assert fine.shot * 0.2 + fine.read < 0.2 * tag
    assert 0.4 * tag < coarse.shot * 0.2 + coarse.read < 1.1 * tag


def test_a_constant_has_no_noise():
    assert fit_noise(torch.linspace(0.1, 0.8, 512).expand(1, 512, 512).round(decimals=1), "RGGB") == (0.0, 0.0)


def test_raws_without_flat_light_are_refused():
    with pytest.raises(DataError, match="no black and no saturated"):
        fit_noise(torch.ones(1, 256, 256), "RGGB")
    with pytest.raises(DataError, match="too few"):
        fit_noise(torch.rand(1, 12, 12), "RGGB")
    with pytest.raises(ShapeError, match="single"):
        fit_noise(torch.rand(2, 1, 64, 64), "RGGB")
    with pytest.raises(ConfigError, match="scale"):
        fit_noise(torch.rand(1, 64, 64), "RGGB", scale=0)


def test_noise_of_the_table_is_normal():
    """By its quantiles and moments, against SciPy's; neighbours do not depend on each other."""
    stats = pytest.importorskip("scipy.stats")
    noise = table_noise((1, 500, 601), torch.Generator().manual_seed(0))
    assert noise.shape == (1, 500, 601)
    assert torch.equal(noise, table_noise((1, 500, 601), torch.Generator().manual_seed(0)))
    values = noise.flatten().double().numpy()
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(values)) < 0.04  # 0.009 is one deviation
    for neighbour in (1, 2, 3, 4):
        assert abs(np.corrcoef(values[:-neighbour], values[neighbour:])[0, 1]) < 0.01
