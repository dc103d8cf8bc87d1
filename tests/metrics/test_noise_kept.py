"""Ratio of noise variances by brightness: known noise comes out, texture does not count."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from revisp.camera.noise import NoiseLevels, add_noise
from revisp.errors import ConfigError, ShapeError
from revisp.metrics import noise_ratio

LEVELS = NoiseLevels(2e-3, 1e-5)


def ramp(batch=2, height=128, width=192):
    """Noise-free planes ``[B,4,h,w]``, smooth, from dark to light."""
    column = torch.linspace(0.05, 0.85, width, dtype=torch.float64)
    gains = torch.tensor([0.7, 1.0, 1.0, 0.8], dtype=torch.float64).view(4, 1, 1)
    return (column * gains).expand(batch, 4, height, width)


def noisy(clean, levels, seed):
    return add_noise(clean, levels, torch.Generator().manual_seed(seed))


def diagonal_directly(plane):
    """Variance in the diagonal Haar band of each block of 8x8, by NumPy."""
    a, b = plane[0::2, 0::2] - plane[0::2, 1::2], plane[1::2, 0::2] - plane[1::2, 1::2]
    band = (0.5 * (a - b)) ** 2
    rows, columns = band.shape[0] // 4, band.shape[1] // 4
    return band[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).mean((1, 3))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 2.0])
@pytest.mark.parametrize("levels", [None, LEVELS])
def test_ratio_is_that_of_the_noise(share, levels):
    clean = ramp()
    truth = noisy(clean, LEVELS, 0)
    result = noise_ratio(
        noisy(clean, NoiseLevels(share * LEVELS.shot, share * LEVELS.read), 1), truth, levels=levels
    )
    measured = result.blocks[-1] > 50
    assert measured.sum() >= 8
    np.testing.assert_allclose(result.ratio[-1][measured], share, rtol=0.12, atol=1e-6)
    assert result.mean.item() == pytest.approx(share, rel=0.04, abs=1e-6)
    assert result.unmeasured == 0


def test_variances_are_those_of_the_camera_at_each_brightness():
    result = noise_ratio(ramp(4), noisy(ramp(4), LEVELS, 2), levels=LEVELS)
    middle = (result.edges[:-1] + result.edges[1:]) / 2
    for row in (1, 2, 4):
        filled = result.blocks[row] > 100
        expected = LEVELS.shot * middle[filled] + LEVELS.read
        # a bin's blocks need not lie around its middle
        np.testing.assert_allclose(result.truth[row][filled], expected, rtol=0.25)
    assert result.truth[4][result.blocks[4] > 100].diff().min() > 0


def test_variances_are_numpys_where_all_is_flat():
    level = torch.full((1, 4, 40, 44), 0.3, dtype=torch.float64)
    truth, prediction = noisy(level, LEVELS, 3), noisy(level, NoiseLevels(1e-3, 0), 4)
    generous = NoiseLevels(1.0, 1.0)  # any block is flat by this
    result = noise_ratio(prediction, truth, levels=generous, bins=1)
    inner = truth[0].numpy()[:, :40, :40].reshape(4, 5, 8, 5, 8).min((2, 4)) > truth.min().item()
    for plane in range(4):
        for variance, raw in ((result.truth, truth), (result.prediction, prediction)):
            expected = diagonal_directly(raw[0, plane].numpy())[inner[plane]].mean()
            assert variance[plane, 0].item() == pytest.approx(expected, rel=1e-10)
    assert result.blocks[:4, 0].tolist() == inner.sum((1, 2)).tolist()


def test_texture_does_not_count():
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.random((1, 4, 128, 192)), (0, 0, 0.7, 0.7)) - 0.5
    clean = ramp(1).clone()
    textured = clean.clone()
    textured[..., :64, :] += 0.4 * clean[..., :64, :] * torch.from_numpy(texture)[..., :64, :]
    truth = noisy(textured, LEVELS, 5)
    result = noise_ratio(noisy(clean, LEVELS, 6), truth)  # the prediction keeps noise, and lacks texture
    assert result.mean.item() == pytest.approx(1, abs=0.1)
    flat_half = 4 * 8 * 24
    assert result.blocks[-1].sum() < 1.1 * flat_half


def test_smooth_faults_are_not_noise():
    clean = ramp(1)
    truth = noisy(clean, LEVELS, 7)
    assert noise_ratio(0.1 + 0.8 * clean, truth).mean.item() == pytest.approx(0, abs=1e-6)
    assert noise_ratio(truth + 0.1, truth).mean.item() == pytest.approx(1, abs=1e-9)


def test_region_counts_whole_blocks():
    clean = ramp(1)
    truth = noisy(clean, LEVELS, 8)
    prediction = truth.clone()
    prediction[..., :61, :] = clean[..., :61, :]
    region = torch.zeros_like(truth)
    region[..., 61:, :] = 1
    inside, outside = (noise_ratio(prediction, truth, r, levels=LEVELS) for r in (region, 1 - region))
    assert inside.mean.item() == pytest.approx(1, abs=1e-9)
    assert outside.mean.item() == pytest.approx(0, abs=1e-6)
    whole = noise_ratio(prediction, truth, levels=LEVELS)
    assert (inside.blocks + outside.blocks <= whole.blocks).all()


def test_images_that_cannot_be_measured_are_told():
    clean = ramp(1)
    dark, truth = torch.zeros_like(clean), noisy(clean, LEVELS, 13)
    result = noise_ratio(dark, dark)
    assert result.mean.isnan()
    assert (result.unmeasured.item(), result.blocks.sum().item()) == (1, 0)
    result = noise_ratio(torch.cat([dark, truth]), torch.cat([dark, truth]))
    assert (result.unmeasured.item(), result.mean.item()) == (1, pytest.approx(1))


def test_a_truth_without_noise_has_none_to_keep():
    result = noise_ratio(noisy(ramp(1), LEVELS, 14), ramp(1))
    assert result.mean.isnan()
    assert result.blocks.sum() == 0


def test_bad_arguments_are_refused():
    x = torch.rand(1, 4, 16, 16)
    with pytest.raises(ConfigError, match="negative"):
        noise_ratio(x, x, levels=NoiseLevels(-1, 0))
    with pytest.raises(ConfigError, match="bins"):
        noise_ratio(x, x, bins=0)
    with pytest.raises(ShapeError, match="8 x 8"):
        noise_ratio(x[..., :7], x[..., :7])
