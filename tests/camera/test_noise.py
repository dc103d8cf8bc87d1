"""Sensor noise: its variance, its published constants, its reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from revisp.camera.noise import NoiseLevels, add_noise, noise_levels, random_noise_levels
from revisp.errors import ConfigError


@pytest.mark.parametrize("signal", [0.0, 0.1, 0.9])
def test_variance_grows_with_the_signal(signal):
    levels = NoiseLevels(shot=0.01, read=1e-4)
    noisy = add_noise(torch.full((200_000,), signal), levels, torch.Generator().manual_seed(0))
    assert noisy.mean().item() == pytest.approx(signal, abs=1e-3)
    assert noisy.var().item() == pytest.approx(0.01 * signal + 1e-4, rel=0.02)


def test_negative_values_have_read_noise_only():
    noisy = add_noise(torch.full((100_000,), -0.5), NoiseLevels(0.01, 1e-4), torch.Generator().manual_seed(0))
    assert noisy.var().item() == pytest.approx(1e-4, rel=0.03)


def test_seed_decides():
    x = torch.rand(50)
    levels = noise_levels(0.01)
    one, two, other = (add_noise(x, levels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_random_levels_follow_the_published_line_in_natural_logarithms():
    generator = torch.Generator().manual_seed(0)
    shots, reads = np.log([random_noise_levels(generator) for _ in range(4000)]).T
    assert math.log(1e-4) <= shots.min() < math.log(1.1e-4)
    assert math.log(0.011) < shots.max() <= math.log(0.012)
    assert shots.mean() == pytest.approx((math.log(1e-4) + math.log(0.012)) / 2, abs=0.05)
    slope, offset = np.polyfit(shots, reads, 1)
    assert slope == pytest.approx(2.18, abs=0.02)
    assert offset == pytest.approx(1.20, abs=0.12)
    assert (reads - slope * shots - offset).std() == pytest.approx(0.26, abs=0.01)


def test_shot_noise_must_be_positive():
    with pytest.raises(ConfigError, match="positive"):
        noise_levels(0.0)
