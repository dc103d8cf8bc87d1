"""Levels of overexposed pixels by a gain map: near the truth, never darker than what is clipped beside them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from revisp.camera.isp import srgb_to_linear
from revisp.camera.simulate import SIMULATED, sensor_light, simulate
from revisp.inference.gain_level import levels_by_gain
from revisp.io import GainMap
from revisp.io.gain_fields import GainFields
from revisp.pipeline import Reconstruction

NEUTRAL = SIMULATED.profile.as_shot_neutral
BALANCE = torch.tensor(NEUTRAL).view(3, 1, 1)


def _scene(exposure: float = 1.5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A photo with clipped lamps, its mask, and the RAW that the sensor read without noise."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 128), indexing="ij")
    lamps = sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.08) for a, b in ((-0.5, -0.4), (0.5, 0.3)))
    tint = torch.tensor([0.98, 1.0, 0.96]).view(3, 1, 1)
    photo = (0.25 + 0.1 * torch.sin(9 * x) + 0.6 * lamps)[None].clamp(0.02, 1) * tint
    shot = simulate(photo, SIMULATED, exposure=exposure, generator=torch.Generator().manual_seed(0))
    mask = (shot.srgb.amin(dim=0, keepdim=True) > 0.98).float()
    return shot.srgb, mask, sensor_light(photo, SIMULATED, exposure=exposure).clamp(0, 1)


def _map(srgb: torch.Tensor, raw: torch.Tensor, *, quarter: bool) -> GainMap:
    """The map to the light that the sensor read, 4 times the balanced RAW."""
    light = 4 * (raw / BALANCE).mean(dim=0, keepdim=True)
    stops = ((light + 1 / 64) / (srgb_to_linear(srgb).mean(dim=0, keepdim=True) + 1 / 64)).log2()
    least, most = float(stops.min()), float(stops.max())
    values = (stops - least) / (most - least)
    if quarter:
        values = (F.avg_pool2d(values[None], 4)[0] * 255).round() / 255
    numbers = [np.array([each], np.float32) for each in (least, most, 1, 1 / 64, 1 / 64)]
    return GainMap(values, GainFields(*numbers, headroom=most), tuple(srgb.shape[-2:]), "test")


def _flat_prediction(raw: torch.Tensor, mask: torch.Tensor) -> Reconstruction:
    """What a network without any idea of the lamps would give: right outside, level inside."""
    inside = torch.tensor(NEUTRAL).view(3, 1, 1) * 0.27
    guess = torch.where(mask > 0, inside, raw)
    bayer = guess.mean(dim=0, keepdim=True)
    return Reconstruction(guess, bayer, mask, None, None, bayer)


def _errors(found: torch.Tensor, raw: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    level = [(each / BALANCE).mean(dim=0, keepdim=True).log2() for each in (found, raw)]
    return (level[0] - level[1])[mask > 0].abs()


@pytest.mark.parametrize("quarter", [False, True])
@pytest.mark.parametrize("exposure", [1.0, 1.5, 2.0])
def test_the_error_is_at_most_a_third(exposure: float, quarter: bool):
    srgb, mask, raw = _scene(exposure)
    out = _flat_prediction(raw, mask)
    levelled = levels_by_gain(out, srgb, _map(srgb, raw, quarter=quarter), NEUTRAL)
    assert levelled is not None
    assert levelled.share == pytest.approx(mask.mean().item())
    before, after = _errors(out.raw_rgb, raw, mask).mean(), _errors(levelled.out.raw_rgb, raw, mask).mean()
    assert before > 0.3
    assert after < before / 3


@pytest.mark.parametrize("beyond", [0.0, 3.0])
def test_it_states_the_level_that_is_stored(beyond: float):
    """Also where the map asks for ``beyond`` EV more than the sensor can hold."""
    srgb, mask, raw = _scene()
    right = _map(srgb, raw, quarter=False)
    span = float(right.meaning.maximum[0] - right.meaning.minimum[0])
    higher = GainMap(right.values + mask * beyond / span, right.meaning, right.size, "test")
    levelled = levels_by_gain(_flat_prediction(raw, mask), srgb, higher, NEUTRAL)
    assert levelled is not None
    stored = (levelled.out.raw_rgb / BALANCE).mean(dim=0)[mask[0] > 0].max().item()
    white = 1 / 4  # the map's light is 4 times the RAW
    assert levelled.most == pytest.approx(np.log2(stored / white), abs=0.05)
    assert stored <= (1 / BALANCE).mean().item() + 1e-6


def test_nothing_changes_outside_the_mask():
    srgb, mask, raw = _scene()
    out = _flat_prediction(raw, mask)
    levelled = levels_by_gain(out, srgb, _map(srgb, raw, quarter=False), NEUTRAL)
    assert levelled is not None
    outside = (mask == 0)[0]
    assert torch.equal(levelled.out.raw_rgb[:, outside], out.raw_rgb[:, outside])
    assert torch.equal(levelled.out.bayer[:, outside], out.bayer[:, outside])


def test_no_pixel_becomes_darker_than_its_clipped_neighbours():
    """A map that darkens the lamps: their level stays that of the brightest pixels around."""
    srgb, mask, raw = _scene()
    out = _flat_prediction(raw, mask)
    right = _map(srgb, raw, quarter=False)
    dark = torch.where(mask > 0, torch.zeros_like(right.values), right.values)
    levelled = levels_by_gain(out, srgb, GainMap(dark, right.meaning, right.size, "test"), NEUTRAL)
    assert levelled is not None
    level = (levelled.out.raw_rgb / BALANCE).mean(dim=0, keepdim=True)
    around = F.max_pool2d(torch.where(mask > 0, torch.zeros_like(level), level)[None], 3, stride=1, padding=1)[0]
    edge = (mask > 0) & (around > 0)
    assert edge.any()
    assert (level[edge] >= around[edge] * 0.999).all()


def test_a_map_of_another_photo_or_no_mask_changes_nothing():
    srgb, mask, raw = _scene()
    out = _flat_prediction(raw, mask)
    good = _map(srgb, raw, quarter=False)
    noise = torch.rand(good.values.shape, generator=torch.Generator().manual_seed(0))
    wide = GainFields(*[np.array([each], np.float32) for each in (-4, 4, 1, 0, 0)], headroom=4.0)
    assert levels_by_gain(out, srgb, GainMap(noise, wide, good.size, "test"), NEUTRAL) is None
    assert levels_by_gain(out._replace(mask=mask * 0), srgb, good, NEUTRAL) is None
