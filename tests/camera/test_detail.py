"""Local tone, denoising and sharpening: against SciPy, and by what they must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from revisp.camera.detail import denoise, enlarged, gaussian_blur, local_tone, sharpen
from revisp.camera.expansion import spread_gain
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.errors import ConfigError, ShapeError


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _edge() -> torch.Tensor:
    picture = torch.full((3, 64, 64), 0.3, dtype=torch.float64)
    picture[..., 32:] = 0.7
    return picture


def test_strength_zero_changes_nothing():
    x = torch.rand(2, 3, 9, 11)
    assert local_tone(x, 0.0) is x
    assert denoise(x, 0.0) is x
    assert sharpen(x, 0.0) is x


def test_local_tone_lifts_shadows_by_their_share_and_leaves_lights():
    for level, stops in ((0.18 / 16, 4.0), (0.18 / 4, 2.0), (0.5, 0.0), (3.0, 0.0)):
        flat = torch.full((3, 40, 40), level, dtype=torch.float64)
        lifted = local_tone(flat, 0.25)
        torch.testing.assert_close(lifted, flat * 2 ** (0.25 * stops))


def test_local_tone_keeps_detail_and_compresses_places():
    texture = 1 + 0.1 * torch.sin(torch.arange(192, dtype=torch.float64) * 2.1).expand(3, 96, 192)
    places = torch.full((3, 96, 192), 0.01, dtype=torch.float64)
    places[..., 96:] = 0.5
    lifted = local_tone(places * texture, 0.4)
    before, after = (x[0, 48, 8:40].log2() for x in (places * texture, lifted))
    assert (after.std() / before.std()).item() == pytest.approx(1, abs=0.06)
    assert (after - before).mean().item() == pytest.approx(0.4 * np.log2(0.18 / 0.01), rel=0.03)
    torch.testing.assert_close(lifted[..., 150:], (places * texture)[..., 150:])


def test_hue_survives_local_tone():
    x = torch.rand(3, 48, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.01
    ratio = local_tone(x, 0.3, radius=8) / x
    torch.testing.assert_close(ratio[0], ratio[2])


def test_denoising_smooths_noise_and_keeps_edges():
    clean = _edge()
    noisy = clean + 0.02 * _noise(3, 64, 64)
    smooth = denoise(noisy, 0.04)
    assert (smooth - clean).square().mean() < 0.25 * (noisy - clean).square().mean()
    step = smooth[..., 33].mean() - smooth[..., 30].mean()
    assert step.item() == pytest.approx(0.4, abs=0.03)


def test_denoising_takes_more_chroma_than_luma():
    noisy = 0.5 + 0.03 * _noise(3, 64, 64)
    smooth = denoise(noisy, 0.015)

    def left(weights: list[float]) -> float:
        row = torch.tensor(weights, dtype=torch.float64)
        before, after = (torch.einsum("c,chw->hw", row, x).std() for x in (noisy, smooth))
        return (after / before).item()

    assert left([0.5, -0.4187, -0.0813]) < 0.75 * left([0.299, 0.587, 0.114])


def test_unsharp_mask_agrees_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = torch.rand(3, 30, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    luma = np.einsum("c,chw->hw", [0.299, 0.587, 0.114], x.numpy())
    expected = x.numpy() + 0.7 * (luma - ndimage.gaussian_filter(luma, 1.5, mode="nearest", radius=4))
    np.testing.assert_allclose(sharpen(x, 0.7, 1.5).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 48), (61, 43)])
def test_guided_filters_agree_with_kornia(size):
    """Its filter has no means by doubling, and convolves instead."""
    from kornia.filters import guided_blur

    x = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    luma = torch.einsum("c,bchw->bhw", x.new_tensor([0.299, 0.587, 0.114]), x)[:, None]
    expected = guided_blur(luma, x, 9, 0.04**2, border_type="replicate", subsample=2)
    torch.testing.assert_close(denoise(x, 0.04), expected)
    light = x.clamp_min(0.01)
    stops = torch.einsum("c,bchw->bhw", x.new_tensor(SRGB_TO_XYZ[1]), light)[:, None].log2()
    base = guided_blur(stops, stops, 17, 0.5**2, border_type="replicate", subsample=4)
    expected = light * torch.exp2(0.3 * (np.log2(0.18) - base).clamp_min(0))
    torch.testing.assert_close(local_tone(light, 0.3, 8), expected)


@pytest.mark.parametrize("size", [(101, 90), (40, 64)])
def test_highlights_spread_by_a_gaussian(size):
    """The blur on a coarser grid is one of the full grid but for less than a hundredth."""
    ndimage = pytest.importorskip("scipy.ndimage")
    share = (torch.rand(1, *size, generator=torch.Generator().manual_seed(0)) > 0.97).double()
    share[0, 10:30, 20:44] = 1
    for deviation in (2.0, 5.0, 12.0):
        blurred = ndimage.gaussian_filter(share[0].numpy(), deviation, mode="nearest", truncate=3)
        gain = spread_gain(share, 2.0, deviation)[0].numpy()
        expected = 1 + share[0].numpy() * blurred
        inside = (slice(8, -8),) * 2  # near the border, where the grid repeats its cells, it differs more
        np.testing.assert_allclose(gain[inside], expected[inside], atol=0.015)
        np.testing.assert_allclose(gain, expected, atol=0.04)


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_agrees_with_torch(factor):
    small = torch.rand(2, 3, 7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(small, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged(small, (factor, factor)), expected)
    assert torch.autograd.gradcheck(
        lambda x: enlarged(x, (factor, 1)), small[:1, 0, :3, :4].clone().requires_grad_()
    )


def test_small_pictures_are_blurred_as_large_ones():
    """By matrices, and by sums of shifted pictures; gradients pass."""
    x = torch.rand(1, 60, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    beside = F.pad(x[None], (0, 200, 0, 0), mode="replicate")[0]
    blurred = gaussian_blur(x, 3.0)
    torch.testing.assert_close(blurred, gaussian_blur(beside, 3.0)[..., :64])
    blurred.sum().backward()
    assert x.grad is not None


def test_batches_are_pictures_side_by_side():
    x = torch.rand(2, 2, 3, 24, 25)
    for step in (lambda y: local_tone(y, 0.3, 4), lambda y: denoise(y, 0.05), lambda y: sharpen(y, 0.5)):
        torch.testing.assert_close(step(x)[1, 0], step(x[1, 0]))


def test_derivatives_are_right():
    x = torch.rand(3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 0.05 + 0.02
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: local_tone(y, 0.3, 2), x)
    assert torch.autograd.gradcheck(lambda y: denoise(y, 0.05), x)
    assert torch.autograd.gradcheck(lambda y: sharpen(y, 0.5), x)


def test_wrong_arguments_are_refused():
    x = torch.rand(3, 8, 8)
    with pytest.raises(ConfigError, match="local_tone"):
        local_tone(x, 1.0)
    with pytest.raises(ConfigError, match="radius"):
        local_tone(x, 0.5, 0)
    with pytest.raises(ConfigError, match="denoise"):
        denoise(x, -0.1)
    with pytest.raises(ConfigError, match="sharpening"):
        sharpen(x, 0.5, 0.0)
    with pytest.raises(ShapeError, match="floating"):
        denoise(torch.zeros(3, 8, 8, dtype=torch.uint8), 0.1)
