"""ReRAW's loss against a NumPy reading of its definition, and where logarithm and power have no gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from revisp.errors import ConfigError, ShapeError
from revisp.losses import create_loss, log_gamma_loss

GAMMAS = (1.0, 0.5, 0.1)


def example(seed=0, channels=4, size=(5, 6), batch=2):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64)
    shift = 0.4 * torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64) - 0.2
    candidates = torch.rand(batch, 3 * channels, *size, generator=generator, dtype=torch.float64)
    return target + shift, target, candidates


def directly(prediction, target, candidates, weight=None):
    """Sample by sample, candidate by candidate; all errors below 1 - margin."""
    prediction, target, candidates = prediction.numpy(), target.numpy(), candidates.numpy()
    values = []
    for b in range(len(target)):
        inside = np.ones(target.shape[2:], bool) if weight is None else weight[b, 0].numpy() > 0
        channels = len(target[b])
        errors = [prediction[b] - target[b]]
        for i, gamma in enumerate(GAMMAS):
            errors.append(candidates[b, i * channels : (i + 1) * channels] - np.power(target[b], gamma))
        values.append(np.mean([-np.log(1 - np.abs(error))[:, inside].mean() for error in errors]))
    return np.mean(values)


@pytest.mark.parametrize("channels", [3, 4])
def test_value_is_the_definition(channels):
    prediction, target, candidates = example(channels=channels)
    expected = directly(prediction, target, candidates)
    loss = create_loss("log_gamma", gammas=GAMMAS, margin=1e-9)
    assert loss(prediction, target, gamma_heads=candidates).item() == pytest.approx(expected, rel=1e-9)
    value = loss(prediction.float(), target.float(), gamma_heads=candidates.bfloat16().float())
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=2e-2)


def test_value_within_a_region_is_the_definition():
    prediction, target, candidates = example(1)
    weight = (torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(3)) > 0.5).double()
    value = log_gamma_loss(prediction, target, weight, gamma_heads=candidates, gammas=GAMMAS, margin=1e-9)
    assert value.item() == pytest.approx(directly(prediction, target, candidates, weight), rel=1e-9)


def test_nothing_outside_the_region_has_an_influence():
    prediction, target, candidates = example(2)
    weight = torch.zeros(2, 1, 5, 6, dtype=torch.float64)
    weight[0, :, 1:3, 2:5] = 1
    prediction.requires_grad_()
    candidates.requires_grad_()
    log_gamma_loss(prediction, target, weight, gamma_heads=candidates, gammas=GAMMAS).backward()
    for gradient in (prediction.grad, candidates.grad):
        outside = (weight == 0).expand_as(gradient)
        assert (gradient[outside] == 0).all()
        assert (gradient[~outside] != 0).all()


def test_it_is_zero_for_perfect_candidates_and_for_an_empty_region():
    prediction, target, candidates = example(3)
    perfect = torch.cat([target**gamma for gamma in GAMMAS], dim=1)
    assert log_gamma_loss(target, target, gamma_heads=perfect, gammas=GAMMAS).item() == 0
    empty = torch.zeros(2, 1, 5, 6)
    assert log_gamma_loss(prediction, target, empty, gamma_heads=candidates, gammas=GAMMAS).item() == 0


def test_black_targets_and_huge_errors_are_finite_and_still_pull():
    target = torch.zeros(1, 3, 2, 2, requires_grad=True)
    prediction = torch.full((1, 3, 2, 2), -7.0, requires_grad=True)
    candidates = torch.full((1, 9, 2, 2), 1.0, requires_grad=True)
    value = log_gamma_loss(prediction, target, gamma_heads=candidates, gammas=GAMMAS, margin=0.01)
    value.backward()
    # -log(0.01) + 100 * (error - 0.99): 605.6 for the result, 5.605 for each candidate
    assert value.item() == pytest.approx((605.605 + 3 * 5.605) / 4, rel=1e-4)
    assert target.grad is None
    assert (prediction.grad < 0).all()
    assert (candidates.grad > 0).all()


def test_the_tangent_joins_without_a_kink():
    def slope(error):
        x = torch.full((1, 1, 1, 1), error, dtype=torch.float64, requires_grad=True)
        zero = torch.zeros_like(x)
        log_gamma_loss(x, zero, gamma_heads=zero, gammas=(1.0,), margin=0.1).backward()
        return x.grad.item()

    assert slope(0.9 - 1e-6) == pytest.approx(slope(0.9 + 1e-6), rel=1e-4)


def test_gradient_is_the_derivative():
    prediction, target, candidates = example(4, channels=1, size=(2, 3), batch=1)
    weight = torch.rand(1, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(x, heads):
        return log_gamma_loss(x, target, weight, gamma_heads=heads, gammas=GAMMAS)

    assert torch.autograd.gradcheck(loss, (prediction.requires_grad_(), candidates.requires_grad_()))


def test_what_does_not_fit_is_refused():
    prediction, target, candidates = example()
    with pytest.raises(ShapeError, match=r"3 gammas must have shape \[2, 12, 5, 6\], got \[2, 8, 5, 6\]"):
        log_gamma_loss(prediction, target, gamma_heads=candidates[:, :8], gammas=GAMMAS)
    with pytest.raises(ShapeError, match="gamma_heads must be floating point"):
        log_gamma_loss(prediction, target, gamma_heads=candidates.byte(), gammas=GAMMAS)
    for settings in ({"gammas": []}, {"gammas": [0.5, 0]}, {"margin": 0.0}, {"margin": 1.0}):
        with pytest.raises(ConfigError, match="log_gamma"):
            create_loss("log_gamma", **settings)
