"""InvISP: a flow that runs both ways."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones import create_backbone
from revisp.backbones.blocks.dense import DenseBlock
from revisp.backbones.blocks.invertible import InvertibleConv1x1
from revisp.errors import ConfigError, ShapeError


def shaken(**kwargs):
    """A network whose couplings matter, as after training."""
    torch.manual_seed(0)
    network = create_backbone("invisp", **kwargs).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def test_the_published_network_has_1_414_thousand_parameters():
    with torch.device("meta"):
        network = create_backbone("invisp")
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_413_664


def test_inverse_undoes_forward_and_the_other_way_round():
    network = shaken(steps=8, growth=8)
    photo = torch.rand(2, 3, 9, 7, dtype=torch.double)
    with torch.no_grad():
        raw = network(photo)
        assert (raw - photo).abs().max() > 0.1
        torch.testing.assert_close(network.inverse(raw), photo, rtol=0, atol=1e-9)
        torch.testing.assert_close(network(network.inverse(photo)), photo, rtol=0, atol=1e-9)


def test_it_is_invertible_in_single_precision():
    torch.manual_seed(0)
    network = create_backbone("invisp")
    photo = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(network.inverse(network(photo)), photo, rtol=0, atol=1e-4)


def test_a_far_pixel_matters_up_to_the_receptive_field():
    network = shaken(steps=1, growth=4)
    x = torch.rand(1, 3, 1, 45, dtype=torch.double, requires_grad=True)
    network(x)[0, :, 0, 22].sum().backward()
    matters = x.grad.abs().sum(dim=1)[0, 0].nonzero().flatten()
    assert network.receptive_field == 21
    assert (matters[0].item(), matters[-1].item()) == (22 - 10, 22 + 10)


def test_the_scale_of_a_coupling_is_bounded():
    step = shaken(steps=1, growth=4).steps[0]
    log_scale = step._log_scale(1e3 * torch.randn(1, 1, 8, 8, dtype=torch.double))
    assert log_scale.abs().max() <= 0.8


def test_a_mask_is_hardly_seen_at_first_and_all_predictions_start_alike():
    torch.manual_seed(0)
    network = create_backbone("invisp", in_channels=4, out_channels=6, steps=2, growth=8)
    x = torch.rand(1, 4, 8, 8)
    with torch.no_grad():
        raw = network(x)
        x[:, 3] = 1 - x[:, 3]
        assert 0 < (network(x) - raw).abs().max() < 0.02
    torch.testing.assert_close(raw[:, :3], raw[:, 3:], rtol=0, atol=0.03)


def test_what_is_no_flow_has_no_inverse():
    for channels in ({"in_channels": 4}, {"out_channels": 6}):
        network = create_backbone("invisp", steps=1, growth=4, **channels)
        with pytest.raises(ConfigError, match="has an inverse"):
            network.inverse(torch.rand(1, 3, 8, 8))
    with pytest.raises(ShapeError):
        create_backbone("invisp", steps=1, growth=4).inverse(torch.rand(1, 4, 8, 8))


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_an_invertible_convolution_starts_as_a_rotation_and_stays_invertible(channels):
    torch.manual_seed(0)
    conv = InvertibleConv1x1(channels).double()
    x = torch.randn(2, channels, 4, 5, dtype=torch.double)
    torch.testing.assert_close(conv(x).norm(dim=1), x.norm(dim=1), rtol=1e-5, atol=1e-5)
    assert sum(parameter.numel() for parameter in conv.parameters()) == channels**2
    with torch.no_grad():
        conv.lu.add_(torch.randn_like(conv.lu))
    torch.testing.assert_close(conv.inverse(conv(x)), x, rtol=0, atol=1e-9)


def test_a_dense_block_sees_as_far_as_it_has_layers():
    torch.manual_seed(0)
    block = DenseBlock(2, 3, growth=4, layers=3)
    x = torch.rand(1, 2, 1, 15, requires_grad=True)
    block(x)[0, :, 0, 7].sum().backward()
    assert x.grad.abs().sum(dim=1)[0, 0].nonzero().flatten().tolist() == list(range(4, 11))
    assert [conv.in_channels for conv in block.convs] == [2, 6, 10]


@pytest.mark.parametrize("argument", ["steps", "growth"])
def test_sizes_that_cannot_work_are_refused(argument):
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("invisp", **{argument: 0})


@pytest.mark.parametrize("channels", [{"in_channels": 9}, {"out_channels": 4}, {"out_channels": 0}])
def test_channels_that_are_no_photo_or_raw_are_refused(channels):
    with pytest.raises(ConfigError, match="in_channels must be 3 to 8 and out_channels a multiple of 3"):
        create_backbone("invisp", **channels)
