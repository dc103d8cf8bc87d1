"""UPI unprocessing against a second writing of the paper's formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.isp import apply_ccm, apply_gains
from revisp.camera.simulate import SIMULATED
from revisp.camera.unprocess import (
    UPIUnprocess,
    fit_rgb_gain,
    mean_camera,
    random_camera,
    safe_inverse_gains,
    unprocess,
)
from revisp.errors import ConfigError, ShapeError

PROFILE = SIMULATED.profile


def _upi_by_numpy(srgb: np.ndarray, matrix: np.ndarray, rgb: float, red: float, blue: float) -> np.ndarray:
    """One pixel at a time, as the paper's appendix reads."""
    out = np.empty_like(srgb)
    for at in np.ndindex(srgb.shape[1:]):
        pixel = srgb[(slice(None), *at)]
        pixel = 0.5 - np.sin(np.arcsin(1 - 2 * pixel) / 3)
        pixel = matrix @ np.maximum(pixel, 1e-8) ** 2.2
        gains = np.array([1 / red, 1, 1 / blue]) / rgb
        mask = (max(pixel.mean() - 0.9, 0) / 0.1) ** 2
        out[(slice(None), *at)] = np.clip(pixel * np.maximum(mask + (1 - mask) * gains, gains), 0, 1)
    return out


def test_unprocessing_agrees_with_numpy():
    rng = np.random.default_rng(0)
    srgb = rng.random((3, 6, 7)) ** 0.3  # many pixels near white, where highlights are protected
    matrix, rgb, red, blue = random_camera(torch.Generator().manual_seed(3))
    ours = unprocess(torch.from_numpy(srgb), srgb_to_camera=matrix, rgb_gain=rgb, red_gain=red, blue_gain=blue)
    np.testing.assert_allclose(ours.numpy(), _upi_by_numpy(srgb, matrix, rgb, red, blue), atol=1e-9)


def test_white_stays_white_and_mid_tones_are_divided():
    white = safe_inverse_gains(torch.ones(3, 1, 1), rgb_gain=1.25, red_gain=2.0, blue_gain=1.6)
    torch.testing.assert_close(white, torch.ones(3, 1, 1))
    grey = safe_inverse_gains(torch.full((3, 1, 1), 0.5), rgb_gain=1.25, red_gain=2.0, blue_gain=1.6)
    torch.testing.assert_close(grey.flatten(), torch.tensor([0.2, 0.4, 0.25]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_random_cameras_lie_in_the_published_ranges(seed):
    camera = random_camera(torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(camera.srgb_to_camera.sum(axis=1), 1, atol=1e-12)
    assert 1.9 <= camera.red_gain <= 2.4
    assert 1.5 <= camera.blue_gain <= 1.9
    assert 0.2 < 1 / camera.rgb_gain < 1.4  # six deviations


def test_random_cameras_have_the_published_mean():
    generator = torch.Generator().manual_seed(0)
    cameras = [random_camera(generator) for _ in range(2000)]
    brightness = np.array([1 / camera.rgb_gain for camera in cameras])
    assert brightness.mean() == pytest.approx(0.8, abs=0.01)
    assert brightness.std() == pytest.approx(0.1, abs=0.01)
    assert np.mean([camera.red_gain for camera in cameras]) == pytest.approx(2.15, abs=0.02)
    mean = np.mean([camera.srgb_to_camera for camera in cameras], axis=0)
    np.testing.assert_allclose(mean, mean_camera().srgb_to_camera, atol=0.02)


def test_profile_gives_the_baseline_its_matrix_and_gains():
    baseline = UPIUnprocess(PROFILE)
    assert baseline.camera.red_gain == pytest.approx(2.1)
    assert baseline.camera.blue_gain == pytest.approx(1.7)
    assert baseline.camera.rgb_gain == pytest.approx(1.25)
    np.testing.assert_array_equal(baseline.camera.srgb_to_camera, PROFILE.srgb_to_camera)
    srgb = torch.rand(2, 3, 4, 4)
    expected = unprocess(
        srgb, srgb_to_camera=PROFILE.srgb_to_camera, rgb_gain=1.25, red_gain=PROFILE.gains[0],
        blue_gain=PROFILE.gains[2],
    )  # fmt: skip
    torch.testing.assert_close(baseline(srgb), expected)


def test_gain_of_a_pair_is_recovered():
    srgb = 0.8 * torch.rand(3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = UPIUnprocess(PROFILE, rgb_gain=2.7)(srgb)
    assert fit_rgb_gain(srgb, raw, PROFILE) == pytest.approx(2.7, rel=1e-4)  # some values clip at 0
    region = torch.ones(1, 16, 16, dtype=torch.float64)
    region[..., :8, :] = 0
    raw[..., :8, :] = 0.9  # outside the region
    assert fit_rgb_gain(srgb, raw, PROFILE, region) == pytest.approx(2.7, rel=1e-4)  # some values clip at 0


def test_forward_steps_undo_it_below_the_highlights():
    srgb = 0.3 + 0.4 * torch.rand(3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = UPIUnprocess(PROFILE, rgb_gain=1.0)(srgb)
    camera_rgb = apply_gains(raw, PROFILE.gains)
    linear = apply_ccm(camera_rgb, PROFILE.camera_to_srgb).clamp_min(0) ** (1 / 2.2)
    inside = ((raw > 0) & (raw < 1)).all(dim=0)
    assert inside.sum() > 30
    toned = linear.square() * (3 - 2 * linear)
    torch.testing.assert_close(toned[:, inside], srgb[:, inside])


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="rgb_gain"):
        UPIUnprocess(PROFILE, rgb_gain=0)
    with pytest.raises(ConfigError, match="black"):
        fit_rgb_gain(torch.rand(3, 4, 4), torch.zeros(3, 4, 4), PROFILE)
    with pytest.raises(ShapeError):
        UPIUnprocess()(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
