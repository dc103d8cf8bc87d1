"""RAW of one camera as that of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from revisp.camera.cameras import camera_neutral, known_cameras, known_profile
from revisp.camera.canonical import canonical_profile, light_to_raw
from revisp.camera.develop import develop
from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.camera.target import as_camera
from revisp.errors import ConfigError, UnknownNameError

NAMES = ("Canon EOS 5D Mark II", "Nikon D750", "Huawei Nexus 6P")

COLOUR_CHECKER = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
    (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
    (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
    (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
)  # fmt: skip
"""sRGB of the chart's patches, 8 bits (X-Rite)."""


def patches() -> np.ndarray:
    """Return the chart in linear sRGB, one patch a column ``[3, 24]``."""
    encoded = np.asarray(COLOUR_CHECKER).T / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def pixels(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))[:, :, None]


@pytest.fixture
def one() -> CameraProfile:
    return known_profile("Nikon D750", temperature=3800)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_there_and_back_changes_nothing(name: str) -> None:
    source, target = canonical_profile(), known_profile(name)
    raw = light_to_raw(pixels(3 * patches()))
    there = as_camera(raw, source, target)
    assert (there - raw).abs().max() > 0.001
    torch.testing.assert_close(as_camera(there, target, source), raw, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_patches_land_where_the_matrix_says(name: str) -> None:
    target = known_profile(name)
    found = as_camera(light_to_raw(pixels(patches())), canonical_profile(), target)[..., 0].numpy()
    # By hand: XYZ of each patch, the camera's matrix, balanced by its response to D65; then the light of 5500 K.
    to_camera = np.asarray(target.color_matrix) @ SRGB_TO_XYZ
    balanced = (to_camera @ patches()) / (to_camera @ np.ones((3, 1)))
    light = np.asarray(camera_neutral(target.color_matrix, 5500))[:, None]
    np.testing.assert_allclose(found, balanced * light / (32 * 0.18), atol=1e-7)


def test_a_neutral_stays_neutral_under_any_light(one: CameraProfile) -> None:
    grey = 0.1 * torch.tensor(one.as_shot_neutral, dtype=torch.float64).view(3, 1, 1)
    for temperature in (2800.0, 5500.0, 7500.0):
        target = known_profile("Canon EOS 5D Mark II", temperature=temperature)
        expected = 0.1 * torch.tensor(target.as_shot_neutral, dtype=torch.float64).view(3, 1, 1)
        torch.testing.assert_close(as_camera(grey, one, target), expected)


def test_both_develop_to_the_same_colours(one: CameraProfile) -> None:
    target = known_profile("Canon EOS 5D Mark II", temperature=3800)
    balanced = one.srgb_to_camera @ (0.4 * patches())
    raw = pixels(balanced / np.asarray(one.gains)[:, None])
    there = as_camera(raw, one, target)
    brighter = np.log2(min(target.gains) / min(one.gains))
    torch.testing.assert_close(develop(there, target, exposure=brighter), develop(raw, one), rtol=0, atol=1e-5)


@pytest.mark.parametrize("camera", [*known_cameras()[::6]], ids=lambda camera: camera.model)
def test_white_light_of_any_brightness_stays_white(camera) -> None:
    """The source saturates green first, then red and blue; no level in between may turn magenta."""
    source = canonical_profile()
    target = known_profile(f"{camera.make} {camera.model}")
    level = torch.linspace(0.5, 6, 400, dtype=torch.float64)
    neutral = torch.tensor(source.as_shot_neutral, dtype=torch.float64)
    raw = (neutral[:, None] * level).clamp(max=1)[:, None]
    there = as_camera(raw, source, target)
    seen = torch.tensor(target.as_shot_neutral, dtype=torch.float64)[:, None] * level
    before = level <= 1 / float(neutral.max())
    white = level <= 1 / min(neutral.tolist())
    torch.testing.assert_close(there[:, 0, before], seen.clamp(max=1)[:, before])
    torch.testing.assert_close(there[:, 0, white], seen.clamp(max=1)[:, white])  # as the target itself saturates
    assert (there.diff(dim=-1) >= -1e-9).all()
    developed = develop(there, target)
    assert (developed.amax(0) - developed.amin(0)).max() < 1e-4


def test_the_sensor_clips_each_channel(one: CameraProfile) -> None:
    there = as_camera(torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)), one, one)
    assert there.shape == (2, 3, 5, 7)
    assert there.min() >= 0
    assert there.max() <= 1


def test_an_unclipped_coloured_light_keeps_its_colour() -> None:
    source = canonical_profile()
    raw = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1)
    torch.testing.assert_close(as_camera(raw, source, source), raw)


def test_an_unknown_camera_is_named_with_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match=r"'Nikon D751': did you mean 'Nikon D750'"):
        known_profile("Nikon D751")
    with pytest.raises(ConfigError, match="1667"):
        known_profile("Nikon D750", temperature=100)


def test_targets_alone_change_neither_random_cameras_nor_the_canonical_sensor() -> None:
    assert known_profile("canon  eos 5d mark ii").white_level == 15600
    assert "EOS 5D Mark II" not in {camera.model for camera in known_cameras()}
