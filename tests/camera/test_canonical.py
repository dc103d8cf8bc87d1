"""The canonical sensor."""

from __future__ import annotations

import pytest
import torch

from revisp.camera.canonical import HEADROOM_EV, canonical_profile, light_to_raw, raw_to_light
from revisp.camera.isp import ISPSettings, apply_isp, linear_to_srgb
from revisp.camera.scene_rendering import MID_GREY


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
