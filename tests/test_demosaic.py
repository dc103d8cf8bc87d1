"""Demosaicing, against colour-demosaicing, on photographs, at borders and at odd sizes."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import colour_demosaicing
import kornia
import numpy as np
import pytest
import skimage.data
import torch

from revisp.cfa import CFA, pack, sample_mask, unpack
from revisp.demosaic import Demosaic, demosaic, demosaic_planes, write_back
from revisp.demosaicnet import DemosaicNet
from revisp.errors import ConfigError, ShapeError, WeightsError
from revisp.mosaic import mosaic

GAINS = (2.0, 1.0, 1.7)


def psnr(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor | None = None) -> float:
    error = (a - b).square()
    return -10 * (error.mean() if where is None else error[..., where].mean()).log10().item()


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """A crop of skimage's astronaut, [1, 3, 160, 160] in [0, 1]."""
    crop = skimage.data.astronaut()[16:176, 140:300]
    return torch.from_numpy(crop).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def net() -> DemosaicNet:
    return DemosaicNet()


@pytest.fixture(scope="module")
def raw_rgb(photo: torch.Tensor) -> torch.Tensor:
    """The photo as a linear RAW without white balance."""
    linear = torch.where(photo <= 0.04045, photo / 12.92, ((photo + 0.055) / 1.055) ** 2.4)
    return linear / torch.tensor(GAINS)[:, None, None]


@pytest.mark.parametrize("cfa", CFA)
def test_demosaicnet_restores_a_photo_in_every_phase(photo, net, cfa):
    """The network knows one phase: without the shift to it the others would stay below 26 dB."""
    bayer = mosaic(photo, cfa)
    learned, bilinear = net(bayer, cfa), demosaic(bayer, cfa)
    assert psnr(learned, photo) > 38
    assert 28 < psnr(bilinear, photo) < 34
    border = torch.ones(160, 160, dtype=torch.bool)
    border[4:-4, 4:-4] = False
    assert psnr(learned, photo, border) > psnr(learned, photo, ~border) - 2


def test_demosaicnet_is_the_published_network(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 560_886
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net.training


def test_demosaicnet_sees_far_enough_that_padding_changes_nothing_inside(photo, net):
    """Cropping the mosaic by even numbers changes only what lies within 31 pixels of the new edge."""
    whole, part = net(mosaic(photo, "RGGB"), "RGGB"), net(mosaic(photo, "RGGB")[..., 20:-20, 30:-10], "RGGB")
    torch.testing.assert_close(whole[..., 51:-51, 61:-41], part[..., 31:-31, 31:-31], atol=1e-5, rtol=0)


def test_demosaicnet_gives_the_same_in_tiles(photo, net, monkeypatch):
    bayer = mosaic(photo[..., :101, :150], "GBRG")
    whole = net(bayer, "GBRG")
    monkeypatch.setattr("revisp.demosaicnet.TILE_SIDE", 64)
    torch.testing.assert_close(net(bayer, "GBRG"), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("size", [(16, 16), (17, 16), (16, 23), (35, 33)])
@pytest.mark.parametrize("method", ["bilinear", "malvar", "demosaicnet"])
def test_sizes_and_samples_are_kept(photo, net, method, cfa, size):
    bayer = mosaic(photo, cfa)[..., : size[0], : size[1]]
    raw_rgb = demosaic(bayer, cfa, method, gains=GAINS, network=net)
    assert raw_rgb.shape == (1, 3, *size)
    assert torch.equal(mosaic(raw_rgb, cfa), bayer)
    assert psnr(raw_rgb, photo[..., : size[0], : size[1]]) > 22


@pytest.mark.parametrize("method", ["bilinear", "malvar", "demosaicnet"])
def test_a_flat_colour_is_recovered(net, method):
    """Under its own white balance a flat field is grey, which every method reproduces, borders included."""
    flat = torch.tensor([0.2, 0.4, 0.4 / 1.7])[:, None, None].expand(2, 3, 21, 34)
    result = demosaic(mosaic(flat, "GBRG"), "GBRG", method, gains=GAINS, network=net)
    torch.testing.assert_close(result, flat, atol=0.01 if method == "demosaicnet" else 1e-6, rtol=0)


@pytest.mark.parametrize("cfa", CFA)
def test_malvar_agrees_with_colour_demosaicing(cfa):
    bayer = np.random.default_rng(0).random((19, 22))
    theirs = colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004(bayer, cfa.value)
    ours = demosaic(torch.from_numpy(bayer)[None], cfa, "malvar").permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=1e-12)


def test_better_methods_are_better_on_linear_raw(raw_rgb, net):
    bayer = mosaic(raw_rgb, "RGGB")
    scores = [
        psnr(demosaic(bayer, "RGGB", method, gains=GAINS, network=net), raw_rgb)
        for method in ("bilinear", "malvar", "demosaicnet")
    ]
    assert scores[0] + 2 < scores[1]
    assert scores[1] + 2 < scores[2]


@pytest.mark.parametrize("method", ["malvar", "demosaicnet"])
def test_white_balance_helps_and_its_scale_does_not_matter(raw_rgb, net, method):
    bayer = mosaic(raw_rgb, "GRBG")
    plain, balanced = (demosaic(bayer, "GRBG", method, gains=g, network=net) for g in ((1.0, 1.0, 1.0), GAINS))
    assert psnr(balanced, raw_rgb) > psnr(plain, raw_rgb) + 0.3
    rescaled = demosaic(bayer, "GRBG", method, gains=(1.0, 0.5, 0.85), network=net)
    torch.testing.assert_close(rescaled, balanced, atol=1e-5, rtol=0)


def test_demosaicnet_on_a_real_raw_beats_bilinear(sample_data, net):
    """A real mosaic reduced to half size, so that all three colours of a pixel are measured."""
    path = sample_data / "raw_samples" / "nikon_crop" / "DSC_1339_768x512_rggb.raw"
    stored = torch.from_numpy(np.fromfile(path, "<u2").astype(np.float32)).reshape(1, 1, 512, 768)[
        ..., 128:384, 256:512
    ]
    r, gr, gb, b = torch.nn.functional.pixel_unshuffle((stored - 600) / (15520 - 600), 2).split(1, dim=1)
    truth = torch.cat([r, (gr + gb) / 2, b], dim=1)
    bayer = mosaic(truth, "BGGR")
    learned = demosaic(bayer, "BGGR", "demosaicnet", gains=(1.949, 1.0, 1.344), network=net)
    assert psnr(learned, truth) > psnr(demosaic(bayer, "BGGR"), truth) + 3


def test_write_back_replaces_the_measured_samples_only():
    estimate, bayer = torch.zeros(2, 3, 5, 6), torch.rand(2, 1, 5, 6) + 1
    result = write_back(estimate, bayer, "BGGR")
    assert torch.equal(mosaic(result, "BGGR"), bayer)
    assert torch.equal(result == 0, ~sample_mask("BGGR", 5, 6).expand(2, 3, 5, 6))
    with pytest.raises(ShapeError, match="differ in size"):
        write_back(estimate, bayer[..., 1:], "BGGR")


def test_module_equals_function(photo, net):
    bayer = mosaic(photo[..., :32, :32], "GRBG")
    module = Demosaic("demosaicnet", "GRBG", gains=GAINS)
    assert torch.equal(module(bayer), demosaic(bayer, "GRBG", "demosaicnet", gains=GAINS))
    assert "method='demosaicnet', cfa='GRBG'" in repr(module)
    assert module(bayer.expand(2, 3, 1, 32, 32)).shape == (2, 3, 3, 32, 32)


def test_other_precision_and_gradients(net):
    bayer = torch.rand(1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    bayer.requires_grad_()
    result = demosaic(bayer, "RGGB", "demosaicnet")
    assert result.dtype == torch.float64
    result.sum().backward()
    assert bayer.grad.isfinite().all()
    assert bayer.grad.abs().min() > 0


def test_weights_from_a_file_and_errors(tmp_path: Path, monkeypatch, net):
    copy = tmp_path / "bayer.pth"
    torch.save(net.state_dict(), copy)
    assert torch.equal(DemosaicNet(copy).upsampler.weight, net.upsampler.weight)

    text = tmp_path / "text.pth"
    text.write_text("not weights")
    other = tmp_path / "other.pth"
    torch.save(torch.nn.Conv2d(1, 1, 1).state_dict(), other)
    empty = tmp_path / "empty.pth"
    empty.touch()
    for path in (text, other, empty, tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError, match="not the weights of DemosaicNet") as caught:
            DemosaicNet(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def nowhere(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", nowhere)
    with pytest.raises(WeightsError, match="pip install demosaicnet"):
        DemosaicNet()
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [])
    with pytest.raises(WeightsError, match=r"holds no demosaicnet/data/bayer\.pth"):
        DemosaicNet()


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match=r"unknown demosaicing method 'menon'.*malvar"):
        Demosaic("menon")
    with pytest.raises(ConfigError, match="three positive numbers"):
        demosaic(torch.zeros(1, 1, 8, 8), "RGGB", gains=(1.0, 0.0, 1.0))
    with pytest.raises(ConfigError, match="has no weights"):
        Demosaic("bilinear", weights="bayer.pth")
    with pytest.raises(ShapeError, match="floating point"):
        demosaic(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "RGGB")


@pytest.mark.parametrize("cfa", CFA)
def test_bilinear_agrees_with_kornia_up_to_the_border(cfa):
    bayer = torch.rand(2, 1, 16, 22)
    expected = write_back(kornia.color.raw_to_rgb(bayer, cfa.kornia), bayer, cfa)
    torch.testing.assert_close(demosaic(bayer, cfa), expected)


@pytest.mark.parametrize("cfa", list(CFA))
@pytest.mark.parametrize("size", [(4, 6), (20, 10)])
def test_planes_are_demosaiced_as_the_mosaic(cfa, size):
    bayer, gains = torch.rand(1, *size, generator=torch.Generator().manual_seed(0)), (2.0, 1.0, 1.5)
    colours = unpack(demosaic_planes(pack(bayer, cfa), cfa, gains), cfa).squeeze(1)
    torch.testing.assert_close(colours, demosaic(bayer, cfa, "malvar", gains=gains))
    assert torch.equal(mosaic(colours, cfa), bayer)
