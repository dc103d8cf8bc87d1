"""The network of team MiAlgo: its size, its wavelets, and the two factors that end it."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import create_backbone
from revisp.backbones.blocks.residual import ResidualGroup
from revisp.backbones.blocks.wavelet import haar, inverse_haar
from revisp.errors import ConfigError


def gmac(network, side):
    x = torch.empty(1, network.in_channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(x)
    return counter.get_total_flops() / 2e9


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def tiny(**kwargs):
    torch.manual_seed(0)
    return create_backbone("mialgo", width=4, blocks=1, **kwargs)


def test_the_published_network_has_4_537_202_parameters_with_its_wavelets():
    with torch.device("meta"):
        network = create_backbone("mialgo", out_channels=4, head="packed")
    wavelets = 2 * 16 * (32 + 32 + 64)  # 4 filters of 2x2 for each channel, there and back
    assert count(network) == 4_533_106
    assert count(network) + wavelets == 4_537_202
    assert not list(network.buffers())


def test_it_costs_22_6_gmac_on_a_tile_of_the_p20():
    with torch.device("meta"):
        network = create_backbone("mialgo", out_channels=4, head="packed")
    assert round(gmac(network, 496), 1) == 22.6


def test_haar_wavelets_are_undone_exactly():
    x = torch.randint(-8, 9, (2, 3, 8, 6)).float()
    assert torch.equal(inverse_haar(haar(x)), x)


def test_haar_wavelets_keep_the_sum_of_squares():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 6, dtype=torch.double)
    torch.testing.assert_close(haar(x).square().sum(), x.square().sum())


def test_haar_bands_follow_each_other_over_all_channels():
    columns = torch.tensor([[1.0, -1.0], [1.0, -1.0]]).repeat(2, 2)
    bands = haar(torch.stack([torch.ones(4, 4), columns, columns.T, columns * columns.T])[None])
    expected = torch.zeros(16)
    expected[[0, 5, 10, 15]] = 2.0  # channel 0 is flat, 1 varies along columns, 2 along rows, 3 along both
    assert torch.equal(bands, expected[None, :, None, None].expand(1, 16, 2, 2))


@pytest.mark.parametrize(("head", "side"), [("packed", 32), ("raw_rgb", 64)])
def test_gains_weigh_whole_planes_and_shading_whole_pixels(head, side):
    network = tiny(out_channels=4, head=head)
    seen = {}
    for name in ("tail.conv", "gains", "shading"):
        module = network.get_submodule(name)
        module.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    output = network(torch.rand(2, 3, 64, 64))
    gains = seen["gains"] / seen["tail.conv"]
    shading = torch.sigmoid(seen["shading"])
    assert output.shape == (2, 4, side, side)
    assert torch.allclose(gains, gains[..., :1, :1].expand_as(gains), rtol=1e-3)
    assert ((gains > 0) & (gains < 1)).all()
    assert shading.shape == (2, 1, 32, 32)
    assert ((shading > 0.5) & (shading < 1)).all()


def test_both_heads_share_the_trunk():
    packed, raw_rgb = tiny(out_channels=4, head="packed"), tiny()
    differing = {
        key.split(".")[0]
        for key, value in raw_rgb.state_dict().items()
        if value.shape != packed.state_dict()[key].shape
    }
    assert differing == {"tail", "gains"}


def test_residual_groups_start_with_live_channel_attention():
    torch.manual_seed(0)
    group = ResidualGroup(8, blocks=2, spatial=True)
    group(torch.rand(1, 8, 8, 8)).square().mean().backward()
    for key, parameter in group.named_parameters():
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("argument", ["width", "blocks"])
def test_settings_that_cannot_work_are_refused(argument):
    with pytest.raises(ConfigError, match=f"mialgo: .*{argument}=0"):
        create_backbone("mialgo", **{argument: 0})
