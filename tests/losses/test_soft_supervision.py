"""Soft supervision against an independent computation, its noise, gradients, region and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from revisp.errors import ConfigError, ShapeError
from revisp.losses import create_loss, soft_supervision_loss

SHAPE = (2, 4, 6, 7)


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, y, error = (torch.rand(SHAPE, generator=generator) for _ in range(3))
    x[0, 0] = y[0, 0]  # no error: the deviation is 1/1024
    x[0, 1] += 2  # beyond the range: the deviation is 1
    return x, y, error


def region(seed=1):
    return (torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def reference(x, y, error, z, weight, factor):
    """The paper's equation in numpy, averaged over the region of each sample."""
    x, y, error, z = (value.detach().numpy().astype(np.float64) for value in (x, y, error, z))
    deviation = np.minimum(np.maximum(np.abs(x - y), 1 / 1024), 1)
    values = np.abs(x - (y + z * deviation)) + factor * np.abs(error - deviation)
    where = np.broadcast_to(weight.numpy() > 0, values.shape)
    return np.mean([sample[inside].mean() for sample, inside in zip(values, where, strict=True)])


@pytest.mark.parametrize("factor", [1e-3, 0.5])
@pytest.mark.parametrize("weight", [None, region()])
def test_value_is_the_papers_equation(weight, factor):
    x, y, error = images()
    torch.manual_seed(5)
    value = create_loss("soft_supervision", error_weight=factor)(x, y, weight, error=error)
    torch.manual_seed(5)
    z = torch.randn(SHAPE)
    everywhere = torch.ones(2, 1, 6, 7) if weight is None else weight
    assert value.item() == pytest.approx(reference(x, y, error, z, everywhere, factor), rel=1e-5)


def test_without_resampling_it_is_l1_of_raw_and_error():
    x, y, error = images()
    value = create_loss("soft_supervision", resample=False, error_weight=1)(x, y, region(), error=error)
    assert value.item() == pytest.approx(reference(x, y, error, torch.zeros(SHAPE), region(), 1), rel=1e-5)


def test_the_noise_follows_the_seed():
    x, y, error = images()
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(soft_supervision_loss(x, y, error=error).item())
    assert values[0] == values[1] != values[2]


def test_no_gradient_flows_through_the_deviation():
    x, y, error = images()
    x.requires_grad_()
    error.requires_grad_()
    torch.manual_seed(5)
    soft_supervision_loss(x, y, error=error, error_weight=0.5).backward()
    torch.manual_seed(5)
    deviation = (x.detach() - y).abs().clamp(1 / 1024, 1)
    soft = y + torch.randn(SHAPE) * deviation
    torch.testing.assert_close(x.grad, (x.detach() - soft).sign() / x.numel())
    torch.testing.assert_close(error.grad, 0.5 * (error.detach() - deviation).sign() / x.numel())


def test_what_lies_outside_the_region_does_not_matter():
    x, y, error = images()
    weight = region()
    torch.manual_seed(0)
    inside = soft_supervision_loss(x, y, weight, error=error)
    torch.manual_seed(0)
    elsewhere = [torch.where(weight > 0, value, 1 - value) for value in (x, error)]
    assert soft_supervision_loss(elsewhere[0], y, weight, error=elsewhere[1]).item() == inside.item()


def test_empty_region_is_zero_and_trains():
    x, y, error = images()
    x.requires_grad_()
    value = soft_supervision_loss(x, y, torch.zeros(2, 1, 6, 7), error=error)
    value.backward()
    assert value.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_half_precision_is_computed_in_float32():
    x, y, error = (value.bfloat16() for value in images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        value = soft_supervision_loss(x, y, error=error)
    torch.manual_seed(0)
    assert value.dtype == torch.float32
    assert torch.equal(value, soft_supervision_loss(x.float(), y.float(), error=error.float()))


def test_it_asks_for_the_error_on_linear_raw():
    loss = create_loss("soft_supervision")
    assert loss.needs == ("error",)
    assert loss.linear


def test_wrong_arguments_are_refused():
    x, y, error = images()
    with pytest.raises(ShapeError, match="predicted error"):
        soft_supervision_loss(x, y, error=error[:, :1])
    with pytest.raises(ShapeError, match="predicted error must be floating"):
        soft_supervision_loss(x, y, error=error.int())
    with pytest.raises(ShapeError, match="share one shape"):
        soft_supervision_loss(x, y[:, :1], error=error)
    with pytest.raises(ConfigError, match="error_weight"):
        create_loss("soft_supervision", error_weight=-1)
