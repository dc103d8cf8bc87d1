"""Lens shading against the polynomial of the DNG specification."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisp.camera.place import Place
from revisp.camera.shading import apply_shading, correct_shading, shading_gain
from revisp.errors import ConfigError, ShapeError


def test_gain_is_the_polynomial_in_the_radius():
    gain = shading_gain(6, 9, [0.5, -0.2, 0.1], dtype=torch.float64)
    for row, column in ((0, 0), (2, 7), (5, 8)):
        radius = np.hypot(row - 2.5, column - 4.0) / np.hypot(3, 4.5)
        expected = 1 + 0.5 * radius**2 - 0.2 * radius**4 + 0.1 * radius**6
        assert gain[0, row, column].item() == pytest.approx(expected)


def test_frame_is_symmetric_with_its_least_gain_in_the_middle():
    gain = shading_gain(101, 151, [1.0])
    assert gain[0, 50, 75] == 1
    torch.testing.assert_close(gain, gain.flip(-1).flip(-2))
    assert gain[0, 0, 0].item() == pytest.approx(2.0, abs=0.03)  # one EV in the corners
    assert torch.equal(shading_gain(4, 5, []), torch.ones(1, 4, 5))


@given(st.integers(0, 20), st.integers(0, 30))
def test_crop_shades_as_its_part_of_the_frame(top, left):
    whole = shading_gain(40, 60, [0.3, 0.4])
    part = shading_gain(12, 16, [0.3, 0.4], Place(top, left, 40, 60))
    torch.testing.assert_close(part, whole[:, top : top + 12, left : left + 16])


def test_correction_undoes_the_falloff():
    raw = torch.rand(2, 4, 20, 30)
    dark = apply_shading(raw, [0.8, 0.3])
    assert (dark < raw).float().mean() > 0.99
    torch.testing.assert_close(correct_shading(dark, [0.8, 0.3]), raw)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="positive everywhere"):
        shading_gain(8, 8, [-5.0, 5.0])  # negative on the way, 1 in the corners
    with pytest.raises(ConfigError, match="positive everywhere"):
        shading_gain(8, 8, [float("nan")])
    with pytest.raises(ShapeError, match="floating"):
        apply_shading(torch.zeros(1, 8, 8, dtype=torch.int32), [0.1])
