"""Gradings: what the formula says, and the ranges that they are drawn from."""

from __future__ import annotations

import pytest
import torch

from revisp.camera.grading import Grading, random_grading
from revisp.camera.isp import linear_to_srgb
from revisp.errors import ConfigError


def test_the_formula_by_hand() -> None:
    light = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64).view(3, 1, 1)
    grading = Grading(gains=(1.2, 1.0, 0.5), beta=0.5, gamma=0.8, contrast=1.1)
    x = torch.tensor([0.12, 0.2, 0.2], dtype=torch.float64) ** 0.8
    expected = 0.5 + 1.1 * (linear_to_srgb(1.5 * x / (0.5 + x)) - 0.5)
    torch.testing.assert_close(grading.develop(light, torch.eye(3)).flatten(), expected)


def test_matrix_comes_after_the_gains() -> None:
    light = torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64).view(3, 1, 1)
    swap = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    developed = Grading(gains=(0.5, 1.0, 1.0)).develop(light, swap).flatten()
    plain = Grading().develop(0.5 * light, torch.eye(3)).flatten()
    torch.testing.assert_close(developed, plain[[1, 0, 2]])


def test_draws_keep_to_the_ranges_and_repeat() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [random_grading(generator) for _ in range(300)]
    for values in (*zip(*((g.gains[0], g.gains[2], g.contrast) for g in drawn), strict=True),):
        assert 0.7 <= min(values) < 0.75
        assert 1.25 < max(values) <= 1.3
    assert all(g.gains[1] == 1 for g in drawn)
    assert torch.tensor([g.beta for g in drawn]).mean() == pytest.approx(0.6, abs=0.03)
    assert torch.tensor([g.gamma for g in drawn]).std() == pytest.approx(0.1, abs=0.02)
    assert random_grading(torch.Generator().manual_seed(0)) == drawn[0]


def test_what_is_not_positive_is_refused() -> None:
    with pytest.raises(ConfigError, match="positive"):
        Grading(beta=0.0)
