"""The organisers' baseline U-Net: its size, its resizing, and what a pixel depends on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import BACKBONES, create_backbone
from revisp.cfa import unpack
from revisp.errors import ConfigError


def test_the_published_network_has_1_861_764_parameters_and_costs_98_gmac() -> None:
    with torch.device("meta"):
        network = create_backbone("unet_aim", out_channels=4, head="packed").eval()
        x = torch.empty(1, 3, 504, 504)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(x).shape == (1, 4, 252, 252)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_861_764
    assert round(counter.get_total_flops() / 2e9, 1) == BACKBONES.spec("unet_aim").gmac == 98.3


def test_convolutions_have_no_bias_but_those_that_enlarge_and_the_last() -> None:
    network = create_backbone("unet_aim", width=4)
    biased = {key.rpartition(".")[0] for key in network.state_dict() if key.endswith("bias")}
    assert biased == {"decoder.0.enlarge", "decoder.1.enlarge", "head"}


def test_packed_planes_are_every_other_pixel_of_the_full_size() -> None:
    torch.manual_seed(0)
    packed = create_backbone("unet_aim", out_channels=4, head="packed", width=4)
    full = create_backbone("unet_aim", out_channels=4, width=4)
    full.load_state_dict(packed.state_dict())
    x = torch.rand(1, 3, 24, 16)
    with torch.no_grad():
        planes = F.pixel_unshuffle(full(x), 2).unflatten(1, (4, 4))
        torch.testing.assert_close(packed(x), planes[:, :, 0])
    with pytest.raises(ConfigError, match="head 'raw_rgb' alone"):
        packed.forward_part(x, slice(0, 8), slice(0, 8))


@pytest.mark.parametrize("head", ["raw_rgb", "packed"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_receptive_field_is_exact(depth: int, head: str) -> None:
    torch.manual_seed(0)
    channels = 4 if head == "packed" else 3
    network = create_backbone("unet_aim", out_channels=channels, width=2, depth=depth, head=head).double()
    _make_linear(network)
    reach = 0
    for position in range(28, 28 + 2 ** (depth - 1) + 1):
        x = torch.rand(1, 3, 64, 8, dtype=torch.double, requires_grad=True)
        y = network(x)
        y = unpack(y, "RGGB") if head == "packed" else y
        y[0, :, position].sum().backward()
        assert x.grad is not None
        rows = x.grad.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
        reach = max(reach, int((rows - position).abs().max()))
    assert network.receptive_field == 2 * reach + 1


def _make_linear(network: nn.Module) -> None:
    """Let every input pixel that can matter do so: no ReLU, and means in the place of maxima."""
    network.pool = nn.AvgPool2d(2)
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for at, child in enumerate(module):
                if isinstance(child, nn.ReLU):
                    module[at] = nn.Identity()


@pytest.mark.parametrize("argument", ["width", "depth"])
def test_settings_that_cannot_work_are_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("unet_aim", **{argument: 0})
    with pytest.raises(ConfigError, match="unknown head 'bayer'"):
        create_backbone("unet_aim", head="bayer")
