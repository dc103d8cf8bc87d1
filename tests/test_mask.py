"""Overexposure masks, against cases worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from revisp.errors import ConfigError, ShapeError
from revisp.mask import THRESHOLDS, OverexposureMask, overexposure_mask, split_target


def row(*pixels: tuple[float, float, float]) -> torch.Tensor:
    """An image [1, 3, 1, W] of the given pixels."""
    return torch.tensor(pixels).T[None, :, None]


def grey(*values: float) -> torch.Tensor:
    return row(*((value, value, value) for value in values))


def test_hard_luma_by_hand():
    # 0.587 + 0.114 + 0.299 r >= 0.978 from r = 0.9264 on; pure yellow has luma 0.886.
    x = row((1, 1, 1), (0.93, 1, 1), (0.92, 1, 1), (1, 1, 0), (0, 0, 0))
    assert overexposure_mask(x).flatten().tolist() == [1, 1, 0, 0, 0]


def test_hard_max_by_hand():
    x = row((1, 0, 0), (0.2, 0.99, 0.1), (0.98, 0.98, 0.98), (0, 0, 1))
    assert overexposure_mask(x, kind="max").flatten().tolist() == [1, 1, 0, 1]


def test_eight_bit_limits_of_the_released_masks():
    """Grey 249 of 255 is below the luma threshold, 250 above; 252 and 253 for max."""
    x = grey(*(value / 255 for value in (249, 250, 252, 253)))
    assert overexposure_mask(x, kind="luma").flatten().tolist() == [0, 1, 1, 1]
    assert overexposure_mask(x, kind="max").flatten().tolist() == [0, 0, 0, 1]


def test_upi_form_is_expressible_exactly():
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 0.1
    g = x.numpy().mean(axis=1, keepdims=True)
    upi = (np.maximum(g - 0.9, 0) / 0.1) ** 2
    ours = overexposure_mask(x, kind="mean", threshold=1.0, ramp=0.1).numpy()
    assert (ours > 0).sum() > 500
    np.testing.assert_allclose(ours, upi, atol=1e-14)


def test_soft_ramp_by_hand():
    x = grey(0.5, 0.8, 0.85, 0.9, 1.0)
    soft = overexposure_mask(x, kind="max", threshold=0.9, ramp=0.1).flatten()
    torch.testing.assert_close(soft, torch.tensor([0.0, 0.0, 0.25, 1.0, 1.0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_white_is_overexposed_and_black_is_not(kind):
    for ramp in (0.0, 0.05):
        mask = overexposure_mask(grey(1.0, 0.0), kind=kind, ramp=ramp).flatten()
        torch.testing.assert_close(mask, torch.tensor([1.0, 0.0]))


def test_a_narrow_ramp_tends_to_the_hard_mask():
    x = torch.linspace(0.9, 1, 101).expand(1, 3, 1, 101)
    off_border = (x[:, :1] - 0.95).abs() > 2e-4
    hard, soft = (overexposure_mask(x, kind="max", threshold=0.95, ramp=ramp) for ramp in (0.0, 1e-4))
    torch.testing.assert_close(hard[off_border], soft[off_border])


def test_dilation_grows_a_square_and_stops_at_the_border():
    x = torch.zeros(1, 3, 7, 9)
    x[..., 1, 4] = 1
    mask = overexposure_mask(x, dilation=2)[0, 0]
    expected = torch.zeros(7, 9)
    expected[0:4, 2:7] = 1
    assert torch.equal(mask, expected)
    assert torch.equal(overexposure_mask(x[0], dilation=2)[0], expected)


def test_leading_axes_are_free():
    x = torch.rand(2, 4, 3, 5, 6)
    assert overexposure_mask(x, dilation=1).shape == (2, 4, 1, 5, 6)


def test_soft_mask_passes_gradients():
    x = grey(0.85).requires_grad_()
    overexposure_mask(x, kind="mean", threshold=0.9, ramp=0.1).sum().backward()
    # d/ds ((s - 0.8) / 0.1)^2 = 2 * 0.5 / 0.1 = 10, shared by three channels.
    torch.testing.assert_close(x.grad.flatten(), torch.full((3,), 10 / 3), atol=1e-3, rtol=0)


def test_split_target_by_hand():
    target = torch.full((1, 3, 1, 3), 0.8)
    mask = torch.tensor([[[[1.0, 0.0, 0.25]]]])
    oe, noe = split_target(target, mask)
    torch.testing.assert_close(oe[0, 0, 0], torch.tensor([0.8, 0.0, 0.2]))
    torch.testing.assert_close(noe[0, 2, 0], torch.tensor([0.0, 0.8, 0.6]))


def test_module_is_rebuilt_from_json():
    module = OverexposureMask(kind="max", ramp=0.05, dilation=1)
    arguments = {name: getattr(module, name) for name in ("kind", "threshold", "ramp", "dilation")}
    again = OverexposureMask(**json.loads(json.dumps(arguments)))
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(x), again(x))
    assert module(x).sum() > 0
    assert "kind='max', threshold=0.99, ramp=0.05, dilation=1" in repr(module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "hue"}, "unknown mask kind 'hue'"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": 0.5, "ramp": 0.6}, "ramp"),
        ({"ramp": -0.1}, "ramp"),
        ({"dilation": -1}, "dilation"),
        ({"dilation": 1.5}, "dilation"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        OverexposureMask(**arguments)
    with pytest.raises(ConfigError, match=message):
        overexposure_mask(torch.zeros(1, 3, 2, 2), **arguments)


def test_bad_tensors_are_refused():
    with pytest.raises(ShapeError, match="floating point"):
        overexposure_mask(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    with pytest.raises(ShapeError, match="differ in size"):
        split_target(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 5))
