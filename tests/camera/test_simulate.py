"""The simulated camera: known answers on flat patches, and something to recover in highlights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from revisp.camera.expansion import expand_highlights, highlight_gain
from revisp.camera.isp import (
    ForwardISP,
    ISPSettings,
    apply_ccm,
    apply_gains,
    apply_isp,
    srgb_to_linear,
    tone_curve,
)
from revisp.camera.jpeg import compress_jpeg
from revisp.camera.noise import add_noise, noise_levels
from revisp.camera.place import Place
from revisp.camera.shading import shading_gain
from revisp.camera.simulate import SIMULATED, SimulatedCamera, simulate
from revisp.cfa import CFA, pack
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic


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


def _photo(height: int = 96, width: int = 120) -> torch.Tensor:
    photo = torch.rand(3, height, width, generator=_generator())
    photo[:, 20:70, 30:90] = 1.0
    return photo


@pytest.mark.parametrize("exposure", [0.0, 1.3])
def test_the_embedded_camera_photographs_as_its_steps_do(exposure):
    photo, profile = _photo(), SIMULATED.profile
    scene = expand_highlights(srgb_to_linear(photo), 4.0)
    light = apply_ccm(scene, profile.srgb_to_camera) * (2.0**exposure / 2.0)
    sensor = apply_gains(light, [1 / gain for gain in profile.gains]).clamp(0, 1)
    noisy = add_noise(mosaic(sensor, profile.cfa), noise_levels(1e-4), _generator(1))
    bayer = torch.from_numpy(profile.normalise(profile.quantise(noisy[0].numpy()))).unsqueeze(0)
    developed = demosaic(bayer, profile.cfa, "malvar", gains=profile.gains)
    srgb = compress_jpeg(apply_isp(developed, profile, ISPSettings(exposure=1.0, contrast=0.5)), 95)
    pair = simulate(photo, SIMULATED, exposure=exposure, generator=_generator(1))
    assert torch.equal(pair.bayer, bayer)
    assert torch.equal(pair.srgb, srgb)


def test_recorded_sums():
    """Sums of 8-bit and 10-bit values; a platform may round a few of them differently."""
    generator = _generator(5)
    torch.rand(2, 3, 65, 67, generator=generator)
    photo = torch.rand(3, 96, 120, generator=generator)
    photo[:, 20:70, 30:90] = 1.0
    pair = simulate(photo, SIMULATED, exposure=1.3, generator=_generator(1))
    assert (pair.srgb.double() * 255).sum().item() == pytest.approx(7041166, rel=1e-5)
    assert (pair.bayer.double() * 959 + 64).sum().item() == pytest.approx(6294538, rel=1e-5)


def test_headroom_reaches_beyond_the_jpeg_and_the_scene_beyond_the_sensor():
    photo = torch.full((3, 128, 256), 0.5)
    photo[:, 24:104, 24:104] = 1.0  # a large light: far above white
    photo[:, 60:66, 180:186] = 1.0  # a small one: just above
    pair = simulate(photo, SIMULATED, exposure=0.0, generator=_generator())
    green = pack(pair.bayer, SIMULATED.profile.cfa)[1]
    large, small, wall = green[28:36, 28:36].mean(), green[30:33, 90:93].mean(), green[55:60, 70:75].mean()
    assert large > 0.99
    assert 0.5 < small < 0.95
    assert wall < 0.2
    assert pair.srgb[:, 61:65, 181:185].mean() > 0.98


def test_inverted_camera_returns_the_photo():
    photo = torch.rand(3, 8, 8, generator=_generator()).repeat_interleave(8, 1).repeat_interleave(8, 2) * 0.6 + 0.2
    isp = ISPSettings(gamma=0.9, lift=0.01, highlights="shoulder", rolloff=0.8)
    camera = SimulatedCamera(
        SIMULATED.profile, contrast=0.8, shot_noise=1e-6, read_noise=0.0, jpeg_quality=None, isp=isp, invert=True
    )
    pair = simulate(photo, camera, generator=_generator())
    middles = (slice(None), slice(4, None, 8), slice(4, None, 8))
    torch.testing.assert_close(pair.srgb[middles], photo[middles], atol=0.03, rtol=0)
    assert not torch.allclose(
        simulate(photo, replace(camera, invert=False), generator=_generator()).srgb[middles],
        photo[middles],
        atol=0.1,
    )


def test_any_rendering_can_be_simulated():
    class Square:
        """Renders by a square root, in raw's own colours."""

        def develop(self, raw_rgb, place=None):
            return (2 * raw_rgb).clamp(0, 1).sqrt()

        def unprocess(self, srgb, place=None):
            return srgb.square() / 2

    camera = SimulatedCamera(SIMULATED.profile, rendering=Square(), shot_noise=1e-6, jpeg_quality=None)
    photo = torch.tensor([0.6, 0.5, 0.4]).view(3, 1, 1).expand(3, 32, 32)
    pair = simulate(photo, camera, generator=_generator())
    red, green_r, green_b, blue = pack(pair.bayer, camera.profile.cfa).mean(dim=(-2, -1)).tolist()
    np.testing.assert_allclose([red, green_r, green_b, blue], [0.18, 0.125, 0.125, 0.08], atol=0.003)
    torch.testing.assert_close(pair.srgb.mean(dim=(-2, -1)), photo[:, 0, 0], atol=0.01, rtol=0)
    brighter = simulate(photo, camera, exposure=1.0, generator=_generator())
    assert pack(brighter.bayer, camera.profile.cfa)[1].mean().item() == pytest.approx(0.25, abs=0.004)


def test_forward_isp_as_rendering_is_the_inverted_camera():
    camera = replace(SIMULATED, invert=True)
    given = replace(SIMULATED, rendering=ForwardISP(SIMULATED.profile, SIMULATED.settings))
    one, two = (simulate(_photo(), each, generator=_generator()) for each in (camera, given))
    assert torch.equal(one.bayer, two.bayer)
    assert torch.equal(one.srgb, two.srgb)


def test_lens_darkens_the_corners_and_the_camera_corrects_them():
    photo = torch.full((3, 64, 96), 0.5)
    lens = SimulatedCamera(SIMULATED.profile, shot_noise=1e-6, shading=(0.8, 0.2))
    dark = simulate(photo, lens, generator=_generator())
    plain = simulate(photo, replace(lens, shading=()), generator=_generator())
    expected = 1 / shading_gain(64, 96, lens.shading)
    ratio = dark.bayer / plain.bayer
    assert (ratio - expected).abs().mean() < 0.01
    corrected = simulate(photo, replace(lens, isp=ISPSettings(shading=(0.8, 0.2))), generator=_generator())
    assert (dark.srgb[:, 0, 0] < plain.srgb[:, 0, 0] - 0.1).all()
    assert (corrected.srgb - plain.srgb).abs().max() < 0.03
    crop = simulate(photo[:, :32, :32], lens, place=Place(0, 0, 64, 96), generator=_generator())
    assert (crop.bayer - dark.bayer[:, :32, :32]).abs().max() < 0.01


def test_full_well_above_the_converter_leaves_no_noise_in_saturated_samples():
    photo = torch.ones(3, 64, 64)
    noisy = SimulatedCamera(SIMULATED.profile, shot_noise=0.01, expansion=8.0)
    assert simulate(photo, noisy, exposure=2.0, generator=_generator()).bayer.std() > 0.02
    deep = replace(noisy, full_well=2.0)
    assert (simulate(photo, deep, exposure=2.0, generator=_generator()).bayer == 1).float().mean() > 0.98


def test_read_noise_is_the_one_given():
    camera = SimulatedCamera(SIMULATED.profile, shot_noise=1e-6, read_noise=4e-4)
    bayer = simulate(torch.full((3, 64, 64), 0.4), camera, generator=_generator()).bayer
    assert pack(bayer, camera.profile.cfa)[0].std().item() == pytest.approx(0.02, rel=0.1)


def test_gain_of_highlights_is_at_most_the_expansion():
    gain = highlight_gain(srgb_to_linear(_photo()), 5.0)
    assert gain.shape == (1, 96, 120)
    assert gain.min() >= 1
    assert 3 < gain.max() <= 5


def test_any_size_works():
    assert simulate(torch.rand(3, 17, 21), SIMULATED, generator=_generator()).bayer.shape == (1, 17, 21)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="headroom"):
        SimulatedCamera(SIMULATED.profile, headroom=0.5)
    with pytest.raises(ConfigError, match="jpeg_quality"):
        SimulatedCamera(SIMULATED.profile, jpeg_quality=100)
    with pytest.raises(ConfigError, match="chroma"):
        SimulatedCamera(SIMULATED.profile, jpeg_chroma="4:1:0")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="headroom and contrast"):
        SimulatedCamera(SIMULATED.profile, isp=ISPSettings(contrast=0.5))
    with pytest.raises(ConfigError, match="read_noise"):
        SimulatedCamera(SIMULATED.profile, read_noise=-1.0)
    with pytest.raises(ConfigError, match="shading"):
        SimulatedCamera(SIMULATED.profile, shading=(-3.0,))
    with pytest.raises(ShapeError, match="single image"):
        simulate(torch.rand(1, 3, 16, 16), SIMULATED, generator=_generator())
