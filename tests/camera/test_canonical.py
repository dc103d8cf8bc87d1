"""The canonical sensor."""

from __future__ import annotations

import pytest
import torch

from revisp.camera.canonical import HEADROOM_EV, canonical_profile, light_to_raw, raw_to_light, sensor_reading
from revisp.camera.isp import ISPSettings, apply_isp, linear_to_srgb
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.errors import ConfigError


def test_mid_grey_lies_where_it_is_said_to() -> None:
    raw = light_to_raw(torch.full((3, 4, 4), MID_GREY, dtype=torch.float64))
    assert raw[1].mean().item() == pytest.approx(2**-HEADROOM_EV)
    balanced = raw * torch.tensor(canonical_profile().gains).view(3, 1, 1)
    assert (balanced - balanced[1]).abs().max() < 1e-7


def test_light_comes_back_from_raw() -> None:
    light = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    torch.testing.assert_close(raw_to_light(light_to_raw(light)), light)


def test_no_colour_of_srgb_is_negative() -> None:
    assert (light_to_raw(torch.eye(3).view(3, 3, 1)) > 0).all()


def test_its_profile_develops_the_raw_to_the_colours_of_the_scene() -> None:
    light = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.9
    settings = ISPSettings(exposure=HEADROOM_EV - 2.4739)  # log2(1 / 0.18) EV from mid grey to display white
    photo = apply_isp(light_to_raw(light), canonical_profile(), settings)
    assert (photo - linear_to_srgb(light)).abs().max() < 1e-4


def _balanced(raw: torch.Tensor) -> torch.Tensor:
    return raw * torch.tensor(canonical_profile().gains, dtype=raw.dtype).view(3, 1, 1)


@pytest.mark.parametrize("headroom", [0.0, 0.7, 2.0])
def test_what_a_sensor_clips_is_white(headroom: float) -> None:
    curve = tuple(x**2 for x in torch.linspace(0, 1, 33, dtype=torch.float64).tolist())
    rendering = SceneRendering(curve=curve, sensor_headroom=headroom)
    ramp = torch.linspace(0, 8, 81, dtype=torch.float64).expand(3, 1, 81)  # the photo's white is 1
    raw = _balanced(sensor_reading(rendering, ramp, gain=1.0))[:, 0]
    free = _balanced(light_to_raw(rendering.scene(ramp, gain=1.0)))[:, 0]
    torch.testing.assert_close(raw, free.clamp(max=free[1, 10].item() * 2**headroom))
    assert (raw - raw[1]).abs().max() < 1e-7
    assert torch.equal(rendering.render(ramp, gain=1.0), SceneRendering(curve=curve).render(ramp, gain=1.0))


def test_a_sensor_that_never_clips_holds_what_the_canonical_one_does() -> None:
    light = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 20
    light[:, :2] *= 1000
    free = light_to_raw(SceneRendering().scene(light, gain=1.0))
    raw = sensor_reading(SceneRendering(), light, gain=1.0)
    torch.testing.assert_close(_balanced(raw), _balanced(free).clamp(0, 1))


@pytest.mark.parametrize("headroom", [-0.1, float("nan"), float("inf"), "1"])
def test_a_headroom_that_no_sensor_has_is_refused(headroom: float) -> None:
    with pytest.raises(ConfigError, match="sensor_headroom must be"):
        SceneRendering(sensor_headroom=headroom)
