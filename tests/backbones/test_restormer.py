"""Restormer and its blocks: sizes, the maths of attention, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import BACKBONES, create_backbone
from revisp.backbones.blocks.transformer import (
    BiasFreeLayerNorm2d,
    Downsample,
    GatedFeedForward,
    TransposedAttention,
    Upsample,
)
from revisp.errors import ConfigError, ShapeError

PUBLISHED = {"width": 48, "blocks": (4, 6, 6, 8), "refinement": 4}


def gmac(network, side):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() / 2e9


def attention_gmac(network, side, levels=4):
    """Multiply-adds of ``q kᵀ`` and its product with v, which published counts leave out."""
    trunk, total = network.trunk, 0.0
    sides = [side // 2**level for level in range(levels)]
    stacks = [*zip(trunk.encoder, sides, strict=True), *zip(trunk.decoder, sides[-2::-1], strict=True)]
    for stack, size in [*stacks, (trunk.refinement, side)]:
        for block in stack:
            channels, heads = block.project.in_channels, len(block.attention.temperature)
            total += 2 * size**2 * channels**2 / heads
    return total / 1e9


def test_parameters_and_cost_of_the_published_size():
    with torch.device("meta"):
        network = create_backbone("restormer", **PUBLISHED)
    assert sum(value.numel() for value in network.parameters()) == 26_111_668
    total = gmac(network, 256)
    assert round(total, 1) == 154.9
    assert round(total - attention_gmac(network, 256), 1) == 141.0  # as the paper counts


def test_the_spec_counts_the_default_network():
    spec = BACKBONES.spec("restormer")
    with torch.device("meta"):
        network = create_backbone("restormer")
    assert sum(value.numel() for value in network.parameters()) == spec.parameters
    assert round(gmac(network, 504), 1) == spec.gmac


def test_attention_is_softmax_over_channels():
    torch.manual_seed(0)
    attention = TransposedAttention(6, heads=2).double()
    attention.temperature.data = torch.tensor([0.5, 3.0], dtype=torch.double)[:, None, None]
    x = torch.randn(1, 6, 4, 5, dtype=torch.double)
    gain = torch.rand(1, 6, 1, 1, dtype=torch.double)
    with torch.no_grad():
        y = attention(x, gain).numpy()[0].reshape(6, 20)
        q, k, v = attention.qkv(x).numpy()[0].reshape(3, 2, 3, 20)
    v = v * gain.numpy().reshape(2, 3, 1)
    for head, t in enumerate((0.5, 3.0)):
        a, b = (part[head] / np.linalg.norm(part[head], axis=1, keepdims=True) for part in (q, k))
        scores = np.exp(t * a @ b.T)
        expected = scores / scores.sum(axis=1, keepdims=True) @ v[head]
        np.testing.assert_allclose(y[3 * head : 3 * head + 3], expected, rtol=1e-10)


def test_normalisation_is_per_pixel_and_free_of_shift():
    torch.manual_seed(0)
    norm = BiasFreeLayerNorm2d(16)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    x = torch.randn(2, 16, 4, 5)
    y = (norm(3 * x + 7) / norm.weight[:, None, None]).detach()
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 4, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.var(1, unbiased=False), torch.ones(2, 4, 5), rtol=1e-4, atol=0)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]


def test_the_feed_forward_part_is_gated():
    torch.manual_seed(0)
    feed = GatedFeedForward(8, 2.66).double()
    x = torch.randn(1, 8, 5, 6, dtype=torch.double)
    a, b = feed.expand(x).chunk(2, dim=1)
    gelu = a * 0.5 * (1 + torch.erf(a / math.sqrt(2)))
    assert a.shape[1] == int(8 * 2.66)
    torch.testing.assert_close(feed(x), torch.einsum("oi,bihw->bohw", feed.project.weight[..., 0, 0], gelu * b))


def test_down_and_up_halve_and_double():
    x = torch.rand(1, 4, 6, 8)
    down = Downsample(4)(x)
    assert down.shape == (1, 8, 3, 4)
    assert Upsample(8)(down).shape == x.shape


def test_a_far_pixel_matters_through_attention():
    torch.manual_seed(0)
    network = create_backbone("restormer", width=4, blocks=(1, 1), refinement=0).double()
    x = torch.rand(1, 3, 64, 64, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert BACKBONES.spec("restormer").global_context
    assert x.grad[0, :, -1, -1].abs().min() > 0


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_constant_photo_gives_finite_results_and_gradients(level):
    torch.manual_seed(0)
    network = create_backbone("restormer", width=4)
    y = network(torch.full((1, 3, 8, 8), level))
    y.sum().backward()
    assert y.isfinite().all()
    assert all(value.grad.isfinite().all() for value in network.parameters())


def test_it_exports_and_runs_in_half_precision_and_channels_last():
    torch.manual_seed(0)
    network, x = create_backbone("restormer", width=4).eval(), torch.rand(1, 3, 16, 12)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(torch.export.export(network, (x,)).module()(x), expected)
        last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(network(x).float(), expected, rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 7}, "width must be even"),
        ({"width": 0}, "width must be even"),
        ({"blocks": (2,)}, "two or more levels"),
        ({"refinement": -1}, "refinement"),
        ({"expansion": 0.0}, "expansion"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone("restormer", **arguments)


def test_sides_must_fit_the_levels():
    with pytest.raises(ShapeError, match="multiples of 4"):
        create_backbone("restormer", width=4)(torch.rand(1, 3, 16, 14))
