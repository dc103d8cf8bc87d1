"""HDR renditions of scenes: what their gain maps tell, against the formula of gain maps and what was put in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from revisp.camera.draw import generator_of
from revisp.camera.hdr_rendition import BLACK, HDRRendition, random_hdr_rendition
from revisp.camera.isp import linear_to_srgb, srgb_to_linear
from revisp.io import GainMap
from revisp.io.gain_fields import GainFields


@pytest.fixture
def light() -> torch.Tensor:
    """Light from 4 EV below mid grey to 6 EV above."""
    return 0.18 * torch.exp2(torch.linspace(-4, 6, 64)).expand(3, 48, 64)


def _as_file(light: torch.Tensor, photo: torch.Tensor, level: float) -> GainMap:
    """The gain map of a rendition that is linear to the light, as a writer stores it."""
    hdr, sdr = (light.mean(0, keepdim=True) * 2**level, srgb_to_linear(photo).mean(0, keepdim=True))
    stops = ((hdr + BLACK) / (sdr + BLACK)).log2()
    least, most = float(stops.min()), float(stops.max())
    fields = GainFields(*(np.array([x], np.float32) for x in (least, most, 1, BLACK, BLACK)), headroom=most)
    return GainMap((stops - least) / (most - least), fields, (photo.shape[1], photo.shape[2]), "a test")


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.7])
def test_a_file_tells_what_is_learnt_from(light: torch.Tensor, level: float) -> None:
    photo = linear_to_srgb(light.clamp(0, 1))
    found = _as_file(light, photo, level).above_mid_grey(photo)
    torch.testing.assert_close(found, HDRRendition(level=level).above_mid_grey(light, photo), rtol=0, atol=0.03)


def test_a_linear_rendition_tells_what_is_clipped(light: torch.Tensor) -> None:
    photo = linear_to_srgb(light.clamp(0, 1))
    gain = HDRRendition().above_mid_grey(light, photo)[0]
    bright = light[0] > 1
    torch.testing.assert_close(gain[bright], light[0][bright].log2(), rtol=0, atol=0.05)
    assert gain[~bright].abs().max() < 0.01


def test_a_phone_leaves_the_photo_above_mid_grey_and_ends(light: torch.Tensor) -> None:
    photo = linear_to_srgb(light.clamp(0, 1))
    gain = HDRRendition(contrast=1.3, headroom=2.0, least=0.0).above_mid_grey(light, photo)[0]
    dark = light[0] < 0.17
    assert gain[dark].abs().max() < 1e-4
    assert gain.max() == pytest.approx(2.0, abs=0.05)
    assert (gain[0].diff() > -1e-4).all()


@pytest.mark.parametrize("smaller", [2, 4])
def test_a_small_map_of_8_bits_is_near_the_ideal_one(light: torch.Tensor, smaller: int) -> None:
    photo = linear_to_srgb(light.clamp(0, 1))
    ideal = HDRRendition().above_mid_grey(light, photo)
    stored = HDRRendition(smaller=smaller, eight_bits=True).above_mid_grey(light, photo)
    assert (stored - ideal).abs().max() < 0.4
    assert (stored - ideal).abs().mean() < 0.05


def test_renditions_are_many_and_functions_of_their_seed() -> None:
    drawn = [random_hdr_rendition(generator_of(number)) for number in range(200)]
    assert drawn == [random_hdr_rendition(generator_of(number)) for number in range(200)]
    linear = [rendition for rendition, _ in drawn if rendition.headroom == np.inf]
    assert 50 < len(linear) < 110
    assert {rendition.smaller for rendition, _ in drawn} == {1, 2, 4}
    assert np.std([error for _, error in drawn]) == pytest.approx(0.1, rel=0.3)


def test_a_photo_without_mid_greys_is_told_by_the_nearest() -> None:
    photo = torch.full((3, 20, 20), 0.9)
    light = srgb_to_linear(photo)
    assert _as_file(light + torch.linspace(0, 1, 20), photo, 0.0).above_mid_grey(photo).median().abs() < 0.1
    clipped = torch.ones(3, 20, 20)
    assert _as_file(3 * clipped + torch.linspace(0, 1, 20), clipped, 0.0).above_mid_grey(clipped).isfinite().all()


@pytest.mark.parametrize("smaller", [2, 4])
def test_small_maps_tell_of_lamps_smaller_than_their_places(smaller: int) -> None:
    """Lamps of 3 EV above white, some smaller than a place of the map, that lie anywhere on its grid."""
    light = torch.full((3, 64, 64), 0.75)
    for top, left, side in ((3, 5, 3), (9, 30, 5), (30, 9, 8), (41, 42, 13)):
        light[:, top : top + side, left : left + side] = 8.0
    photo = linear_to_srgb(light.clamp(0, 1))
    lamps = light[0] == 8
    ideal = HDRRendition().above_mid_grey(light, photo)[0]
    stored = HDRRendition(smaller=smaller).above_mid_grey(light, photo)[0]
    assert (stored - ideal)[lamps].abs().mean() < 0.15
    mixed = torch.nn.functional.adaptive_avg_pool2d(ideal[None, None], 64 // smaller)
    mixed = torch.nn.functional.interpolate(mixed, 64, mode="bilinear")[0, 0]
    assert (mixed - ideal)[lamps].abs().mean() > 3 * (stored - ideal)[lamps].abs().mean()
