"""NAFNet: its size as published, what its blocks compute, how it starts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from revisp.backbones import create_backbone
from revisp.backbones.blocks.naf import LayerNorm2d, NAFBlock, SimpleGate
from revisp.errors import ConfigError


def awake(module):
    """Give the factors that start at zero a value."""
    for block in module.modules():
        if isinstance(block, NAFBlock):
            torch.nn.init.ones_(block.beta)
            torch.nn.init.ones_(block.gamma)
    return module


def test_at_the_width_of_the_paper_it_has_115_98_million_parameters():
    with torch.device("meta"):
        network = create_backbone("nafnet", width=64, encoder=[2, 2, 4, 8], middle=12, decoder=[2, 2, 2, 2])
    assert sum(parameter.numel() for parameter in network.parameters()) == 115_982_915
    assert network.multiple_of == 16


def test_layer_normalisation_is_that_of_each_pixel():
    torch.manual_seed(0)
    x = torch.rand(2, 8, 5, 4)
    y = LayerNorm2d(8)(x)
    pixel = x[1, :, 3, 2]
    expected = (pixel - pixel.mean()) / (pixel.var(correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(y[1, :, 3, 2], expected)
    assert LayerNorm2d(8)(torch.ones(1, 8, 2, 2)).abs().max() == 0


def test_the_gate_is_a_product_of_halves():
    x = torch.rand(1, 4, 3, 3)
    assert torch.equal(SimpleGate()(x), x[:, :2] * x[:, 2:])


def test_a_new_block_is_the_identity():
    x = torch.rand(1, 6, 7, 5)
    assert torch.equal(NAFBlock(6)(x), x)
    assert not torch.allclose(awake(NAFBlock(6))(x), x)


def test_a_block_has_no_activation_function():
    """Away from normalisation, all that is not linear are products."""
    kinds = {type(module).__name__ for module in NAFBlock(4).modules()}
    assert kinds == {
        "NAFBlock",
        "Sequential",
        "LayerNorm2d",
        "Conv2d",
        "SimpleGate",
        "_SimplifiedChannelAttention",
        "WholeImage",  # changes nothing: names what tiles take from the whole photo
    }


def test_the_photo_is_added_to_each_prediction():
    torch.manual_seed(0)
    network = create_backbone("nafnet", in_channels=4, out_channels=6, width=4)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    x = torch.rand(1, 4, 16, 24)
    assert torch.equal(network(x), x[:, [0, 1, 2, 0, 1, 2]])


def test_a_far_pixel_matters_through_the_mean():
    torch.manual_seed(0)
    network = awake(create_backbone("nafnet", width=4, encoder=[1], middle=1, decoder=[1])).double()
    x = torch.rand(1, 3, 48, 48, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert x.grad[0, :, -1, -1].abs().min() > 0


def test_after_a_few_steps_every_block_takes_part():
    torch.manual_seed(0)
    network = create_backbone("nafnet", width=4, encoder=[1], middle=1, decoder=[1])
    x = torch.rand(2, 3, 16, 16)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(5):
        optimizer.zero_grad()
        F.mse_loss(network(x), F.avg_pool2d(x, 3, stride=1, padding=1)).backward()
        optimizer.step()
    for key, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width=0"),
        ({"middle": 0}, "middle=0"),
        ({"encoder": [1, 0, 1]}, r"encoder=\[1, 0, 1\]"),
        ({"decoder": [1]}, "equally long"),
        ({"out_channels": 4}, "multiple of 3"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"nafnet: .*{message}"):
        create_backbone("nafnet", **arguments)
