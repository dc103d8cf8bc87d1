"""CVIP's network: its size, its dense blocks, and how it starts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import BACKBONES, create_backbone
from revisp.errors import ConfigError, ShapeError


def test_the_published_network_has_2_850_203_parameters_and_costs_722_gmac() -> None:
    with torch.device("meta"):
        network = create_backbone("cvip").eval()
        x = torch.empty(1, 3, 504, 504)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(x).shape == x.shape
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_850_203
    assert round(counter.get_total_flops() / 2e9, 1) == BACKBONES.spec("cvip").gmac == 721.9


def test_each_unit_sees_all_before_it() -> None:
    block = create_backbone("cvip", channels=8, blocks=1, reduction=4).body[0]
    assert [unit.first.in_channels for unit in block.units] == [8, 16, 24]
    assert block.fuse.in_channels == 32


def test_a_block_adds_its_input_before_and_after_the_attention() -> None:
    block = create_backbone("cvip", channels=8, blocks=1, reduction=4).body[0]
    for module in (block.fuse, block.attention.straight, block.attention.pixel, block.attention.channel.excite):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    x = torch.randn(1, 8, 6, 5)
    torch.testing.assert_close(block(x), 1.25 * x)  # both attentions weigh by a half
    nn.init.dirac_(block.attention.straight.weight)
    torch.testing.assert_close(block(x), 2.25 * x)


def test_a_far_pixel_matters_through_the_mean() -> None:
    torch.manual_seed(0)
    network = create_backbone("cvip", channels=8, blocks=1, reduction=1).double()
    x = torch.rand(1, 3, 48, 48, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert BACKBONES.spec("cvip").global_context
    assert x.grad is not None
    assert x.grad[0, :, -1, -1].abs().max() > 0


@pytest.mark.parametrize(("channels", "deviation"), [(64, 0.02), (16, 0.04)])
def test_weights_start_as_published_or_keep_the_signal_at_other_widths(channels: int, deviation: float) -> None:
    torch.manual_seed(0)
    network = create_backbone("cvip", channels=channels, blocks=1)
    weight = network.body[0].units[2].first.weight
    assert weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=deviation / 20)
    assert all(not value.any() for key, value in network.state_dict().items() if key.endswith("bias"))


def test_odd_sizes_work_and_single_pixels_are_refused() -> None:
    network = create_backbone("cvip", channels=4, blocks=1, reduction=2)
    assert network(torch.rand(1, 3, 17, 23)).shape == (1, 3, 17, 23)
    with pytest.raises(ShapeError, match="at least 2, got 1x8"):
        network(torch.rand(1, 3, 1, 8))


@pytest.mark.parametrize("argument", ["channels", "blocks", "reduction"])
def test_settings_that_cannot_work_are_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("cvip", **{argument: 0})
