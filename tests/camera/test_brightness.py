"""Placed values open as bright as the photo, and lose no highlight that the photo has lost."""

import math

import pytest
import torch
from skimage import data

from revisp.camera.brightness import Brightness, match_brightness
from revisp.camera.cameras import known_profile
from revisp.camera.canonical import canonical_profile
from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.errors import ShapeError
from revisp.mosaic import mosaic


def _photo() -> torch.Tensor:
    """A photo ``[3, 300, 451]`` without a clipped pixel."""
    return torch.from_numpy(data.chelsea()).permute(2, 0, 1).float() / 255


def _raw(linear: torch.Tensor, profile: CameraProfile, ev: float) -> torch.Tensor:
    balanced = apply_ccm(linear, profile.srgb_to_camera) * 2.0**ev
    return mosaic(apply_gains(balanced, [1 / gain for gain in profile.gains]).clamp(0, 1), profile.cfa)


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("ev", [-0.1, -1.0, -2.5, -4.0])
def test_unused_headroom_is_removed(cfa: CFA, ev: float):
    profile = known_profile("Nikon D750").replace(cfa=cfa)
    found = match_brightness(_raw(srgb_to_linear(_photo()), profile, ev), _photo(), profile)
    assert found.gain == pytest.approx(-ev, abs=0.03)
    assert found.rest == pytest.approx(0, abs=0.03)


def test_headroom_stays_where_the_photo_is_clipped():
    """A lamp 2 EV above the photo's white: the photo's white stays 2 EV below the sensor's."""
    profile = canonical_profile()
    light = srgb_to_linear(_photo())
    light[:, 100:140, 100:140] = 4.0
    photo = _photo()
    photo[:, 100:140, 100:140] = 1.0
    found = match_brightness(_raw(light, profile, -2.5), photo, profile)
    assert found.gain == pytest.approx(0.5, abs=0.02)
    assert found.rest == pytest.approx(2.0, abs=0.05)
    placed = found.apply(_raw(light, profile, -2.5))
    assert placed.max() == pytest.approx(1, abs=0.02)


def test_a_saturated_sensor_is_never_darkened():
    """Its white would turn grey, and magenta after white balance."""
    profile = canonical_profile()
    photo = torch.full((3, 32, 48), 0.2)
    found = match_brightness(torch.ones(1, 32, 48), photo, profile)
    assert found.gain == 0
    assert found.rest < 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_photo_that_tells_nothing_changes_nothing(value: float):
    photo = torch.full((3, 33, 47), value)
    assert match_brightness(torch.rand(1, 33, 47), photo, canonical_profile()) == Brightness(0.0, 0.0)


def test_black_raw_gives_finite_exposures():
    found = match_brightness(torch.zeros(1, 32, 48), torch.full((3, 32, 48), 0.5), canonical_profile())
    assert math.isfinite(found.gain)
    assert math.isfinite(found.rest)


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="but the photo"):
        match_brightness(torch.zeros(1, 32, 48), torch.zeros(3, 32, 32), canonical_profile())
