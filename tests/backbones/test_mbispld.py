"""MBISPLD: what its steps may and may not do to a photo."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones import create_backbone
from revisp.backbones.blocks.dictionary import AtomWeights
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.camera.unprocess import UPI_XYZ_TO_CAMERA
from revisp.errors import ConfigError


def network(**kwargs):
    torch.manual_seed(0)
    return create_backbone("mbispld", **{"width": 8, "colours": 5, "gains": 5, **kwargs})


def test_the_default_network_has_102_848_parameters():
    with torch.device("meta"):
        default = create_backbone("mbispld")
    assert sum(parameter.numel() for parameter in default.parameters()) == 102_848


def test_the_colour_dictionary_starts_with_upis_matrices_and_keeps_grey():
    colours = network().colours.detach().double()
    upi = torch.from_numpy(UPI_XYZ_TO_CAMERA[0] @ SRGB_TO_XYZ)
    torch.testing.assert_close(colours[0], upi / upi.sum(dim=1, keepdim=True), rtol=0, atol=1e-6)
    torch.testing.assert_close(colours.sum(dim=-1), torch.ones(5, 3, dtype=torch.double), rtol=0, atol=1e-6)


def test_the_gain_dictionary_starts_with_the_papers_atoms_and_all_atoms_differ():
    module = network()
    gains = module.log_gains.detach().exp()
    torch.testing.assert_close(gains[:2], torch.tensor([[1.44, 1.70, 1.85], [1.33, 1.72, 1.80]]))
    assert len(gains.unique(dim=0)) == 5
    assert len(module.colours.detach().unique(dim=0)) == 5
    torch.testing.assert_close(module.log_gammas.detach().exp(), torch.tensor([2.0, 2.2, 2.4, 2.6]))


def test_black_stays_black_and_grey_is_dimmer_in_red_and_blue():
    module = network().eval()
    photo = torch.zeros(1, 3, 16, 24)
    photo[..., 12:] = 0.5
    with torch.no_grad():
        raw = module(photo)
    assert raw[..., :12].abs().max() < 1e-6
    red, green, blue = raw[0, :, 8, 14]
    assert 0 < red < green
    assert 0 < blue < green
    assert green < 0.5**2


def test_shading_starts_round_and_as_drawn_in_the_paper():
    gaussian = network().shading.gaussian(301, 401).detach()
    assert gaussian[150, 200] == 1
    assert gaussian[0, 0].item() == pytest.approx(0.66, abs=0.01)
    assert gaussian[150, 300].item() == pytest.approx(gaussian[50, 200].item(), abs=1e-5)


def test_the_attention_only_darkens():
    module = network().eval()
    raw = torch.rand(2, 3, 12, 10)
    with torch.no_grad():
        factor = module.shading(raw) / raw
    assert ((factor > 0) & (factor < 1)).all()
    torch.testing.assert_close(factor[:, :1].expand_as(factor), factor)


def test_the_place_in_the_image_matters():
    flat = torch.full((1, 3, 40, 40), 0.5)
    with torch.no_grad():
        raw = network().eval()(flat)
    assert raw[0, 1, 20, 20] > 1.05 * raw[0, 1, 10, 10]


def test_the_tone_curve_rises_and_keeps_black_and_white():
    module = network()
    with torch.no_grad():
        module.tone[-1].weight.zero_()
        module.shading.attention[-1].weight.zero_()
        module.shading.log_deviation.fill_(20.0)
        outputs = []
        for bias in (-1.0, 1.0):
            module.tone[-1].bias.fill_(bias)
            for encoder in (module.gamma_weights, module.colour_weights, module.gain_weights):
                encoder.scores.weight.zero_()
            grey = torch.linspace(0, 1, 11).expand(1, 3, 4, 11)
            outputs.append(module(grey)[0, 1, 0])
    bright, dark = outputs
    assert (bright.diff() > 0).all()
    assert (dark.diff() > 0).all()
    assert (bright[1:-1] > dark[1:-1]).all()
    torch.testing.assert_close(bright[[0, -1]], dark[[0, -1]])


def test_each_prediction_has_gains_and_shading_of_its_own():
    module = network(out_channels=6)
    assert module.gain_weights(torch.rand(2, 3, 16, 16)).shape == (2, 2, 5)
    with torch.no_grad():
        module.shading.attention[-1].bias[1] = -3.0
        raw = module(torch.rand(1, 3, 16, 16))
    assert (raw[:, 3:] < 0.2 * raw[:, :3]).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_photos_have_finite_gradients(value):
    photo = torch.full((1, 3, 9, 9), value, requires_grad=True)
    module = network()
    module(photo).sum().backward()
    assert photo.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_weights_of_atoms_are_convex_and_depend_on_the_image():
    torch.manual_seed(0)
    encoder = AtomWeights(3, atoms=4, heads=2)
    with torch.no_grad():
        weights = encoder(torch.stack([torch.zeros(3, 17, 23), torch.ones(3, 17, 23)]))
    assert weights.shape == (2, 2, 4)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 2))
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("argument", ["colours", "gains", "width"])
def test_sizes_that_cannot_work_are_refused(argument):
    with pytest.raises(ConfigError, match=f"{argument}=0"):
        create_backbone("mbispld", **{argument: 0})


def test_four_planes_are_refused():
    with pytest.raises(ConfigError, match="mbispld: in_channels must be 3 to 8 and out_channels a multiple of 3"):
        create_backbone("mbispld", out_channels=4)
