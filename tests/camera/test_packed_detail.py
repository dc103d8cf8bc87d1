"""Steps on packed planes are those on whole pictures."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from revisp.camera.detail import denoise, gaussian_blur, local_tone, sharpen
from revisp.camera.packed_detail import denoise_planes, detail_of, enlarged_planes, local_tone_planes
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.cfa import CFA, pack, unpack
from revisp.demosaic import demosaic, demosaic_planes
from revisp.mosaic import mosaic

PHASES = pytest.mark.parametrize("cfa", list(CFA))


def _picture(channels: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(0))


def _planes(picture: torch.Tensor, cfa: CFA) -> torch.Tensor:
    return pack(picture.unsqueeze(1), cfa)


def _whole(planes: torch.Tensor, cfa: CFA) -> torch.Tensor:
    return unpack(planes, cfa).squeeze(1)


@PHASES
@pytest.mark.parametrize("size", [(96, 80), (82, 90)])
@pytest.mark.parametrize("radius", [24, 5])
def test_local_tone(cfa, size, radius):
    linear = _picture(3, *size).square()
    luminance = torch.einsum("c,chw->hw", torch.tensor(SRGB_TO_XYZ[1]).float(), linear)[None]
    expected = local_tone(linear, 0.3, radius)
    lifted = local_tone_planes(_planes(linear, cfa), _planes(luminance, cfa), 0.3, radius, cfa)
    torch.testing.assert_close(_whole(lifted, cfa), expected, rtol=1e-4, atol=1e-6)


@PHASES
def test_denoising_and_sharpening(cfa):
    srgb = _picture(3, 82, 90)
    planes = _planes(srgb, cfa)
    torch.testing.assert_close(_whole(denoise_planes(planes, 0.05, cfa), cfa), denoise(srgb, 0.05))
    torch.testing.assert_close(srgb + 0.7 * detail_of(planes, 1.2, cfa), sharpen(srgb, 0.7, 1.2))


@PHASES
@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging(cfa, factor):
    small = _picture(2, 7, 10)
    expected = F.interpolate(small[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(_whole(enlarged_planes(small, factor, cfa), cfa), expected)


@PHASES
@pytest.mark.parametrize("size", [(4, 6), (20, 10)])
def test_demosaicing(cfa, size):
    bayer, gains = _picture(1, *size), (2.0, 1.0, 1.5)
    colours = _whole(demosaic_planes(_planes(bayer, cfa)[0], cfa, gains), cfa)
    torch.testing.assert_close(colours, demosaic(bayer, cfa, "malvar", gains=gains))
    assert torch.equal(mosaic(colours, cfa), bayer)


def test_small_pictures_are_blurred_as_large_ones():
    """By matrices, and by sums of shifted pictures; gradients pass."""
    x = _picture(1, 60, 64).double().requires_grad_()
    beside = F.pad(x[None], (0, 40, 0, 0), mode="replicate")[0]
    blurred = gaussian_blur(x, 3.0)
    torch.testing.assert_close(blurred, gaussian_blur(beside, 3.0)[..., :64])
    blurred.sum().backward()
    assert x.grad is not None
