"""0noise's network: its size, its gains, and what a pixel depends on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import BACKBONES, create_backbone
from revisp.backbones.blocks.reflect import ReflectConv, mirror_border
from revisp.errors import ConfigError


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def touched(network: nn.Module, x: Tensor, row: int, column: int) -> list[int]:
    """First and last row, first and last column of the input that an output pixel depends on."""
    x = x.clone().requires_grad_()
    network(x)[..., row, column].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad.abs().sum(dim=(0, 1)).nonzero().unbind(1)
    return [int(value) for value in (rows.min(), rows.max(), columns.min(), columns.max())]


def test_the_published_network_has_171_112_parameters_and_costs_43_gmac() -> None:
    with torch.device("meta"):
        network = create_backbone("zeronoise", out_channels=4, head="packed").eval()
        x = torch.empty(1, 3, 504, 504)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(x).shape == (1, 4, 252, 252)
    assert count(network) == 171_112
    assert round(counter.get_total_flops() / 2e9, 1) == BACKBONES.spec("zeronoise").gmac == 43.2


def test_the_mask_widens_the_embedding_alone() -> None:
    three, four = (create_backbone("zeronoise", in_channels=channels) for channels in (3, 4))
    assert count(four) - count(three) == 36


def test_gains_start_near_one_and_shading_lies_between_zero_and_one() -> None:
    torch.manual_seed(0)
    network = create_backbone("zeronoise")
    pixels = network.embed(torch.rand(1, 3, 32, 32))
    with torch.no_grad():
        tone, colour, shading = network.tone(pixels), network.colour(pixels), network.shading(100 * pixels)
    for gain in (tone, colour):
        assert gain.mean() == pytest.approx(1, abs=0.2)
    assert ((shading >= 0) & (shading <= 1)).all()


def test_tone_is_a_gain_of_each_pixel_by_itself() -> None:
    network = create_backbone("zeronoise", channels=4).double()
    assert touched(network.tone, torch.rand(1, 4, 9, 9, dtype=torch.double), 3, 5) == [3, 3, 5, 5]
    assert touched(network.colour, torch.rand(1, 4, 9, 9, dtype=torch.double), 3, 5) == [0, 6, 2, 8]
    assert touched(network.shading, torch.rand(1, 4, 9, 9, dtype=torch.double), 3, 5) == [0, 6, 2, 8]


def test_the_output_starts_positive_and_never_is_negative() -> None:
    torch.manual_seed(0)
    network = create_backbone("zeronoise")
    x = torch.rand(1, 3, 32, 32)
    assert network(x).min() > 0.1
    nn.init.normal_(network.head.weight)
    y = network(x)
    assert y.min() == 0
    assert y.max() > 0


@pytest.mark.parametrize(
    ("head", "row", "pixels", "field"), [("raw_rgb", 16, [11, 21], 11), ("packed", 8, [11, 22], 13)]
)
def test_the_receptive_field_is_exact(head: str, row: int, pixels: list[int], field: int) -> None:
    torch.manual_seed(0)
    network = create_backbone("zeronoise", channels=4, head=head).double()
    assert touched(network, torch.rand(1, 3, 32, 32, dtype=torch.double), row, row) == pixels * 2
    assert network.receptive_field == field  # of the packed samples of rows 16 and 17, one is 6 rows from row 22


def test_the_border_mirrors_as_torch_does() -> None:
    x = torch.rand(2, 3, 5, 4)
    assert torch.equal(mirror_border(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))
    conv = ReflectConv(3, 2)
    own = conv(torch.ones(1, 3, 4, 4))
    torch.testing.assert_close(own, own[..., :1, :1].expand_as(own))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="channels=0"):
        create_backbone("zeronoise", channels=0)
    with pytest.raises(ConfigError, match="unknown head 'bayer'"):
        create_backbone("zeronoise", head="bayer")
