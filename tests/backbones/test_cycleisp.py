"""CycleISP's RGB-to-RAW network: its size and what is shared and global in it."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones import BACKBONES, create_backbone
from revisp.backbones.blocks import ChannelAttention, SpatialAttention
from revisp.errors import ConfigError


def test_the_published_network_has_3_143_109_parameters():
    with torch.device("meta"):
        network = create_backbone("cycleisp")
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_143_109


def test_one_prelu_serves_the_whole_network():
    network = create_backbone("cycleisp", width=8, groups=2, blocks=2)
    assert [key for key, value in network.state_dict().items() if value.shape == (8,) and "bias" not in key] == [
        "slope"
    ]
    assert network.slope.unique().tolist() == [0.25]


def test_a_far_pixel_matters_through_the_mean():
    torch.manual_seed(0)
    network = create_backbone("cycleisp", width=8, groups=1, blocks=1, reduction=1).double()
    x = torch.rand(1, 3, 48, 48, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert BACKBONES.spec("cycleisp").global_context
    assert x.grad[0, :, -1, -1].abs().min() > 0


def test_odd_sizes_work():
    assert create_backbone("cycleisp", width=8, groups=1, blocks=1)(torch.rand(1, 3, 17, 23)).shape == (
        1,
        3,
        17,
        23,
    )


def test_channel_attention_weighs_whole_channels():
    torch.manual_seed(0)
    x = torch.rand(2, 16, 6, 5) + 0.1
    weights = ChannelAttention(16)(x) / x
    assert torch.allclose(weights, weights[..., :1, :1].expand_as(weights), atol=1e-5)
    assert ((weights > 0) & (weights < 1)).all()


def test_spatial_attention_weighs_whole_pixels():
    torch.manual_seed(0)
    x = torch.rand(2, 16, 6, 5) + 0.1
    weights = SpatialAttention()(x) / x
    assert torch.allclose(weights, weights[:, :1].expand_as(weights), atol=1e-5)
    assert ((weights > 0) & (weights < 1)).all()


@pytest.mark.parametrize("argument", ["width", "groups", "blocks", "reduction"])
def test_settings_that_cannot_work_are_refused(argument):
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("cycleisp", **{argument: 0})
