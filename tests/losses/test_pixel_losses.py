"""Pixel losses: values by hand, the region rule, and refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.errors import ConfigError, ShapeError, UnknownNameError
from revisp.losses import create_loss, list_losses

PIXEL = ("l1", "l2", "charbonnier")
OFFLINE = (*PIXEL, "hard_log", "ssim", "ms_ssim_l1")


def images(seed, shape=(2, 3, 12, 14)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def region(seed, shape=(2, 1, 12, 14)):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def test_registry_names_every_loss():
    assert set(list_losses()) >= {*OFFLINE, "lpips"}
    with pytest.raises(UnknownNameError, match="'charbonnier'"):
        create_loss("charbonier")
    with pytest.raises(ConfigError, match="'l1'"):
        create_loss("l1", alpha=1)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("l1", np.abs),
        ("l2", np.square),
        ("charbonnier", lambda d: np.sqrt(d**2 + 1e-6) - 1e-3),
    ],
)
def test_value_is_the_formula_averaged_over_the_region(name, formula):
    x, y = images(0)
    weight = region(1)
    error = formula(x.double().numpy() - y.double().numpy())
    mean = error.mean()
    within = np.broadcast_to(weight.numpy() > 0, error.shape)
    inside = np.mean([sample[where].mean() for sample, where in zip(error, within, strict=True)])
    loss = create_loss(name)
    assert loss(x, y).item() == pytest.approx(mean, rel=1e-5)
    assert loss(x, y, weight).item() == pytest.approx(inside, rel=1e-5)
    assert loss(x, y, 0.25 * weight).item() == pytest.approx(inside, rel=1e-5)


@pytest.mark.parametrize("name", OFFLINE)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(3, 40), width=st.integers(3, 40))
def test_properties_of_every_loss(name, seed, height, width):
    x, y = images(seed, (2, 3, height, width))
    weight = region(seed + 1, (2, 1, height, width))
    weight[:, :, 0, 0], weight[:, :, -1, -1] = 1, 0
    loss = create_loss(name)
    assert loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert loss(x, x, weight).item() == pytest.approx(0, abs=1e-6)
    assert loss(x, y).item() > 0
    # what lies outside the region does not matter
    elsewhere = torch.where(weight > 0, x, 1 - x)
    assert loss(elsewhere, y, weight).item() == loss(x, y, weight).item()
    # an image without a region adds nothing
    weight[1] = 0
    assert loss(x, y, weight).item() == pytest.approx(loss(x[:1], y[:1], weight[:1]).item(), rel=1e-4)


@pytest.mark.parametrize("name", OFFLINE)
def test_wrong_arguments_are_refused(name):
    x, y = images(4)
    loss = create_loss(name)
    with pytest.raises(ShapeError, match="floating point"):
        loss((255 * x).byte(), (255 * y).byte())
    with pytest.raises(ShapeError, match="share one shape"):
        loss(x, y[:, :1])
    with pytest.raises(ShapeError, match=r"weight .* \[B, 1, H, W\]"):
        loss(x, y, torch.ones(2, 1, 6, 7))
    with pytest.raises(ShapeError, match="weight"):
        loss(x, y, torch.ones(2, 3, 12, 14))


def test_charbonnier_needs_a_positive_eps():
    with pytest.raises(ConfigError, match="eps"):
        create_loss("charbonnier", eps=0)


def test_a_large_region_does_not_outvote_a_small_one():
    x, y = torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)
    y[0], y[1] = 0.1, 0.5
    weight = torch.zeros(3, 1, 8, 8)
    weight[0], weight[1, :, 0, 0] = 1, 1  # a whole image, one pixel, none
    assert create_loss("l1")(x, y, weight).item() == pytest.approx((0.1 + 0.5) / 2)
