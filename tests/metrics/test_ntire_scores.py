"""NTIRE 2025 scores: what is stored as 12 bits, and PSNR and SSIM of that."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from revisp.errors import ConfigError, ShapeError
from revisp.metrics import aim_ssim, ntire_psnr, ntire_ssim, quantise


def off_steps(x):
    """Move values that lie next to a step of 12 bits, where floor means what float32 can tell."""
    step = np.floor(x * 4095)
    return (step + np.clip(x * 4095 - step, 0.01, 0.99)) / 4095


def pair(seed=0):
    rng = np.random.default_rng(seed)
    x = gaussian_filter(rng.random((3, 4, 30, 34)), (0, 0, 2, 2))
    x = (x - x.min()) / np.ptp(x)
    y = x + rng.normal(0, 0.02, x.shape)
    return torch.from_numpy(off_steps(x)), torch.from_numpy(off_steps(y))


@pytest.mark.parametrize("rounding", ["round", "floor"])
@pytest.mark.parametrize("levels", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stored_values_stay(rounding, levels, dtype):
    stored = torch.arange(levels + 1, dtype=torch.float64)
    values = (stored / levels).to(dtype)
    back = quantise(values, levels, rounding)
    assert back.dtype == torch.float64
    assert torch.equal((back * levels).round(), stored)


def test_values_are_stored_as_integers_of_12_bits():
    x = off_steps(np.random.default_rng(1).uniform(-0.1, 1.1, 10_000))
    clipped = np.clip(x, 0, 1)
    for rounding, reference in (("round", np.rint), ("floor", np.floor)):
        expected = reference(clipped * 4095) / 4095
        np.testing.assert_allclose(quantise(torch.from_numpy(x), rounding=rounding), expected, atol=1e-12)
    assert quantise(torch.tensor(float("nan"))).isnan()


@pytest.mark.parametrize(("rounding", "reference"), [("round", np.rint), ("floor", np.floor)])
def test_psnr_is_numpys_on_stored_values(rounding, reference):
    x, y = pair()
    stored = [reference(np.clip(image.numpy(), 0, 1) * 4095) for image in (x, y)]
    expected = [-10 * np.log10(np.mean(((a - b) / 4095) ** 2)) for a, b in zip(*stored, strict=True)]
    np.testing.assert_allclose(ntire_psnr(y, x, rounding=rounding), expected, atol=1e-9)


def test_ssim_is_that_of_stored_values():
    x, y = pair(2)
    stored = [torch.from_numpy(np.rint(np.clip(image.numpy(), 0, 1) * 15) / 15) for image in (y, x)]
    torch.testing.assert_close(ntire_ssim(y, x, levels=15), aim_ssim(*stored), atol=1e-12, rtol=0)


def test_an_error_below_a_step_is_perfect():
    x = torch.arange(4 * 16 * 16).view(1, 4, 16, 16).double() / 4095
    assert ntire_psnr(x + 0.4 / 4095, x).item() == 999
    assert ntire_psnr(x + 0.6 / 4095, x).item() == pytest.approx(20 * np.log10(4095))
    assert ntire_psnr(x + 0.6 / 4095, x, rounding="floor").item() == 999
    dark = torch.zeros(1, 4, 16, 16)
    assert ntire_ssim(dark, dark).item() == 1


def test_region_counts_alone():
    x, y = pair(3)
    region = torch.zeros(x.shape)
    region[:2, :, 8:20, 8:20] = 1
    elsewhere = torch.where(region > 0, y, 1 - y)
    assert torch.equal(ntire_psnr(y, x, region)[:2], ntire_psnr(elsewhere, x, region)[:2])
    assert ntire_psnr(y, x, region)[2].isnan()


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="levels"):
        ntire_psnr(*pair(), levels=0)
    with pytest.raises(ConfigError, match="rounding"):
        ntire_ssim(*pair(), rounding="ceil")
    with pytest.raises(ShapeError, match="4"):
        ntire_psnr(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
