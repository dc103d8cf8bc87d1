"""The two networks of team HIT-IIL: their sizes, their input, and spectral normalisation."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import create_backbone
from revisp.backbones.blocks.preview import linearize
from revisp.camera.isp import tone_curve
from revisp.errors import ConfigError

SMALL = {
    "hit_liteisp": {"width": 8, "blocks": 1},
    "hit_nafnet": {"width": 4, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)},
}
both = pytest.mark.parametrize("name", SMALL)


def tiny(name, **kwargs):
    torch.manual_seed(0)
    return create_backbone(name, **SMALL[name], **kwargs)


def published(name):
    with torch.device("meta"):
        return create_backbone(name, out_channels=4, head="packed").eval()


def gmac(network, side):
    x = torch.empty(1, network.in_channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops() / 2e9


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_s7_network_has_8_885_million_parameters_with_its_wavelets():
    wavelets = 2 * 16 * (64 + 64 + 128)  # 4 filters of 2x2 for each channel, there and back
    assert count(published("hit_liteisp")) + wavelets == 8_884_692


def test_the_s7_network_costs_317_gmac_with_its_wavelets():
    pixels = 496 * 496
    wavelets = 2 * 4 * pixels * (64 + 64 / 4 + 128 / 16)  # each value is in 4 products, there and back
    assert round(gmac(published("hit_liteisp"), 496) + wavelets / 1e9, 1) == 317.0


def test_the_p20_network_has_116_02_million_parameters_and_costs_66_0_gmac():
    network = published("hit_nafnet")
    assert count(network) == 116_024_580
    assert network.multiple_of == 32
    assert round(gmac(network, 512), 1) == 66.0  # a tile of 496 pixels, padded


@both
def test_the_head_chooses_the_resolution(name):
    x = torch.rand(1, 3, 32, 32)
    assert tiny(name, out_channels=4, head="packed")(x).shape == (1, 4, 16, 16)
    assert tiny(name, out_channels=6)(x).shape == (1, 6, 32, 32)


def test_linearizing_undoes_tone_and_gamma_curve_of_the_photo_alone():
    linear = torch.linspace(0.001, 1, 48).view(1, 3, 4, 4)
    mask = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
    developed = torch.cat([tone_curve(linear ** (1 / 2.2), contrast=1.0), mask], dim=1)
    undone = linearize(developed)
    torch.testing.assert_close(undone[:, :3], linear, rtol=1e-3, atol=1e-4)
    assert torch.equal(undone[:, 3:], mask)


@both
def test_black_white_and_beyond_are_finite(name):
    network = tiny(name)
    for value in (-0.5, 0.0, 1.0, 1.5):
        output = network(torch.full((1, 3, 32, 32), value))
        output.square().mean().backward()
        assert output.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_convolutions_of_residual_groups_have_largest_singular_value_1():
    network = tiny("hit_liteisp")
    x = torch.rand(1, 3, 16, 16)
    for _ in range(20):
        network(x)
    network.eval()
    normalised = [module for module in network.modules() if is_parametrized(module)]
    assert len(normalised) == 8 * 3  # eight groups, each of one block and one convolution
    for conv in normalised:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_spectral_normalisation_moves_in_training_only():
    network = tiny("hit_liteisp").eval()
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        first = network(x)
        assert torch.equal(network(x), first)
        network.train()(x)
        assert not torch.equal(network.eval()(x), first)


def test_spectral_normalisation_survives_saving_and_export():
    network, other = tiny("hit_liteisp"), create_backbone("hit_liteisp", **SMALL["hit_liteisp"])
    x = torch.rand(2, 3, 16, 16)
    network(x)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = network.eval()(x)
        assert torch.equal(other.eval()(x), expected)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("hit_liteisp", {"width": 3}, "width=3"),
        ("hit_liteisp", {"blocks": 0}, "blocks=0"),
        ("hit_liteisp", {"in_channels": 2}, "in_channels=2"),
        ("hit_nafnet", {"in_channels": 2}, "in_channels must be at least 3, got 2"),
        ("hit_nafnet", {"middle": 0}, "middle=0"),
        ("hit_nafnet", {"encoder": (1, 1)}, "equally long"),
    ],
)
def test_settings_that_cannot_work_are_refused(name, arguments, message):
    with pytest.raises(ConfigError, match=f"{name}: .*{message}"):
        create_backbone(name, **arguments)
