"""The simulated camera: known answers on flat patches, and something to recover in highlights."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.isp import srgb_to_linear, tone_curve
from revisp.camera.simulate import SIMULATED, SimulatedCamera, compress_jpeg, expand_highlights, simulate
from revisp.cfa import CFA, pack
from revisp.errors import ConfigError, ShapeError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("exposure", [0.0, -1.0])
def test_grey_patch_reads_as_the_profile_says(cfa, exposure):
    camera = SimulatedCamera(SIMULATED.profile.replace(cfa=cfa))
    pair = simulate(torch.full((3, 64, 64), 0.5), camera, exposure=exposure, generator=_generator())
    level = srgb_to_linear(torch.tensor(0.5)).item() * 2**exposure / camera.headroom
    red, green_r, green_b, blue = pack(pair.bayer, cfa).mean(dim=(-2, -1)).tolist()
    assert green_r == pytest.approx(level, rel=0.01)
    assert green_b == pytest.approx(level, rel=0.01)
    assert red == pytest.approx(level / 2.1, rel=0.01)
    assert blue == pytest.approx(level / 1.7, rel=0.01)


def test_rendering_is_the_photo_with_more_contrast():
    for value in (0.1, 0.5, 0.8):
        pair = simulate(torch.full((3, 32, 32), value), SIMULATED, generator=_generator())
        expected = tone_curve(torch.tensor(value), SIMULATED.contrast).item()
        assert pair.srgb.mean().item() == pytest.approx(expected, abs=1.5 / 255)


def test_colours_survive_the_camera():
    photo = torch.tensor([0.7, 0.4, 0.3]).view(3, 1, 1).expand(3, 32, 32)
    pair = simulate(photo, SimulatedCamera(SIMULATED.profile, contrast=0.0), generator=_generator())
    torch.testing.assert_close(pair.srgb.mean(dim=(-2, -1)), photo[:, 0, 0], atol=0.01, rtol=0)


def test_raw_is_stored_in_ten_bits_and_noisy():
    pair = simulate(torch.full((3, 64, 64), 0.5), SIMULATED, generator=_generator())
    stored = pair.bayer * (1023 - 64) + 64
    torch.testing.assert_close(stored, stored.round(), atol=1e-3, rtol=0)
    green = pack(pair.bayer, SIMULATED.profile.cfa)[1]
    assert green.std().item() == pytest.approx((1e-4 * green.mean().item()) ** 0.5, rel=0.1)


def test_overexposed_pixels_differ_in_the_raw():
    ramp = torch.linspace(0.5, 0.9, 64).expand(3, 64, 64)
    pair = simulate(ramp, SIMULATED, exposure=1.5, generator=_generator())
    green = pack(pair.bayer, SIMULATED.profile.cfa)[1]
    clipped = pair.srgb.amin(dim=0) >= 0.99
    assert 0.4 < clipped.float().mean() < 0.95
    assert green[:, -12].mean() - green[:, 12].mean() > 0.2
    assert simulate(ramp, SIMULATED, exposure=4.0, generator=_generator()).bayer.max() == 1


def test_seed_decides():
    photo = torch.rand(3, 32, 32, generator=_generator())
    one, two, other = (simulate(photo, SIMULATED, generator=_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.bayer, two.bayer)
    assert torch.equal(one.srgb, two.srgb)
    assert not torch.equal(one.bayer, other.bayer)


def test_highlights_expand_and_mid_tones_do_not():
    linear = torch.full((3, 101, 101), 0.4)
    linear[:, 30:71, 30:71] = 1.0
    expanded = expand_highlights(linear, 4.0)
    assert torch.equal(expanded[:, :30], linear[:, :30])
    middle, rim = expanded[0, 50, 50].item(), expanded[0, 50, 30].item()
    assert 3.0 < middle <= 4.0
    assert 1.5 < rim < middle
    assert torch.equal(expand_highlights(linear, 1.0), linear)


def test_jpeg_is_that_of_pillow():
    srgb = torch.rand(3, 24, 32, generator=_generator())
    pixels = (srgb * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80, subsampling=2)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(compress_jpeg(srgb, 80).numpy(), expected, atol=1e-6)


def test_any_size_works():
    assert simulate(torch.rand(3, 17, 21), SIMULATED, generator=_generator()).bayer.shape == (1, 17, 21)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="headroom"):
        SimulatedCamera(SIMULATED.profile, headroom=0.5)
    with pytest.raises(ConfigError, match="jpeg_quality"):
        SimulatedCamera(SIMULATED.profile, jpeg_quality=100)
    with pytest.raises(ShapeError, match="single image"):
        simulate(torch.rand(1, 3, 16, 16), SIMULATED, generator=_generator())
