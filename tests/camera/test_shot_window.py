"""A window of a shot is that of the whole shot, which every step makes in full."""

from __future__ import annotations

from dataclasses import replace

import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.cameras import random_simulated_camera
from revisp.camera.isp import ForwardISP
from revisp.camera.place import Place
from revisp.camera.shot_window import CropArea, shoot_window
from revisp.camera.simulate import SIMULATED, SimulatedCamera, simulate
from revisp.demosaic import demosaic
from revisp.errors import ShapeError

PHOTO = torch.from_numpy(skimage.data.astronaut()[30:192, 180:330].copy()).permute(2, 0, 1)
PLACE = Place(32, 48, 700, 900)


def _both(camera: SimulatedCamera, window: CropArea, exposure: float = 0.7):
    seeds = (torch.Generator().manual_seed(3) for _ in range(2))
    options = {"exposure": exposure, "place": PLACE}
    whole = simulate(PHOTO / 255, camera, generator=next(seeds), **options)
    return shoot_window(PHOTO, camera, window, generator=next(seeds), **options), whole


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), top=st.integers(0, 97), left=st.integers(0, 86))
def test_a_window_is_that_of_the_whole_shot(seed, top, left):
    """Before the JPEG, which may turn the smallest difference into a step of its own: at least 60 dB."""
    camera = replace(random_simulated_camera(torch.Generator().manual_seed(seed)), jpeg_quality=None)
    shot, whole = _both(camera, CropArea(top, left, 64, 64))
    levels = camera.profile.white_level - camera.profile.black_level[0]
    assert (shot.bayer - whole.bayer).square().mean() < 1e-7 + levels**-2 / 12
    assert (shot.srgb - whole.srgb[:, top : top + 64, left : left + 64]).square().mean() < 1e-6


@pytest.mark.parametrize("chroma", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("at", [(0, 0), (15, 33), (97, 86)])
def test_blocks_of_the_jpeg_lie_as_in_the_whole_photo(chroma, at):
    """At a low quality every shifted block would show; both sides of the photo end within a block."""
    camera = replace(SIMULATED, jpeg_quality=20, jpeg_chroma=chroma)
    shot, whole = _both(camera, CropArea(*at, 64, 64))
    expected = whole.srgb[:, at[0] : at[0] + 64, at[1] : at[1] + 64]
    assert (shot.srgb - expected).abs().mean() < 2e-3


def test_the_raw_is_demosaiced_for_its_light():
    shot, _ = _both(SIMULATED, CropArea(0, 0, 32, 32))
    expected = demosaic(shot.bayer, SIMULATED.profile.cfa, "malvar", gains=SIMULATED.profile.gains)
    assert torch.allclose(shot.raw_rgb, expected[:, :32, :32], atol=1e-6)


def test_a_camera_with_a_rendering_of_its_own_has_windows():
    camera = SimulatedCamera(SIMULATED.profile, rendering=ForwardISP(SIMULATED.profile, SIMULATED.settings))
    shot, whole = _both(camera, CropArea(10, 21, 40, 50))
    assert (shot.srgb - whole.srgb[:, 10:50, 21:71]).abs().max() < 2 / 255


def test_what_a_shot_returns_can_be_trained_with():
    shot, _ = _both(SIMULATED, CropArea(0, 0, 32, 32))
    assert not any(part.is_inference() for part in shot)
    weight = torch.ones(1, requires_grad=True)
    sum((part * weight).sum() for part in shot).backward()
    assert weight.grad is not None


@pytest.mark.parametrize("size", [(63, 64), (64, 63)])
def test_photos_of_odd_sides_are_refused(size):
    photo = torch.zeros(3, *size, dtype=torch.uint8)
    with pytest.raises(ShapeError, match=f"even height and width, got {size[0]}x{size[1]}: cut off the last"):
        shoot_window(photo, SIMULATED, CropArea(0, 0, 32, 32), generator=torch.Generator())
