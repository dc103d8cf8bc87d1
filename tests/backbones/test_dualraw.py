"""DualRAW: two exposures, their masks, and the two residual connections."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones import create_backbone
from revisp.errors import ConfigError, ShapeError


def network(**kwargs):
    torch.manual_seed(0)
    return create_backbone("dualraw", **{"width": 4, "depth": 2, "blocks": 1, **kwargs})


def test_the_default_network_has_3_967_658_parameters():
    with torch.device("meta"):
        default = create_backbone("dualraw", head="packed", out_channels=4)
    assert sum(parameter.numel() for parameter in default.parameters()) == 3_967_658


def test_exposure_masks_are_two_and_of_one_plane_in_0_to_1():
    module = network()
    planes = torch.rand(2, 12, 8, 6)
    with torch.no_grad():
        over, under = module.over_mask(planes), module.under_mask(planes)
    assert over.shape == under.shape == (2, 1, 8, 6)
    assert ((over > 0) & (over < 1)).all()
    assert not torch.allclose(over, under)


def test_a_closed_mask_silences_its_decoder():
    module = network()
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        module.over_mask.head.weight.zero_()
        module.over_mask.head.bias.fill_(-1e4)
        before = module(x)
        for parameter in module.over_decoder.parameters():
            parameter.normal_()
        assert torch.equal(module(x), before)
        for parameter in module.under_decoder.parameters():
            parameter.normal_()
        assert not torch.equal(module(x), before)


@pytest.mark.parametrize(
    ("head", "out_channels", "red_blue", "green"),
    [
        ("packed", 4, [0, 3], [1, 2]),
        ("raw_rgb", 3, [0, 2], [1]),
        ("raw_rgb", 6, [0, 2, 3, 5], [1, 4]),
    ],
)
def test_red_and_blue_have_another_residual_connection_than_green(head, out_channels, red_blue, green):
    module = network(head=head, out_channels=out_channels)
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = module(x)
        module.output.red_blue_residual.conv.bias.add_(1.0)
        change = module(x) - before
        torch.testing.assert_close(change[:, red_blue], torch.ones_like(change[:, red_blue]))
        assert change[:, green].abs().max() < 1e-5
        module.output.green_residual.conv.bias.add_(2.0)
        change = module(x) - before
    torch.testing.assert_close(change[:, green], torch.full_like(change[:, green], 2.0))


def test_the_residual_connections_carry_their_own_colours():
    module = network(head="packed", out_channels=4)
    with torch.no_grad():
        module.output.red_blue[-1].conv.weight.zero_()
        module.output.green[-1].conv.weight.zero_()
        x = torch.full((1, 3, 16, 16), 0.5)
        before = module(x)
        x[:, 1] = 0.9
        change = (module(x) - before).abs().amax(dim=(0, 2, 3))
    assert (change[[1, 2]] > 1e-3).all()
    assert (change[[0, 3]] == 0).all()


def test_a_far_pixel_matters_through_the_global_branch():
    module = network().double()
    x = torch.rand(1, 3, 96, 96, dtype=torch.double, requires_grad=True)
    module(x)[0, :, 0, 0].sum().backward()
    assert x.grad[0, :, -1, -1].abs().max() > 0


def test_the_geometry_follows_the_depth():
    module = network(depth=3)
    assert (module.multiple_of, module.min_size) == (8, 8)
    with pytest.raises(ShapeError, match="multiples of 8"):
        module(torch.rand(1, 3, 12, 16))
    assert module(torch.zeros(1, 3, 8, 8)).isfinite().all()


@pytest.mark.parametrize(("argument", "value"), [("width", 0), ("depth", 1), ("blocks", 0)])
def test_sizes_that_cannot_work_are_refused(argument, value):
    with pytest.raises(ConfigError, match=f"{argument}={value}"):
        create_backbone("dualraw", **{argument: value})


def test_channels_must_be_whole_predictions():
    with pytest.raises(ConfigError, match="multiple of 4"):
        create_backbone("dualraw", head="packed", out_channels=3)
    with pytest.raises(ConfigError, match="multiple of 3"):
        create_backbone("dualraw", out_channels=4)
