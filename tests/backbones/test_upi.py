"""Unprocessing as a network: untrained it is UPI; fitted it has the gains of the pairs; trained it learns more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.backbones import create_backbone
from revisp.backbones.upi import UPI
from revisp.camera.fit import FitPair
from revisp.camera.unprocess import UPIUnprocess, fit_rgb_gain, mean_camera, unprocess
from revisp.errors import ConfigError, DataError, ShapeError
from revisp.mask import overexposure_mask
from revisp.training.task import Fittable

GAINS = {"rgb_gain": 1.6, "red_gain": 1.8, "blue_gain": 2.1}


def photo(seed: int = 0, size: int = 24) -> Tensor:
    """A photo ``[3, size, size]`` of random colours in [0, 1], both ends included."""
    generator = torch.Generator().manual_seed(seed)
    return (1.4 * torch.rand(3, size, size, generator=generator) - 0.2).clamp(0, 1)


def pair(seed: int = 0, size: int = 24) -> FitPair:
    """A photo and the RAW of a UPI camera with gains of its own."""
    srgb = photo(seed, size)
    return FitPair(srgb, unprocess(srgb, **{**mean_camera()._asdict(), **GAINS}))


def test_untrained_it_is_upi_s_mean_camera() -> None:
    srgb = photo()[None]
    with torch.no_grad():
        torch.testing.assert_close(UPI()(srgb).clamp(0, 1), UPIUnprocess()(srgb), atol=1e-6, rtol=1e-5)
    assert sum(parameter.numel() for parameter in UPI().parameters()) == 15


def test_a_clipped_white_pixel_stays_white() -> None:
    with torch.no_grad():
        torch.testing.assert_close(UPI()(torch.ones(1, 3, 2, 2)), torch.ones(1, 3, 2, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("in_channels", [3, 4])
@pytest.mark.parametrize("out_channels", [3, 6])
def test_fitted_it_has_the_gains_of_the_pairs_in_every_head(in_channels: int, out_channels: int) -> None:
    network = create_backbone("upi", in_channels=in_channels, out_channels=out_channels)
    assert isinstance(network, Fittable)
    camera = network.fit([pair(0), pair(1)])
    assert {name: getattr(camera, name) for name in GAINS} == pytest.approx(GAINS, rel=1e-4)
    srgb, raw, *_ = pair(2)
    x = torch.cat([srgb[None], overexposure_mask(srgb[None])], dim=1)[:, :in_channels]
    with torch.no_grad():
        for head in network(x).split(3, dim=1):
            torch.testing.assert_close(head.clamp(0, 1)[0], raw, atol=5e-3 if in_channels == 4 else 1e-4, rtol=0)


def test_the_fit_agrees_with_least_squares_and_is_not_misled_by_a_few_wrong_pixels() -> None:
    srgb, raw, *_ = pair()
    profile = SimpleNamespace(srgb_to_camera=mean_camera().srgb_to_camera, gains=(1.8, 1.0, 2.1))
    usable = ((srgb < 0.9) & (srgb > 0.1)).all(0, keepdim=True).float()
    assert fit_rgb_gain(srgb, raw, profile, usable) == pytest.approx(GAINS["rgb_gain"], rel=1e-3)
    raw[:, :4] = 0.9
    assert UPI().fit([FitPair(srgb, raw)]).rgb_gain == pytest.approx(GAINS["rgb_gain"], rel=1e-3)


def test_invalid_and_clipped_pixels_do_not_count_in_the_fit() -> None:
    srgb, raw, *_ = pair(size=48)
    raw[:, :24] = torch.nan
    valid = torch.ones(1, *raw.shape[-2:])
    valid[:, :36] = 0
    raw[:, 12:36] *= 3
    assert UPI().fit([FitPair(srgb, raw, valid)]).blue_gain == pytest.approx(GAINS["blue_gain"], rel=1e-4)


def test_pairs_that_tell_nothing_are_refused() -> None:
    white, black = torch.ones(3, 16, 16), torch.zeros(3, 16, 16)
    with pytest.raises(DataError, match="only 0 pixels"):
        UPI().fit([FitPair(white, white)])
    with pytest.raises(DataError, match="only 0 pixels"):
        UPI().fit([])
    with pytest.raises(DataError, match="is black"):
        UPI().fit([FitPair(0.5 * white, black)])
    with pytest.raises(ShapeError, match="raw_rgb"):
        UPI().fit([FitPair(white, white[:1])])


def test_the_mask_adds_to_overexposed_pixels_alone() -> None:
    network = UPI(in_channels=4)
    torch.nn.init.constant_(network.excess, 0.25)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1, 2] = 1
    x = photo(size=4)[None]
    with torch.no_grad():
        change = network(torch.cat([x, mask], dim=1)) - UPI()(x)
    torch.testing.assert_close(change, 0.25 * mask.expand_as(change))


def test_gains_stay_positive_and_matrix_gains_and_black_are_learnt() -> None:
    srgb, raw, *_ = pair()
    matrix = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
    true = UPI()
    true.load(mean_camera()._replace(srgb_to_camera=matrix.numpy(), **GAINS))
    torch.nn.init.constant_(true.black, 0.02)
    wanted = true(srgb[None]).detach()
    network = UPI()
    network.fit([FitPair(srgb, raw)])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.mse_loss(network(srgb[None]), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]
    torch.nn.init.constant_(network.log_gains, -20.0)
    with torch.no_grad():
        assert network(0.5 * torch.ones(1, 3, 2, 2)).min() > 0


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 3"):
        UPI(out_channels=4)
    with pytest.raises(ConfigError, match="3 to 8"):
        UPI(in_channels=9)
