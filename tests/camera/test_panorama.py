"""Views of panoramas: right in direction and size, and true to the light of small suns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.panorama import Look, halved, look, smoothed_poles
from revisp.errors import ConfigError

Array = np.ndarray[Any, Any]


def _levels(panorama: Array) -> list[Array]:
    levels = [panorama]
    while levels[-1].shape[1] > 64:
        levels.append(halved(levels[-1]))
    return [smoothed_poles(level) for level in levels]


def _angles(height: int) -> tuple[Array, Array]:
    """Return latitude and longitude of a panorama's pixels, in degrees."""
    rows, columns = np.mgrid[:height, : 2 * height]
    return 90 - (rows + 0.5) * 180 / height, (columns + 0.5) * 180 / height - 180


def _sun(height: int, latitude: float, longitude: float, radius: float) -> Array:
    """Return a panorama, black but for a disc."""
    lat, lon = (np.radians(angle) for angle in _angles(height))
    at = math.radians(latitude), math.radians(longitude)
    cosine = np.sin(lat) * math.sin(at[0]) + np.cos(lat) * math.cos(at[0]) * np.cos(lon - at[1])
    inside = np.degrees(np.arccos(np.clip(cosine, -1, 1))) < radius
    inside.flat[cosine.argmax()] = True  # a sun smaller than a pixel fills one
    return np.repeat(inside[..., None] * np.float32(1e5), 3, axis=2)


def _power_of_panorama(panorama: Array) -> float:
    latitude, _ = _angles(len(panorama))
    solid = np.cos(np.radians(latitude)) * (math.pi / len(panorama)) ** 2
    return float((panorama[..., 0] * solid).sum())


def _power_of_view(view: torch.Tensor, field: float) -> float:
    side, reach = view.shape[-1], math.tan(math.radians(field) / 2)
    x = ((torch.arange(side) + 0.5) * 2 / side - 1).double() * reach
    solid = (2 * reach / side) ** 2 / (1 + x[:, None] ** 2 + x**2) ** 1.5
    return float((view[0] * solid).sum())


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    latitude=st.floats(-40, 65),
    longitude=st.floats(-180, 180),
    radius=st.sampled_from([0.1, 0.5, 2.0]),
    field=st.floats(40, 90),
    across=st.floats(-0.3, 0.3),
    up=st.floats(-0.3, 0.3),
    side=st.sampled_from([24, 64, 96]),
)
def test_the_light_of_a_small_sun_arrives_whatever_the_view(
    latitude: float, longitude: float, radius: float, field: float, across: float, up: float, side: int
) -> None:
    panorama = _sun(256, latitude, longitude, radius)
    pitch = latitude + up * field
    where = Look(longitude + across * field * math.cos(math.radians(latitude)), pitch, 3.0, field)
    view = look(_levels(panorama), where, (side, side))
    assert _power_of_view(view, field) == pytest.approx(_power_of_panorama(panorama), rel=0.09)


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (20, 170), (-30, -100), (60, 45)])
@pytest.mark.parametrize("roll", [0, 10])
def test_the_middle_of_a_view_is_where_it_looks(latitude: float, longitude: float, roll: float) -> None:
    view = look(_levels(_sun(256, latitude, longitude, 2.0)), Look(longitude, latitude, roll, 60), (65, 65))
    row, column = np.unravel_index(int(view[0].argmax()), (65, 65))
    assert max(abs(row - 32), abs(column - 32)) <= 2


def test_right_and_up_are_where_a_viewer_expects_them() -> None:
    panorama = _sun(256, 20, 30, 2.0)
    row, column = np.unravel_index(int(look(_levels(panorama), Look(0, 0, 0, 90), (90, 90))[0].argmax()), (90, 90))
    # The pinhole's projection of 30 degrees to the right and 20 up.
    assert column == pytest.approx(45 + 45 * math.tan(math.radians(30)), abs=2)
    assert row == pytest.approx(45 - 45 * math.tan(math.radians(20)) / math.cos(math.radians(30)), abs=2)
    rolled = look(_levels(panorama), Look(0, 0, 90, 90), (90, 90))
    turned = np.unravel_index(int(rolled[0].argmax()), (90, 90))
    # A camera turned clockwise shows the world turned counterclockwise: what was right is up, what was up is left.
    assert turned == (pytest.approx(89 - column, abs=2), pytest.approx(row, abs=2))


def test_even_light_stays_even_in_every_direction() -> None:
    levels = _levels(np.full((64, 128, 3), 3.0, np.float32))
    for pitch in (-90, -40, 0, 50, 90):
        assert torch.allclose(look(levels, Look(77, pitch, 5, 90), (40, 30)), torch.tensor(3.0), rtol=1e-5)


def test_the_seam_cannot_be_seen() -> None:
    lat, lon = _angles(128)
    smooth = (
        (2 + np.cos(np.radians(lon)) * np.cos(np.radians(lat)))[..., None].repeat(3, axis=2).astype(np.float32)
    )
    view = look(_levels(smooth), Look(180, 0, 0, 60), (64, 64))
    assert view.diff(dim=-1).abs().max() < 0.01


def test_poles_are_smoothed_without_loss_of_light() -> None:
    light = np.random.default_rng(0).random((32, 64, 3)).astype(np.float32)
    smooth = smoothed_poles(light)
    np.testing.assert_allclose(smooth.mean(axis=1), light.mean(axis=1), rtol=1e-5)
    assert smooth[0].std() < 0.3 * light[0].std()
    np.testing.assert_allclose(smooth[16], light[16], atol=0.01)


@pytest.mark.parametrize("field", [0, -3, 175])
def test_a_field_that_no_plane_can_show_is_refused(field: float) -> None:
    with pytest.raises(ConfigError, match="field of view"):
        look(_levels(np.ones((32, 64, 3), np.float32)), Look(0, 0, 0, field), (8, 8))
