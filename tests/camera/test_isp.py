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
    apply_isp,
    inverse_tone_curve,
    linear_to_srgb,
    srgb_to_linear,
    tone_curve,
)
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, ShapeError

PROFILE = SIMULATED.profile


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


@given(st.floats(0, 1), st.floats(0, 1))
def test_tone_curve_is_inverted(value, contrast):
    x = torch.tensor(value, dtype=torch.float64)
    back = inverse_tone_curve(tone_curve(x, contrast), contrast).item()
    assert back == pytest.approx(value, abs=1e-6)  # the slope at 0 and 1 vanishes for contrast 1


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


def test_module_is_the_function():
    raw = torch.rand(1, 3, 4, 4)
    settings = ISPSettings(exposure=1.0, contrast=0.2)
    assert torch.equal(ForwardISP(PROFILE, settings)(raw), apply_isp(raw, PROFILE, settings))


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="contrast"):
        ISPSettings(contrast=1.5)
    with pytest.raises(ShapeError, match="floating"):
        apply_isp(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), PROFILE)
    with pytest.raises(ShapeError):
        apply_isp(torch.zeros(1, 4, 4, 4), PROFILE)
