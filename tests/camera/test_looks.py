"""Colour looks: hue, saturation, luminance."""

from __future__ import annotations

import colorsys

import pytest
import torch

from revisp.camera.looks import ColourLook, apply_look
from revisp.camera.scene_rendering import luminance
from revisp.errors import ConfigError


@pytest.fixture
def colours() -> torch.Tensor:
    return torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_greys_and_luminance_stay(colours: torch.Tensor) -> None:
    look = ColourLook((20, 5, -5, 10, 3), (0.5, 0.2, -0.1, 0.1, 0.3))
    torch.testing.assert_close(luminance(apply_look(colours, look)), luminance(colours))
    grey = colours[:1].expand(3, -1, -1)
    torch.testing.assert_close(apply_look(grey, look), grey)


def test_turning_by_a_third_turns_red_to_green_or_blue() -> None:
    red = torch.tensor([0.6, 0.2, 0.2], dtype=torch.float64).view(3, 1, 1)
    turned = apply_look(red, ColourLook(hue=(120, 0, 0, 0, 0))).flatten().tolist()
    hue = colorsys.rgb_to_hsv(*turned)[0]
    assert min(abs(hue - 1 / 3), abs(hue - 2 / 3)) < 1e-6


def test_a_turn_back_undoes_a_turn(colours: torch.Tensor) -> None:
    there = apply_look(colours, ColourLook(hue=(35, 0, 0, 0, 0)))
    torch.testing.assert_close(apply_look(there, ColourLook(hue=(-35, 0, 0, 0, 0))), colours, rtol=1e-4, atol=1e-6)


def test_no_saturation_is_grey(colours: torch.Tensor) -> None:
    grey = apply_look(colours, ColourLook(saturation=(-60, 0, 0, 0, 0)))
    torch.testing.assert_close(grey, luminance(colours).expand(3, -1, -1))


def test_a_look_needs_five_numbers() -> None:
    with pytest.raises(ConfigError, match="hue"):
        ColourLook(hue=(1.0, 2.0))  # type: ignore[arg-type]
