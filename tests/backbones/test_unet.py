"""The paper's U-Net: its size, its geometry, its start."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from revisp.backbones import create_backbone
from revisp.backbones.blocks import make_norm
from revisp.backbones.blocks.blockconv import BlockConv
from revisp.backbones.blocks.join import join
from revisp.backbones.blocks.shuffle import pixel_shuffle
from revisp.backbones.blocks.upconv import UpConv
from revisp.backbones.unet import UNet
from revisp.errors import ConfigError


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_network_has_34_527_747_parameters():
    with torch.device("meta"):
        assert count(create_backbone("unet", in_channels=4)) == 34_527_747
        # one input less: 64 filters of 3x3
        assert count(create_backbone("unet", in_channels=3)) == 34_527_747 - 64 * 9


@pytest.mark.parametrize(("depth", "block"), [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (3, 2), (2, 3)])
def test_the_receptive_field_is_exact(depth, block):
    """The gradient of the outputs of one bottom cell reaches exactly as far as the module says."""
    network = UNet(1, 1, width=2, depth=depth, norm="none", block=block).double()
    network.pool = nn.AvgPool2d(2)  # as wide as max pooling, but with a gradient for every input
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    cell, reach = network.multiple_of, network.receptive_field // 2
    start = -(-(reach + 1) // cell) * cell
    farthest = 0
    for row in range(start, start + cell):
        x = torch.ones(1, 1, 2 * start + cell, 2 * start + cell, dtype=torch.double, requires_grad=True)
        network(x)[0, 0, row, row].backward()
        rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
        farthest = max(farthest, *(abs(int(at) - row) for at in (rows.min(), rows.max(), columns.max())))
    assert farthest == reach


def test_a_tile_that_overlaps_by_the_receptive_field_equals_the_whole():
    torch.manual_seed(0)
    network = UNet(3, 3, width=4, depth=3).eval()
    photo = torch.rand(1, 3, 96, 128)
    top, left, size, halo = 36, 48, 20, 28  # multiples of 4; the reach is 26
    assert halo >= network.receptive_field // 2
    with torch.no_grad():
        whole = network(photo)[..., top : top + size, left : left + size]
        tile = photo[..., top - halo : top + size + halo, left - halo : left + size + halo]
        part = network(tile)[..., halo : halo + size, halo : halo + size]
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), depth=st.integers(1, 5), block=st.integers(1, 3), norm=st.sampled_from(["none", "group"]))
def test_a_part_is_that_of_the_whole_at_any_depth(data, depth, block, norm):
    torch.manual_seed(0)
    network = UNet(1, 1, width=2, depth=depth, block=block, norm=norm).eval().double()
    sizes = [network.multiple_of * data.draw(st.integers(1, max(2, 64 // network.multiple_of))) for _ in "hw"]
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True))))
        for size in sizes
    )
    x = torch.rand(1, 1, *sizes, dtype=torch.double)
    with torch.no_grad():
        whole = network(x)[..., rows, columns]
        torch.testing.assert_close(network.forward_part(x, rows, columns), whole, rtol=0, atol=1e-12)


def test_blocks_of_pixels_are_laid_out_as_they_came():
    """With layers that hand the channels through, each pixel of a 2x2 tile leaves where it entered."""
    network = UNet(1, 1, width=4, depth=1, norm="none", block=2)
    with torch.no_grad():
        for conv in (network.encoder[0][0].conv, network.encoder[0][1].conv):
            conv.weight.zero_()
            conv.weight[range(4), range(4), 1, 1] = 1
        network.head.weight.copy_(torch.eye(4)[..., None, None])
        network.head.bias.zero_()
        photo = torch.rand(2, 1, 6, 8)
        torch.testing.assert_close(network(photo), photo, rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_signal_and_gradient_keep_their_scale_through_five_levels(norm):
    torch.manual_seed(0)
    network = UNet(3, 3, width=8, depth=5, norm=norm)
    x = torch.rand(2, 3, 64, 64)
    y = network(x)
    assert 0.05 < y.std().item() < 5
    y.square().mean().backward()
    first = network.encoder[0][0].conv.weight.grad.norm()
    last = network.head.weight.grad.norm()
    assert 1e-2 < (first / last).item() < 1e2


def test_group_norm_makes_groups_of_eight_channels():
    assert make_norm("group", 64).num_groups == 8
    assert make_norm("group", 8).num_groups == 1
    assert make_norm("group", 12).num_groups == 1


def test_group_norm_treats_each_photo_alone_even_in_training():
    torch.manual_seed(0)
    network = UNet(3, 3, width=8, depth=3, norm="group")
    x = torch.rand(2, 3, 16, 24)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-5)


def test_the_skip_comes_before_the_upsampled_features():
    network = UNet(1, 1, width=1, depth=2, norm="none")
    merge = network.decoder[0].merge[0].conv
    with torch.no_grad():
        merge.weight.zero_()
        merge.weight[:, 0, 1, 1] = 1  # take the first half of the concatenation only
        network.decoder[0].reduce.conv.bias.fill_(100)  # the upsampled features would be seen at once
        network.encoder[0][1].conv.weight.zero_()
        network.encoder[0][1].conv.bias.fill_(0.5)  # the skip
        network.decoder[0].merge[1].conv.weight.zero_()
        network.decoder[0].merge[1].conv.weight[:, :, 1, 1] = 1
        network.head.weight.fill_(1)
        network.head.bias.zero_()
        assert network(torch.rand(1, 1, 8, 8)).unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width=0"),
        ({"depth": 0}, "depth=0"),
        ({"block": 0}, "block=0"),
        ({"norm": "layer"}, "unknown norm 'layer'"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone("unet", **arguments)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_joined_with_the_first_convolution_change_nothing(block):
    torch.manual_seed(0)
    network = UNet(in_channels=4, width=4, depth=2, block=block).eval()
    photo = torch.rand(2, 4, 8 * block, 10 * block)
    part = slice(3, 11), slice(2, 2 + 5 * block)
    with torch.no_grad():
        whole, piece = network(photo), network.forward_part(photo, *part)
        network.join_blocks()
        network.join_blocks()  # again: nothing is left to join
        torch.testing.assert_close(network(photo), whole)
        torch.testing.assert_close(network.forward_part(photo, *part), piece)
    assert not any(isinstance(module, BlockConv) for module in network.modules())


@pytest.mark.parametrize("block", [2, 3])
def test_tiles_of_pixels_are_the_channels_of_the_first_convolution(block):
    torch.manual_seed(0)
    after = nn.Conv2d(4 * block**2, 5, kernel_size=3, padding=1).double()
    torch.nn.init.normal_(after.bias)
    photo = torch.rand(2, 4, 6 * block, 4 * block, dtype=torch.double)
    expected = after(torch.nn.functional.pixel_unshuffle(photo, block))
    change = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, [after.weight, after.bias], change)
    joined = BlockConv(after, block)
    torch.testing.assert_close(joined(photo), expected)
    torch.testing.assert_close(torch.autograd.grad(joined(photo), [joined.weight, joined.bias], change), gradients)
    assert joined.state_dict().keys() == after.state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("block", "size"), [(1, (4, 6)), (2, (4, 6)), (3, (4, 6)), (2, (1, 1))])
def test_shuffled_channels_are_those_of_torch(dtype, block, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3 * block**2, *size, generator=generator).to(dtype).to(memory_format=torch.channels_last)
    x.requires_grad_()
    expected = torch.nn.functional.pixel_shuffle(x, block)
    change = torch.rand(expected.shape, generator=generator).to(dtype)
    for each in (change, change.to(memory_format=torch.channels_last)):
        found = pixel_shuffle(x, block)
        assert torch.equal(found, expected)
        (gradient,) = torch.autograd.grad(found, x, each)
        assert torch.equal(gradient, torch.nn.functional.pixel_unshuffle(change, block))
    with torch.no_grad():
        assert torch.equal(pixel_shuffle(x, block), expected)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_joined_features_have_the_gradients_of_a_concatenation_without_gaps(layout):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 6), (2, 5, 4, 6)]
    maps = [
        torch.rand(shape, generator=generator).contiguous(memory_format=layout).requires_grad_()
        for shape in shapes
    ]
    change = torch.rand(2, 8, 4, 6, generator=generator).contiguous(memory_format=layout)
    joined, expected = join(*maps), torch.cat(maps, dim=1)
    assert torch.equal(joined, expected)
    found = torch.autograd.grad(joined, maps, change)
    torch.testing.assert_close(found, torch.autograd.grad(expected, maps, change), rtol=0, atol=0)
    assert all(gradient.is_contiguous(memory_format=layout) for gradient in found)


@pytest.mark.parametrize("size", [(4, 6), (1, 1)])
def test_enlarging_is_the_same_in_training(size):
    """Results and gradients of one convolution of the small picture, and of one of the doubled picture."""
    torch.manual_seed(0)
    enlarge = UpConv(6, 5).double()
    torch.nn.init.normal_(enlarge.conv.bias)
    x = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for training in (True, False):
        out = enlarge.train(training)(x)
        gradients = torch.autograd.grad(out.square().sum(), [x, *enlarge.parameters()])
        results.append([out, *gradients])
    torch.testing.assert_close(*results)
