"""The aligned loss: a shifted target is no fault of the prediction, an unshifted one costs what it did."""

import numpy as np
import pytest
import torch
from scipy.ndimage import shift
from skimage import data

from revisp.cfa import CFA, pack
from revisp.errors import ConfigError, ShapeError, WeightsError
from revisp.losses import create_loss, l1_loss
from revisp.losses.colour_map import GlobalColourMap
from revisp.losses.flow import valid_after, warp
from revisp.losses.structural import ssim_loss
from revisp.mosaic import mosaic

NAMES = ("astronaut", "chelsea")


def raw(moved=(0.0, 0.0), size=80):
    """Demosaiced RAW of two photographs whose content was moved by (x, y) pixels, ``[2,3,H,W]``."""
    parts = []
    for name in NAMES:
        image = shift(getattr(data, name)() / 255, (moved[1], moved[0], 0), order=3, mode="nearest")
        parts.append(np.clip(image[60 : 60 + size, 60 : 60 + size], 0, 1).transpose(2, 0, 1))
    gains = torch.tensor([0.35, 0.7, 0.5]).view(3, 1, 1)
    return torch.from_numpy(np.stack(parts)).float() ** 2.2 * gains


def photo(raw_rgb):
    """A rendering of a RAW."""
    return (raw_rgb / torch.tensor([0.35, 0.7, 0.5]).view(3, 1, 1)).clamp(0, 1) ** (1 / 2)


def planes(raw_rgb, cfa="RGGB"):
    return pack(mosaic(raw_rgb, cfa), cfa)


def trained(truth, target, srgb, steps=10, cfa="RGGB", **settings):
    """A loss whose colour map has seen the batch for a few steps."""
    torch.manual_seed(0)
    loss = create_loss("aligned", **settings)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(truth, target, srgb=srgb, cfa=cfa).backward()
        optimizer.step()
    return loss


@pytest.mark.parametrize(("packed", "cfa"), [(False, "RGGB"), (True, "RGGB"), (True, "GBRG")])
def test_a_shifted_target_is_no_fault_of_the_prediction(packed, cfa):
    truth, target = raw(), raw(moved=(1.7, -2.4))
    srgb = photo(truth)
    if packed:
        truth, target = planes(truth, cfa), planes(target, cfa)
    loss = trained(truth, target, srgb, cfa=cfa)
    value = loss(truth, target, srgb=srgb, cfa=cfa)
    assert value - _map_loss(loss, target, srgb, cfa) < 0.3 * l1_loss(truth, target)
    assert loss(truth + 0.05, target, srgb=srgb, cfa=cfa) > value + 0.02


def _map_loss(loss, target, srgb, cfa="RGGB"):
    return loss._align(target, srgb, None, CFA.parse(cfa))[2]


@pytest.mark.parametrize("packed", [False, True])
def test_an_unshifted_target_costs_what_it_did(packed):
    truth = raw()
    srgb = photo(truth)
    if packed:
        truth = planes(truth)
    prediction = truth + 0.03 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    loss = trained(truth, truth, srgb)
    part = loss(prediction, truth, srgb=srgb) - _map_loss(loss, truth, srgb)
    assert part.item() == pytest.approx(l1_loss(prediction, truth).item(), rel=0.1)
    assert loss(truth, truth, srgb=srgb) - _map_loss(loss, truth, srgb) < 0.1 * part


def test_the_colour_map_learns_the_photos_colours_and_moves_nothing():
    target = raw(moved=(0.8, 0.6))
    srgb = photo(raw())
    loss = trained(raw(), target, srgb, steps=20)
    encoded = target ** (1 / 2.2)
    assert l1_loss(loss.colour_map(encoded, srgb), photo(target)) < 0.35 * l1_loss(encoded, photo(target))
    one = target.clone()
    one[:, :, 50, 60] = 0.9  # another value changes the map at its own pixel only
    changed = loss.colour_map(one, srgb) - loss.colour_map(target, srgb)
    centre = changed[:, :, 50, 60].abs().max()
    changed[:, :, 50, 60] = 0
    assert changed.abs().max() < 1e-3 * centre


def test_value_is_the_sum_of_its_parts():
    truth, target = raw(size=64), raw(moved=(1.0, 0.5), size=64)
    srgb = photo(truth)
    weight = torch.zeros(2, 1, 64, 64)
    weight[0, :, 10:40, :20], weight[1, :, :, 30:] = 1, 1
    loss = create_loss("aligned", ssim=0.3, colour=2.0)
    encoded = target ** (1 / 2.2)  # an untrained map changes nothing
    flow = loss.flow(srgb, encoded)
    seen = valid_after(flow) * weight
    warped = warp(target, flow)
    expected = l1_loss(truth, warped, seen) + 0.3 * ssim_loss(truth, warped, seen)
    expected = expected + 2 * l1_loss(warp(encoded, flow), srgb, seen)
    torch.testing.assert_close(loss(truth, target, weight, srgb=srgb), expected)


def test_gradients_reach_prediction_and_colour_map_within_the_region():
    truth, target = raw(size=64), raw(moved=(1.0, 0.5), size=64)
    srgb = photo(truth)
    prediction = (planes(truth) + 0.01).requires_grad_()
    weight = torch.zeros(2, 1, 32, 32)
    weight[0, :, 8:20, 8:20] = 1  # the second sample has no region
    loss = create_loss("aligned")
    loss(prediction, planes(target), weight, srgb=srgb).backward()
    assert (prediction.grad[weight.expand_as(prediction) == 0] == 0).all()
    assert (prediction.grad[weight.expand_as(prediction) > 0] != 0).all()
    assert all(parameter.grad is not None for parameter in loss.parameters())
    assert loss.colour_map.tail.weight.grad.abs().max() > 0
    prediction.grad = None
    nothing = loss(prediction, planes(target), torch.zeros_like(weight), srgb=srgb)
    loss.zero_grad()
    nothing.backward()
    assert nothing.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))
    assert all((parameter.grad == 0).all() for parameter in loss.parameters())


def test_half_precision_is_computed_in_float32():
    truth = raw(size=48).bfloat16()
    loss = create_loss("aligned", ssim=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(truth, truth, srgb=photo(truth.float()).bfloat16())
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert loss(truth.double(), truth.double(), srgb=photo(truth.double())).dtype == torch.float64


def test_black_pictures_are_harmless():
    black = torch.zeros(1, 4, 20, 22, requires_grad=True)
    value = create_loss("aligned", ssim=0.1)(black, torch.zeros(1, 4, 20, 22), srgb=torch.zeros(1, 3, 40, 44))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert black.grad.isfinite().all()


def test_size_of_the_colour_map():
    network = GlobalColourMap()
    assert sum(parameter.numel() for parameter in network.parameters()) == 42_979
    x = raw(size=32)
    assert torch.equal(network(x, photo(x)), x)


def test_wrong_settings_and_shapes_are_refused(tmp_path):
    for wrong, message in (
        ({"flow": "pwc"}, "flow 'pwc'"),
        ({"ssim": -1}, "ssim"),
        ({"colour": 0}, "colour"),
        ({"download": True}, "takes no weights"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_loss("aligned", **wrong)
    with pytest.raises(WeightsError, match="not a file"):
        create_loss("aligned", flow="raft", weights=tmp_path / "none.pth")
    loss = create_loss("aligned")
    assert loss.needs == ("srgb", "cfa")
    assert loss.linear
    x = raw(size=32)
    with pytest.raises(ConfigError, match="CFA"):
        loss(x, x, srgb=x, cfa="XTRANS")
    with pytest.raises(ShapeError, match=r"photo .* \[2, 3, 32, 32\]"):
        loss(x, x, srgb=x[..., :16, :16])
    with pytest.raises(ShapeError, match="3 channels or 4"):
        loss(x[:, :2], x[:, :2], srgb=x)
