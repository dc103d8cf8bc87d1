"""The RAW-to-RAW step and its loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from revisp.cfa import CFA, sample_mask
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic
from revisp.refine import BayerRefiner, bayer_to_yuv, yuv_loss


class Recorder(nn.Module):
    """Remembers its input; adds a constant to each plane."""

    def __init__(self, *planes: float, multiple_of: int = 1):
        super().__init__()
        self.register_buffer("planes", torch.tensor(planes)[:, None, None])
        self.multiple_of = multiple_of
        self.seen = torch.empty(0)

    def forward(self, x):
        self.seen = x
        return self.planes.expand_as(x)


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("size", [(16, 20), (17, 19), (5, 4)])
def test_corrections_land_on_their_own_colour(cfa, size):
    network = Recorder(1.0, 2.0, 3.0, 4.0, multiple_of=8)
    bayer = torch.zeros(2, 1, *size)
    refined = BayerRefiner(network, cfa)(bayer)
    assert refined.shape == bayer.shape
    assert network.seen.shape[-2] % 8 == network.seen.shape[-1] % 8 == 0
    red, green, blue = sample_mask(cfa, *size)
    assert refined[0, 0][red].unique().tolist() == [1]
    assert refined[0, 0][blue].unique().tolist() == [4]
    assert refined[0, 0][green].unique().tolist() == [2, 3]
    on_red_rows = green & red.any(-1, keepdim=True)
    assert refined[0, 0][on_red_rows].unique().tolist() == [2]


def test_network_sees_planes_of_one_colour_at_odd_sizes():
    colours = torch.tensor([0.1, 0.5, 0.9])[:, None, None].expand(1, 3, 9, 11)
    network = Recorder(0.0, 0.0, 0.0, 0.0, multiple_of=4)
    bayer = mosaic(colours, "GBRG")
    assert torch.equal(BayerRefiner(network, "GBRG")(bayer), bayer)
    assert network.seen.shape == (1, 4, 8, 8)
    for plane, value in zip(network.seen[0], (0.1, 0.5, 0.5, 0.9), strict=True):
        torch.testing.assert_close(plane, torch.full((8, 8), value))


def test_refiner_learns_a_fixed_error():
    """A 1x1 network removes an offset of the green planes in a few steps."""
    truth = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    wrong = truth + 0.1 * sample_mask("RGGB", 8, 8)[1]
    refiner = BayerRefiner(nn.Conv2d(4, 4, 1), "RGGB")
    nn.init.zeros_(refiner.network.weight)
    nn.init.zeros_(refiner.network.bias)
    optimizer = torch.optim.Adam(refiner.parameters(), lr=0.01)
    before = yuv_loss(wrong, truth, "RGGB").item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = yuv_loss(refiner(wrong), truth, "RGGB")
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * before


def test_yuv_by_hand():
    # RGGB tile: R 0.2, Gr 0.4, Gb 0.8, B 1.0 -> RGB (0.2, 0.6, 1.0)
    bayer = torch.tensor([[[[0.2, 0.4], [0.8, 1.0]]]])
    expected = [
        0.299 * 0.2 + 0.587 * 0.6 + 0.114 * 1.0,
        -0.169 * 0.2 - 0.331 * 0.6 + 0.499 * 1.0,
        0.499 * 0.2 - 0.418 * 0.6 - 0.0813 * 1.0,
    ]
    torch.testing.assert_close(bayer_to_yuv(bayer, "RGGB").flatten(), torch.tensor(expected))


@pytest.mark.parametrize("cfa", CFA)
def test_grey_has_no_chroma_in_any_phase(cfa):
    yuv = bayer_to_yuv(torch.full((2, 1, 6, 8), 0.5), cfa)
    assert yuv.shape == (2, 3, 3, 4)
    torch.testing.assert_close(yuv[:, 0], torch.full((2, 3, 4), 0.5))
    assert yuv[:, 1:].abs().max() < 1e-3  # the published rows add up to -0.001 and -0.0003


def test_yuv_loss_is_the_mean_over_components():
    """A green error of 0.1 everywhere weighs 0.587, 0.331 and 0.418 in Y, U and V."""
    truth = torch.zeros(1, 1, 4, 4)
    prediction = 0.1 * sample_mask("BGGR", 4, 4)[1].float()[None, None]
    expected = 0.1 * (0.587 + 0.331 + 0.418) / 3
    torch.testing.assert_close(yuv_loss(prediction, truth, "BGGR"), torch.tensor(expected))
    assert yuv_loss(truth, truth, "BGGR") == 0


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="RGBW"):
        BayerRefiner(nn.Identity(), "RGBW")
    with pytest.raises(ShapeError, match="must keep its input's shape"):
        BayerRefiner(nn.Conv2d(4, 3, 1))(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ShapeError, match="floating point"):
        bayer_to_yuv(torch.zeros(1, 1, 4, 4, dtype=torch.int32), "RGGB")
    with pytest.raises(ShapeError, match="differ in size"):
        yuv_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 6), "RGGB")
