"""Reflect padding, against NumPy's and under the Bayer phase."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA, sample_mask
from revisp.errors import ShapeError
from revisp.padding import pad_to_multiple, reflect_pad

sides = st.integers(2, 7)
widths = st.integers(0, 20)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="np.pad of NumPy 1 reflects wrongly")
@settings(deadline=None, derandomize=True)
@given(sides, sides, widths, widths, widths, widths)
def test_same_as_numpy_at_any_width(height, width, top, bottom, left, right):
    x = torch.arange(float(height * width)).reshape(1, height, width)
    expected = np.pad(x.numpy(), ((0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(reflect_pad(x, top, bottom, left, right).numpy(), expected)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(list(CFA)), sides, sides, widths, widths)
def test_phase_is_kept(cfa, height, width, top, left):
    padded = reflect_pad(sample_mask(cfa, height, width), top, 3, left, 5)
    assert torch.equal(padded, sample_mask(cfa.crop(-top, -left), *padded.shape[-2:]))


@settings(deadline=None, derandomize=True)
@given(sides, sides, st.integers(1, 32))
def test_pad_to_multiple_adds_the_least(height, width, multiple):
    x = torch.rand(1, 1, height, width)
    padded = pad_to_multiple(x, multiple)
    assert torch.equal(padded[..., :height, :width], x)
    for before, after in zip(x.shape[-2:], padded.shape[-2:], strict=True):
        assert after % multiple == 0
        assert after - before < multiple


def test_exports_at_any_size():
    class Pad(torch.nn.Module):
        def forward(self, x):
            return pad_to_multiple(x, 8)

    size = {1: torch.export.Dim("h", min=4), 2: torch.export.Dim("w", min=4)}
    program = torch.export.export(Pad(), (torch.rand(1, 9, 12),), dynamic_shapes=(size,)).module()
    x = torch.rand(1, 5, 16)
    assert torch.equal(program(x), pad_to_multiple(x, 8))


def test_a_single_row_cannot_be_reflected():
    with pytest.raises(ShapeError, match="at least 2"):
        reflect_pad(torch.zeros(1, 1, 5), 1, 0, 0, 0)
    assert reflect_pad(torch.zeros(1, 1, 5), 0, 0, 2, 2).shape == (1, 1, 9)
