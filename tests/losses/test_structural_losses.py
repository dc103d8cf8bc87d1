"""Structural losses against scikit-image, kornia, and direct NumPy readings of their definitions."""

import kornia.metrics
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from revisp.losses import create_loss, ms_ssim_l1_loss, ssim_loss
from revisp.losses.gaussian import blur
from revisp.losses.structural import ssim_map


def photo_pair(seed=0, size=48, batch=2):
    """Smooth random images in [0,1] and noisy copies, float64."""
    rng = np.random.default_rng(seed)
    x = np.stack([gaussian_filter(rng.random((3, size, size)), (0, 3, 3)) for _ in range(batch)])
    x = (x - x.min()) / (x.max() - x.min())
    y = np.clip(x + rng.normal(0, 0.08, x.shape), 0, 1)
    return torch.from_numpy(x), torch.from_numpy(y)


def window(sigma, size):
    axis = np.arange(size) - size // 2
    one = np.exp(-(axis**2) / (2 * sigma**2))
    two = np.outer(one, one)
    return two / two.sum()


def filter_directly(image, sigma, size):
    """Two-dimensional window, zero padding, one pixel at a time."""
    weights, pad = window(sigma, size), size // 2
    padded = np.pad(image, pad)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.einsum("ijkl,kl->ij", patches, weights)


def ms_ssim_l1_directly(x, y, alpha=0.025):
    """The map of one image ``[3,H,W]``, by the definition, channel by channel."""
    similarity, distance = 1.0, 0.0
    for a, b in zip(x, y, strict=True):
        for sigma in (0.5, 1, 2, 4, 8):
            mean_a, mean_b = filter_directly(a, sigma, 33), filter_directly(b, sigma, 33)
            variance_a = filter_directly(a * a, sigma, 33) - mean_a**2
            variance_b = filter_directly(b * b, sigma, 33) - mean_b**2
            covariance = filter_directly(a * b, sigma, 33) - mean_a * mean_b
            similarity = similarity * (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2)
            if sigma == 8:
                similarity = similarity * (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        distance = distance + filter_directly(np.abs(a - b), 8, 33) / 3
    return alpha * (1 - similarity) + (1 - alpha) * distance


def test_ssim_map_is_scikit_images_away_from_the_border():
    x, y = photo_pair()
    _, expected = structural_similarity(
        x[0].numpy(), y[0].numpy(), channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=1.0, full=True,
    )  # fmt: skip
    inner = (..., slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(ssim_map(x[:1], y[:1])[0][inner], expected[inner], atol=1e-9)
    np.testing.assert_allclose(ssim_map(x[:1].float(), y[:1].float())[0][inner], expected[inner], atol=1e-4)


def test_ssim_map_is_kornias_away_from_the_border():
    x, y = photo_pair(1)
    expected = kornia.metrics.ssim(x, y, 11, padding="valid")
    torch.testing.assert_close(ssim_map(x, y)[..., 5:-5, 5:-5], expected, atol=1e-9, rtol=0)


def test_ssim_loss_is_one_minus_the_mean():
    x, y = photo_pair()
    assert ssim_loss(x, y).item() == pytest.approx(1 - ssim_map(x, y).mean().item(), abs=1e-12)


def test_ms_ssim_l1_is_its_definition():
    x, y = photo_pair(2, size=40)
    expected = np.stack([ms_ssim_l1_directly(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)])
    assert ms_ssim_l1_loss(x, y).item() == pytest.approx(expected.mean(), abs=1e-9)
    assert ms_ssim_l1_loss(x.float(), y.float()).item() == pytest.approx(expected.mean(), rel=1e-4)
    released = create_loss("ms_ssim_l1", scale=200.0)
    assert released(x, y).item() == pytest.approx(200 * expected.mean(), abs=1e-6)


def test_ms_ssim_l1_within_a_region_is_its_definition():
    x, y = photo_pair(3, size=36, batch=1)
    weight = torch.zeros(1, 1, 36, 36, dtype=torch.float64)
    weight[..., 4:20, 10:30] = 1
    inside = ms_ssim_l1_directly((x * weight)[0].numpy(), (y * weight)[0].numpy())[weight[0, 0].numpy() > 0]
    assert ms_ssim_l1_loss(x, y, weight).item() == pytest.approx(inside.mean(), abs=1e-9)


def test_ms_ssim_l1_survives_opposite_structure():
    x, _ = photo_pair(4)
    y = (1 - x).requires_grad_()  # negative correlation at every scale
    value = ms_ssim_l1_loss(y, x)
    value.backward()
    assert value.isfinite()
    assert y.grad.isfinite().all()


@pytest.mark.parametrize("name", ["ssim", "ms_ssim_l1"])
def test_more_noise_costs_more(name):
    x, _ = photo_pair(5)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    loss = create_loss(name)
    values = [loss(x + strength * noise, x).item() for strength in (0, 0.02, 0.05, 0.1, 0.2)]
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_gradient_is_the_derivative():
    x, y = photo_pair(6, size=9, batch=1)
    weight = torch.rand(1, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda t: create_loss("ms_ssim_l1")(t, y, weight), x)
    assert torch.autograd.gradcheck(lambda t: create_loss("ssim")(t, y), x)
    assert torch.autograd.gradgradcheck(lambda t: blur(t * t, 1.5, 11), x[:, :1].detach().requires_grad_())


@pytest.mark.parametrize("sigma", [0.5, 2.0, 8.0])
def test_blur_is_the_direct_filter_in_both_precisions(sigma):
    x, _ = photo_pair(7, size=20, batch=1)
    expected = filter_directly(x[0, 1].numpy(), sigma, 33)
    np.testing.assert_allclose(blur(x, sigma, 33)[0, 1], expected, atol=1e-13)
    np.testing.assert_allclose(blur(x.float(), sigma, 33)[0, 1], expected, atol=1e-6)
