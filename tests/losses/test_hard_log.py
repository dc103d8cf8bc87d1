"""L1 of logarithms: its definition, relative errors, the floor, and refusals."""

import numpy as np
import pytest
import torch

from revisp.errors import ConfigError
from revisp.losses import WeightedSum, create_loss


def images(seed=0, shape=(2, 4, 10, 12)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator) - 0.1, torch.rand(shape, generator=generator)


def test_value_is_the_formula_averaged_over_the_region():
    x, y = images()
    weight = (torch.rand(2, 1, 10, 12, generator=torch.Generator().manual_seed(1)) > 0.4).float()
    error = np.abs(np.log(np.maximum(x.numpy(), 0.01)) - np.log(np.maximum(y.numpy(), 0.01)))
    within = np.broadcast_to(weight.numpy() > 0, error.shape)
    inside = np.mean([sample[where].mean() for sample, where in zip(error, within, strict=True)])
    loss = create_loss("hard_log", eps=0.01)
    assert loss(x, y).item() == pytest.approx(error.mean(), rel=1e-5)
    assert loss(x, y, weight).item() == pytest.approx(inside, rel=1e-5)


def test_a_ratio_costs_the_same_at_every_brightness_and_nothing_below_the_floor():
    bright, dark = torch.full((1, 3, 4, 4), 0.8), torch.full((1, 3, 4, 4), 0.008)
    loss = create_loss("hard_log")
    assert loss(bright / 2, bright).item() == pytest.approx(np.log(2), rel=1e-5)
    assert loss(dark / 2, dark).item() == pytest.approx(np.log(2), rel=1e-5)
    assert loss(torch.full_like(dark, -0.5), torch.full_like(dark, 1e-4)).item() == 0


def test_black_and_negative_predictions_learn_with_the_l1_of_cycleisp():
    x, y = images(2)
    x = x.requires_grad_()
    total, terms = WeightedSum({"l1": 1.0, "hard_log": 1.0})(x, y)
    total.backward()
    assert set(terms) == {"l1", "hard_log"}
    assert x.grad.isfinite().all()
    assert (x.grad != 0).all()


def test_eps_must_be_positive():
    with pytest.raises(ConfigError, match="eps"):
        create_loss("hard_log", eps=0)
