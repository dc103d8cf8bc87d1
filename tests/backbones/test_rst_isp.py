"""RST-ISP-Net: its published sizes, its styles, and the sizes of images it takes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import create_backbone
from revisp.backbones.blocks.cbam import CBAM
from revisp.backbones.blocks.whole_image import WholeImage
from revisp.backbones.rst_isp import _Blur, _EqualConv, _restyle, _Style
from revisp.errors import ConfigError, ShapeError

TINY = {"width": 2, "style": 4}


@pytest.mark.parametrize(
    ("variant", "side", "parameters", "gmac"), [("s7", 504, 86_310_148, 47.9), ("p20", 496, 86_300_932, 45.6)]
)
def test_the_published_networks(variant, side, parameters, gmac):
    with torch.device("meta"):
        network = create_backbone("rst_isp", out_channels=4, head="packed", variant=variant).eval()
        x = torch.empty(1, 3, side, side)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(x).shape == (1, 4, side // 2, side // 2)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.05)


@pytest.mark.parametrize("variant", ["s7", "p20"])
@pytest.mark.parametrize("head", ["packed", "raw_rgb"])
def test_every_multiple_it_names_works(variant, head):
    network = create_backbone("rst_isp", variant=variant, head=head, **TINY)
    least, step = network.min_size, network.multiple_of
    for height, width in ((least, least), (least + step, least), (least + 2 * step, least + 3 * step)):
        y = network(torch.rand(1, 3, height, width))
        assert y.shape[-2:] == ((height, width) if head == "raw_rgb" else (height // 2, width // 2))
    with pytest.raises(ShapeError, match=f"multiples of {step}"):
        network(torch.rand(1, 3, least, least + step // 2))
    with pytest.raises(ShapeError, match=f"at least {least}"):
        network(torch.rand(1, 3, least - step, least))


def test_padding_leaves_odd_multiples_of_8_alone():
    torch.manual_seed(0)
    network = create_backbone("rst_isp", head="packed", **TINY).eval()
    x = torch.rand(1, 3, 32, 40)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 8), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(padded)[:, :, :16])


@pytest.mark.parametrize("variant", ["s7", "p20"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_image_is_finite(variant, value):
    network = create_backbone("rst_isp", variant=variant, **TINY)
    y = network(torch.full((1, 3, 32, 48), value))
    y.square().mean().backward()
    assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_restyled_channels_have_the_mean_and_deviation_of_the_style():
    torch.manual_seed(0)
    x = 3 + 2 * torch.rand(2, 5, 12, 9, dtype=torch.double)
    scale, shift = torch.rand(2, 5, 1, 1, dtype=torch.double) + 0.5, torch.randn(2, 5, 1, 1, dtype=torch.double)
    y = _restyle(x, scale, shift, WholeImage())
    torch.testing.assert_close(y.mean(dim=(-2, -1), keepdim=True), shift)
    torch.testing.assert_close(y.std(dim=(-2, -1), keepdim=True), scale, rtol=1e-4, atol=0)


def test_a_style_is_one_linear_map_of_the_gram_matrix():
    torch.manual_seed(0)
    style = _Style(3, 5, None).double()
    x = torch.rand(2, 3, 4, 6, dtype=torch.double)
    gram = torch.einsum("bihw,bjhw->bij", x, x).flatten(1) / 24
    expected = style.linear2(style.linear1(gram))
    scale, shift = style(x)
    torch.testing.assert_close(torch.cat([scale, shift], dim=1)[..., 0, 0], expected)
    shuffled = x.flatten(2)[..., torch.randperm(24)].view_as(x)  # the places of pixels do not matter
    torch.testing.assert_close(style(shuffled)[0], scale)


def test_blur_keeps_level_and_grows_by_a_pixel():
    y = _Blur()(torch.ones(1, 2, 9, 7))
    assert y.shape == (1, 2, 10, 8)
    torch.testing.assert_close(y[..., 2:-2, 2:-2], torch.ones(1, 2, 6, 4))


def test_equalised_convolutions_keep_the_variance():
    torch.manual_seed(0)
    y = _EqualConv(32, 64, 3, padding=0)(torch.randn(2, 32, 24, 24))
    assert y.std().item() == pytest.approx(1, abs=0.05)


def test_attention_weighs_channels_then_pixels_within_0_and_1():
    torch.manual_seed(0)
    x = torch.rand(2, 16, 8, 8) + 0.1
    weights = CBAM(16)(x) / x
    assert ((weights > 0) & (weights < 1)).all()
    ratio = weights / weights[:, :1]
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"width": 0}, "width=0"), ({"style": 0}, "style=0"), ({"variant": "s8"}, "unknown variant 's8'")],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone("rst_isp", **arguments)
