"""Losses of an estimated rendering, by properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from revisp.losses.estimate import (
    curve_error,
    departure,
    headroom_surprise,
    level_error,
    match_colours,
    matched_error,
)

ALL = torch.ones(2, 1, 12, 12)


@pytest.fixture
def truth() -> Tensor:
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)) + 0.05


def test_colours_match_as_least_squares_do(truth: Tensor) -> None:
    light = truth**1.3
    matched, scaled = match_colours(light, truth, ALL)
    for mine, x, y in zip(matched, light.flatten(2), scaled, strict=True):
        solution = np.linalg.lstsq(x.T.numpy(), y.T.numpy(), rcond=None)[0]
        np.testing.assert_allclose(mine, (x.T.numpy() @ solution).T, atol=2e-3)


def test_exposure_and_colours_do_not_count(truth: Tensor) -> None:
    matrix = torch.tensor([[1.2, -0.1, 0.1], [0.2, 0.9, 0.0], [0.0, -0.2, 1.4]])
    changed = 3 * torch.einsum("ij,bjhw->bihw", matrix, truth**1.2)
    errors = [matched_error(*match_colours(light, truth, ALL), ALL) for light in (truth**1.2, changed)]
    torch.testing.assert_close(*errors, rtol=0.02, atol=1e-6)


def test_what_weighs_nothing_changes_nothing(truth: Tensor) -> None:
    seen = ALL.clone()
    seen[..., 6:] = 0
    spoilt = truth.clone()
    spoilt[..., 6:] = 50
    for light in (truth, spoilt):
        matched, scaled = match_colours(light, truth, seen)
        assert matched_error(matched, scaled, seen).max() < 1e-6
        assert departure(matched, scaled, seen).max() < 0.02
        assert level_error(light, truth, seen).max() == 0


def test_a_bent_response_departs_and_a_factor_does_not(truth: Tensor) -> None:
    flat = truth.flatten(2)
    assert (departure(0.5 * flat, flat, ALL) < 0.02).all()
    bent = departure(flat**1.5, flat, ALL)
    expected = (0.5 * flat[:, 1].log2()).std(dim=1, correction=0)
    torch.testing.assert_close(bent, expected, rtol=0.05, atol=0.01)


def test_photos_without_any_pixel_are_finite(truth: Tensor) -> None:
    light = truth.clone().requires_grad_()
    nothing = torch.zeros_like(ALL)
    matched, scaled = match_colours(light, truth, nothing)
    total = matched_error(matched, scaled, nothing) + departure(matched, scaled, nothing)
    (total + level_error(light, truth, nothing)).sum().backward()
    assert light.grad is not None
    assert light.grad.isfinite().all()


def test_curves_differ_by_their_logarithm() -> None:
    curve = torch.linspace(0, 1, 65)[None]
    assert curve_error(1.1 * curve, curve) == pytest.approx(curve_error(curve / 1.1, curve).item())
    assert curve_error(2 * curve, curve) > curve_error(1.1 * curve, curve) > 0


def test_the_least_surprising_headroom_is_the_mean_and_deviation() -> None:
    excess = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(1)) * 0.7 + 1.5
    clipped = torch.ones_like(excess)
    mean, deviation = excess.mean().view(1), excess.std(correction=0).view(1)
    best = headroom_surprise(excess, mean, deviation, clipped)
    for headroom, spread in ((1.1, 1.0), (0.9, 1.0), (1.0, 1.2), (1.0, 0.8)):
        assert headroom_surprise(excess, headroom * mean, spread * deviation, clipped) > best
    assert headroom_surprise(excess, mean, deviation, torch.zeros_like(excess)) == 0
