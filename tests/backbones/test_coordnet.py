"""RGB2RAWCoordNet: its size, its position code, and what a pixel is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import create_backbone
from revisp.backbones.coordnet import _Context, _position_code, _SineLayer
from revisp.errors import ConfigError, ShapeError

TINY = {"width": 16, "context": 16, "vector": 4, "octaves": 4}


def test_the_published_network():
    with torch.device("meta"):
        network = create_backbone("coordnet", out_channels=4, head="packed").eval()
        x = torch.empty(1, 3, 504, 504)
    assert sum(parameter.numel() for parameter in network.parameters()) == 183_269
    assert sum(parameter.numel() for parameter in network.context.parameters()) == 3_001
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(x).shape == (1, 4, 252, 252)
    macs = counter.get_total_flops() / 2e9
    assert macs == pytest.approx(10.1, abs=0.05)
    film = 4 * 16 * 400  # multiply-adds, once an image here, once a pixel as published
    assert macs + film * (252 * 252 - 1) / 1e9 == pytest.approx(11.8, abs=0.05)


def test_position_code_is_that_of_pixel_centres():
    code = _position_code(4, 8, 3, torch.zeros(1, dtype=torch.double))
    assert code.shape == (4, 8, 14)
    torch.testing.assert_close(code[0, :, 0], torch.arange(-7, 8, 2) / 8.0, check_dtype=False)
    torch.testing.assert_close(code[:, 0, 1], torch.arange(-3, 4, 2) / 4.0, check_dtype=False)
    x, y = code[2, 5, :2].tolist()
    phases = [math.pi * 2**k * value for value in (x, y) for k in range(3)]
    expected = [math.sin(phase) for phase in phases] + [math.cos(phase) for phase in phases]
    torch.testing.assert_close(code[2, 5, 2:], torch.tensor(expected, dtype=torch.double))


def test_each_raw_pixel_sees_its_own_four_pixels():
    """With a context that is blind, the prediction depends on the 2x2 pixels of the place alone."""
    torch.manual_seed(0)
    network = create_backbone("coordnet", head="packed", **TINY).double()
    network.context.forward = lambda x: torch.zeros(len(x), 16, *x.shape[-2:], dtype=x.dtype)
    x = torch.rand(1, 3, 12, 16, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 4, 7].backward()
    assert (x.grad[0, :, 8:10, 14:16] != 0).all()
    assert x.grad.count_nonzero() == 3 * 4


def test_sines_start_with_the_variance_of_siren():
    torch.manual_seed(0)
    layer = _SineLayer(20, 64, 4)
    argument = layer.norm(layer.linear(torch.randn(1, 8, 8, 20))) * 30
    assert argument.std().item() == pytest.approx(1, abs=0.05)


def test_the_photos_vector_reaches_every_pixel_and_layer():
    torch.manual_seed(0)
    network = create_backbone("coordnet", **TINY).double()
    x = torch.rand(1, 3, 32, 32, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert (x.grad[0, :, -4:, -4:] != 0).any()
    assert all(layer.film.weight.grad.abs().sum() > 0 for layer in network.layers)


def test_context_is_the_sum_of_its_first_and_last_features():
    torch.manual_seed(0)
    context = _Context(3, 16)
    x = torch.rand(1, 3, 10, 12)
    context.rest = nn.Identity()
    torch.testing.assert_close(context(x), 2 * context.first(x))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_image_is_finite(value):
    network = create_backbone("coordnet", **TINY)
    y = network(torch.full((1, 3, 2, 6), value))
    y.square().mean().backward()
    assert y.shape == (1, 3, 2, 6)
    assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_odd_sides_are_refused():
    with pytest.raises(ShapeError, match="multiples of 2"):
        create_backbone("coordnet", **TINY)(torch.rand(1, 3, 8, 9))


@pytest.mark.parametrize("argument", ["width", "context", "vector", "octaves"])
def test_settings_that_cannot_work_are_refused(argument):
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("coordnet", **{argument: 0})
    with pytest.raises(ConfigError, match="depth=2"):
        create_backbone("coordnet", depth=2)
