"""Highlight roll-off: Reinhard's curve, its inverse, and what each mode does to colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisp.camera.highlights import inverse_roll_off, inverse_shoulder, roll_off, shoulder
from revisp.errors import ConfigError, ShapeError

KNEES = st.floats(0.1, 0.95)
WHITES = st.floats(1.0, 16.0)


@given(st.floats(0, 1), KNEES, WHITES)
def test_shoulder_is_inverted(share, knee, white):
    x = torch.tensor(share * white, dtype=torch.float64)
    assert inverse_shoulder(shoulder(x, knee, white), knee, white).item() == pytest.approx(x.item(), abs=1e-7)


def test_shoulder_without_knee_is_reinhards_operator():
    x = np.linspace(0, 4, 101)
    expected = x * (1 + x / 4**2) / (1 + x)  # equation 4 of the paper, white at 4
    np.testing.assert_allclose(shoulder(torch.from_numpy(x), 1e-12, 4.0).numpy(), expected, atol=1e-9)


def test_shoulder_begins_smoothly_and_ends_at_white():
    x = torch.tensor([0.2, 0.7, 0.7001, 4.0, 9.0], dtype=torch.float64)
    bent = shoulder(x, 0.7, 4.0)
    torch.testing.assert_close(bent[:2], x[:2])
    assert ((bent[2] - bent[1]) / (x[2] - x[1])).item() == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(bent[3:], torch.ones(2, dtype=torch.float64))
    assert (shoulder(torch.linspace(0, 4, 999), 0.7, 4.0).diff() > 0).all()


@pytest.mark.parametrize("mode", ["shoulder", "desaturate"])
@pytest.mark.parametrize("rolloff", [0.3, 1.0, 3.0])
def test_roll_off_is_inverted_below_white(mode, rolloff):
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(3, 40, 40, dtype=torch.float64, generator=generator) * 2**rolloff
    display = roll_off(light, mode, knee=0.6, rolloff=rolloff)
    assert display.min() >= 0
    assert display.max() <= 1
    back = inverse_roll_off(display, mode, knee=0.6, rolloff=rolloff)
    torch.testing.assert_close(back, light, atol=1e-8, rtol=0)


def test_clip_is_a_clip():
    light = torch.tensor([-0.5, 0.3, 1.7]).view(3, 1, 1)
    assert torch.equal(roll_off(light, "clip"), light.clamp(0, 1))
    assert torch.equal(inverse_roll_off(light.clamp(0, 1), "clip"), light.clamp(0, 1))


def test_desaturating_keeps_the_hue_that_the_shoulder_turns():
    orange = torch.tensor([1.6, 0.8, 0.4], dtype=torch.float64).view(3, 1, 1)
    bent = roll_off(orange, "desaturate", knee=0.5).flatten()
    assert ((bent[0] - bent[1]) / (bent[0] - bent[2])).item() == pytest.approx((1.6 - 0.8) / (1.6 - 0.4))
    saturation = (bent[0] - bent[2]) / bent[0]
    assert saturation < (1.6 - 0.4) / 1.6
    turned = roll_off(orange, "shoulder", knee=0.5).flatten()
    assert ((turned[0] - turned[1]) / (turned[0] - turned[2])).item() < 0.6


def test_nearly_white_photos_come_back_without_wild_colours():
    photo = torch.tensor([1.0, 0.98, 0.99]).view(3, 1, 1)
    light = inverse_roll_off(photo, "desaturate", rolloff=1.0).flatten()
    assert light.max().item() == pytest.approx(2.0)
    assert (light.max() - light.min()) / light.max() <= 4 * 0.021


@pytest.mark.parametrize("mode", ["shoulder", "desaturate"])
def test_derivative_is_right(mode):
    light = torch.rand(3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 1.6 + 0.1
    assert torch.autograd.gradcheck(lambda x: roll_off(x, mode), light.requires_grad_())


def test_wrong_arguments_are_refused():
    light = torch.rand(3, 2, 2)
    with pytest.raises(ConfigError, match="one of clip, shoulder, desaturate"):
        roll_off(light, "filmic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="knee"):
        roll_off(light, "shoulder", knee=1.0)
    with pytest.raises(ConfigError, match="rolloff"):
        inverse_roll_off(light, "shoulder", rolloff=-1.0)
    with pytest.raises(ShapeError):
        roll_off(torch.rand(1, 2, 2), "clip")
