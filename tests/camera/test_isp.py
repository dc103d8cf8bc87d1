"""The forward ISP against formulas written out in NumPy and the standard's own figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisp.camera.isp import (
    ForwardISP,
    ISPSettings,
    apply_ccm,
    apply_gains,
    apply_isp,
    inverse_tone_curve,
    invert_isp,
    linear_to_srgb,
    srgb_to_linear,
    tone_curve,
)
from revisp.camera.place import Place
from revisp.camera.shading import apply_shading
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, ShapeError

PROFILE = SIMULATED.profile

POINTWISE = [
    ISPSettings(),
    ISPSettings(exposure=-0.5, contrast=0.6, gamma=0.9, lift=0.02),
    ISPSettings(exposure=0.7, contrast=1.0, highlights="shoulder", knee=0.5, rolloff=0.7),
    ISPSettings(exposure=0.7, contrast=0.2, highlights="desaturate", rolloff=0.7, shading=(0.4, 0.3)),
]


def test_srgb_transfer_function_agrees_with_colour_science():
    colour = pytest.importorskip("colour")
    linear = np.linspace(0, 1, 501)
    ours = linear_to_srgb(torch.from_numpy(linear)).numpy()
    np.testing.assert_allclose(ours, colour.models.eotf_inverse_sRGB(linear), atol=1e-6)
    assert srgb_to_linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)


@given(st.floats(0, 1))
def test_srgb_decoding_undoes_encoding(value):
    x = torch.tensor(value, dtype=torch.float64)
    assert srgb_to_linear(linear_to_srgb(x)).item() == pytest.approx(value, abs=1e-7)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 2), st.floats(0, 0.5))
def test_tone_curve_is_inverted(value, contrast, gamma, lift):
    x = torch.tensor(value, dtype=torch.float64)
    back = inverse_tone_curve(tone_curve(x, contrast), contrast).item()
    assert back == pytest.approx(value, abs=1e-6)  # the slope at 0 and 1 vanishes for contrast 1
    toned = tone_curve(x, contrast, gamma, lift)
    # That of gamma 2 at 0 vanishes too, so compare what the curve makes of it.
    again = tone_curve(inverse_tone_curve(toned, contrast, gamma, lift), contrast, gamma, lift)
    assert again.item() == pytest.approx(toned.item(), abs=2e-6)  # rounding near 0, taken to the root


def test_gamma_and_lift_bend_the_curve():
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    bent = tone_curve(x, 0.3, 0.8, 0.05)
    assert bent[0].item() == pytest.approx(0.05)
    assert bent[-1].item() == pytest.approx(1.0)
    assert (bent.diff() > 0).all()
    powered = x**0.8
    smoothstep = 0.7 * powered + 0.3 * (3 * powered**2 - 2 * powered**3)
    torch.testing.assert_close(bent, 0.05 + 0.95 * smoothstep)


def test_full_contrast_inverse_is_the_inverse_smoothstep_of_upi():
    y = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(inverse_tone_curve(y, 1.0), 0.5 - torch.sin(torch.asin(1 - 2 * y) / 3))


def test_tone_curve_darkens_shadows_and_brightens_lights():
    toned = tone_curve(torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0]), 0.6)
    assert toned[0] == 0
    assert toned[1] < 0.2
    assert toned[2].item() == pytest.approx(0.5)
    assert toned[3] > 0.8
    assert toned[4] == 1


def test_rendering_agrees_with_numpy():
    raw = torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    balanced = np.clip(raw.numpy() * np.reshape([2.1, 1.0, 1.7], (3, 1, 1)), 0, 1)
    linear = np.einsum("ij,bjhw->bihw", PROFILE.camera_to_srgb, balanced) * 2**0.5
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    expected = 0.7 * encoded + 0.3 * (3 * encoded**2 - 2 * encoded**3)
    ours = apply_isp(raw, PROFILE, ISPSettings(exposure=0.5, contrast=0.3))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)


def test_neutral_object_renders_grey_and_saturated_sensor_white():
    grey = 0.3 * torch.tensor(PROFILE.as_shot_neutral).view(3, 1, 1).expand(3, 4, 4)
    rendered = apply_isp(grey, PROFILE)
    assert (rendered.amax(0) - rendered.amin(0)).max() < 1e-5
    torch.testing.assert_close(apply_isp(torch.ones(3, 4, 4), PROFILE), torch.ones(3, 4, 4))


def test_gradient_reaches_unclipped_pixels_only():
    raw = torch.full((3, 1, 2), 0.1, dtype=torch.float64)
    raw[..., 1] = 0.99
    raw.requires_grad_()
    apply_isp(raw, PROFILE, ISPSettings(exposure=1.0, contrast=0.5)).sum().backward()
    assert raw.grad is not None
    assert (raw.grad[..., 0] != 0).all()
    assert (raw.grad[..., 1] == 0).all()


def test_derivative_is_right():
    raw = torch.rand(3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.1
    assert torch.autograd.gradcheck(
        lambda x: apply_isp(x, PROFILE, ISPSettings(contrast=0.5)), raw.requires_grad_()
    )


@pytest.mark.parametrize("exposure", [0.0, 1.0, -0.3])
@pytest.mark.parametrize("contrast", [0.0, 0.5, 1.0])
def test_plain_settings_render_bit_for_bit_as_the_first_release(exposure, contrast):
    """The shipped model was trained on these values."""
    raw = torch.rand(2, 3, 33, 35, generator=torch.Generator().manual_seed(0)) * 1.1 - 0.02
    balanced = apply_gains(raw, PROFILE.gains).clamp(0, 1)
    linear = (apply_ccm(balanced, PROFILE.camera_to_srgb) * 2.0**exposure).clamp(0, 1)
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    x = torch.where(linear <= 0.0031308, 12.92 * linear, curved)
    expected = (1 - contrast) * x + contrast * x.square() * (3 - 2 * x)
    assert torch.equal(apply_isp(raw, PROFILE, ISPSettings(exposure, contrast)), expected)


@pytest.mark.parametrize("settings", POINTWISE)
def test_inverse_undoes_every_pixel_that_was_not_clipped(settings):
    generator = torch.Generator().manual_seed(0)
    grey = torch.rand(1, 24, 30, dtype=torch.float64, generator=generator) * 0.9
    linear = grey * (1 + 0.2 * torch.rand(3, 24, 30, dtype=torch.float64, generator=generator))
    raw = apply_gains(apply_ccm(linear, PROFILE.srgb_to_camera), [1 / gain for gain in PROFILE.gains])
    srgb = apply_isp(raw, PROFILE, settings)
    inside = ((srgb > settings.lift) & (srgb < 0.9999)).all(dim=0)
    inside &= apply_gains(raw, PROFILE.gains).amax(dim=0) * (1 + sum(settings.shading)) < 1
    assert inside.float().mean() > 0.3
    back = invert_isp(srgb, PROFILE, settings)
    torch.testing.assert_close(back[:, inside], raw[:, inside], atol=1e-5, rtol=0)


def test_inverse_puts_the_white_of_the_photo_at_the_clip():
    white = invert_isp(torch.ones(3, 2, 2), PROFILE, ISPSettings(exposure=1.0))
    torch.testing.assert_close(white[:, 0, 0], 0.5 * torch.tensor(PROFILE.as_shot_neutral))
    shouldered = ISPSettings(exposure=1.0, highlights="shoulder", rolloff=0.4)
    bright = invert_isp(torch.ones(3, 2, 2), PROFILE, shouldered)
    torch.testing.assert_close(bright, white * 2**0.4)


def test_shoulder_shows_what_the_clip_hides():
    levels = torch.tensor([0.55, 0.6]).view(1, 1, 2) * torch.tensor(PROFILE.as_shot_neutral).view(3, 1, 1)
    clipped = apply_isp(levels, PROFILE, ISPSettings(exposure=1.0))
    rolled = apply_isp(levels, PROFILE, ISPSettings(exposure=1.0, highlights="shoulder"))
    assert (clipped[..., 0] == clipped[..., 1]).all()
    assert (rolled[..., 1] - rolled[..., 0] > 0.005).all()


def test_shading_correction_flattens_a_falling_frame_and_its_crops():
    flat = (0.3 * torch.tensor(PROFILE.as_shot_neutral)).view(3, 1, 1).expand(3, 30, 40)
    settings = ISPSettings(shading=(0.6, 0.2))
    srgb = apply_isp(apply_shading(flat, settings.shading), PROFILE, settings)
    torch.testing.assert_close(srgb, apply_isp(flat, PROFILE), atol=1e-6, rtol=0)
    place = Place(4, 8, 30, 40)
    crop = apply_isp(apply_shading(flat, settings.shading)[:, 4:14, 8:20], PROFILE, settings, place)
    torch.testing.assert_close(crop, srgb[:, 4:14, 8:20])


def test_neighbourhood_steps_run_where_asked():
    raw = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.3
    plain = apply_isp(raw, PROFILE)
    assert apply_isp(raw, PROFILE, ISPSettings(local_tone=0.3)).mean() > plain.mean()
    assert apply_isp(raw, PROFILE, ISPSettings(denoise=0.1)).std() < plain.std()
    sharp = apply_isp(raw, PROFILE, ISPSettings(sharpening=1.0))
    assert sharp.std() > plain.std()
    assert sharp.min() >= 0
    assert sharp.max() <= 1


@pytest.mark.parametrize(
    "settings",
    [*POINTWISE[1:], ISPSettings(local_tone=0.3, local_radius=2, denoise=0.05, sharpening=0.4, exposure=-0.5)],
)
def test_every_step_has_its_derivative(settings):
    raw = torch.rand(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.15
    assert torch.autograd.gradcheck(lambda x: apply_isp(x, PROFILE, settings), raw.requires_grad_())


def test_black_has_a_finite_gradient():
    raw = torch.zeros(3, 2, 2, requires_grad=True)
    apply_isp(raw, PROFILE, ISPSettings(gamma=0.8, highlights="desaturate")).sum().backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


def test_module_is_the_function():
    raw = torch.rand(1, 3, 4, 4)
    settings = ISPSettings(exposure=1.0, contrast=0.2)
    module = ForwardISP(PROFILE, settings)
    assert torch.equal(module(raw), apply_isp(raw, PROFILE, settings))
    assert torch.equal(module.develop(raw), module(raw))
    assert torch.equal(module.unprocess(raw), invert_isp(raw, PROFILE, settings))


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="contrast"):
        ISPSettings(contrast=1.5)
    with pytest.raises(ConfigError, match="gamma"):
        ISPSettings(gamma=0.0)
    with pytest.raises(ConfigError, match="one of clip"):
        ISPSettings(highlights="blend")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="local_tone"):
        ISPSettings(local_tone=1.0)
    with pytest.raises(ConfigError, match="sharpening"):
        ISPSettings(sharpening=-1.0)
    with pytest.raises(ConfigError, match="shading"):
        ISPSettings(shading=(-2.0,))
    with pytest.raises(ShapeError, match="floating"):
        apply_isp(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), PROFILE)
    with pytest.raises(ShapeError):
        apply_isp(torch.zeros(1, 4, 4, 4), PROFILE)
