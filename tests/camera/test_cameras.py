"""Random cameras: illuminants against colour-science, matrices against UPI's, and sane simulations."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.cameras import (
    camera_neutral,
    illuminant_xy,
    known_cameras,
    random_camera_profile,
    random_simulated_camera,
)
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import simulate
from revisp.camera.unprocess import UPI_XYZ_TO_CAMERA
from revisp.cfa import CFA
from revisp.errors import ConfigError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_forty_cameras_of_many_makers_and_kinds():
    cameras = known_cameras()
    assert len(cameras) >= 40
    assert len({(camera.make, camera.model) for camera in cameras}) == len(cameras)
    assert len({camera.make for camera in cameras}) >= 9
    assert {camera.kind for camera in cameras} >= {"dslr", "mirrorless", "compact", "phone"}


def test_matrices_are_those_that_upi_publishes():
    matrices = {camera.model: camera.color_matrix for camera in known_cameras()}
    names = ("Nexus 6P", "ILCE-7R", "E-M10", "DSC-RX100M4")
    np.testing.assert_allclose([matrices[name] for name in names], UPI_XYZ_TO_CAMERA)


@pytest.mark.parametrize("camera", known_cameras(), ids=lambda camera: f"{camera.make} {camera.model}")
def test_each_camera_is_a_valid_profile_that_sees_daylight_as_cameras_do(camera):
    profile = CameraProfile(
        make=camera.make, model=camera.model, cfa=CFA.RGGB, black_level=(camera.black,) * 4,
        white_level=camera.white, bits=camera.bits, color_matrix=camera.color_matrix,
        as_shot_neutral=camera_neutral(camera.color_matrix, 6504),
    )  # fmt: skip
    red, _, blue = profile.gains
    assert 1.0 < red < 3.2
    assert 0.9 < blue < 2.6
    # The brightest direction of each channel is its own primary.
    assert (np.argmax(profile.srgb_to_camera, axis=1) == [0, 1, 2]).all()


def test_daylight_agrees_with_colour_science():
    colour = pytest.importorskip("colour")
    for temperature in (4000, 5003, 6504, 7000, 7001, 12000, 25000):
        expected = colour.temperature.CCT_to_xy_CIE_D(temperature)
        np.testing.assert_allclose(illuminant_xy(temperature), expected, atol=1e-6)


def test_black_body_agrees_with_plancks_law():
    colour = pytest.importorskip("colour")
    for temperature in (1800, 2222, 2856, 3500, 3999):
        light = colour.colorimetry.sd_blackbody(temperature)
        expected = colour.XYZ_to_xy(colour.sd_to_XYZ(light))
        np.testing.assert_allclose(illuminant_xy(temperature), expected, atol=1.5e-3)


def test_loci_meet():
    below, above = np.array(illuminant_xy(3999.99)), np.array(illuminant_xy(4000))
    assert np.abs(below - above).max() < 0.01


def test_standard_illuminant_a_is_red_and_d65_neutral():
    identity = np.eye(3)
    np.testing.assert_allclose(camera_neutral(identity, 6504), (0.9505, 1.0, 1.0888), atol=2e-3)
    np.testing.assert_allclose(camera_neutral(identity, 2856), (1.0985, 1.0, 0.3558), atol=1e-2)


def test_temperatures_out_of_range_are_refused():
    for temperature in (1000, 30000, float("nan")):
        with pytest.raises(ConfigError, match="1667"):
            illuminant_xy(temperature)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_random_profiles_are_valid_and_plausible(seed):
    profile = random_camera_profile(_generator(seed))
    red, green, blue = profile.gains
    assert green == 1
    assert 0.8 < red < 3.6
    assert 0.8 < blue < 4.5
    assert np.linalg.cond(profile.srgb_to_camera) < 30
    json.dumps(profile.to_dict())


def test_warm_light_needs_more_blue_gain():
    profiles = [random_camera_profile(_generator(seed)) for seed in range(60)]
    kelvin = [float(profile.model.split(" at ")[1].removesuffix(" K")) for profile in profiles]
    ratio = [profile.gains[2] / profile.gains[0] for profile in profiles]
    assert np.corrcoef(np.reciprocal(kelvin), np.log(ratio))[0, 1] > 0.8


def test_phase_is_drawn_or_given():
    assert {random_camera_profile(_generator(seed)).cfa for seed in range(30)} == set(CFA)
    drawn, given_ = (random_camera_profile(_generator(5), cfa=cfa) for cfa in (None, "GBRG"))
    assert given_.cfa is CFA.GBRG
    assert given_.replace(cfa=drawn.cfa) == drawn


def test_seed_decides_the_camera():
    one, two, other = (random_simulated_camera(_generator(seed)) for seed in (1, 1, 2))
    assert one == two
    assert one != other


@pytest.mark.parametrize("seed", range(6))
def test_random_cameras_photograph_and_exceed_both_clips(seed):
    photo = torch.full((3, 96, 96), 0.4)
    photo[:, 20:76, 20:76] = 1.0
    generator = _generator(seed)
    camera = random_simulated_camera(generator)
    pair = simulate(photo, camera, exposure=0.0, generator=generator)
    assert pair.srgb.shape == (3, 96, 96)
    assert pair.bayer.shape == (1, 96, 96)
    middle, corner = pair.bayer[:, 44:52, 44:52], pair.bayer[:, :8, :8]
    assert middle.max() == 1  # green, at least, is beyond the sensor
    assert corner.max() < 0.9
    assert pair.srgb[:, 44:52, 44:52].mean() > 0.9
    assert 0.15 < pair.srgb[:, :8, :8].mean() < 0.75


def test_random_renderings_look_like_their_photo():
    photo = torch.linspace(0.1, 0.9, 64).expand(3, 64, 64) * torch.tensor([1.0, 0.9, 0.8]).view(3, 1, 1)
    for seed in range(5):
        generator = _generator(seed)
        camera = replace(random_simulated_camera(generator), shot_noise=1e-5, read_noise=0.0, shading=())
        srgb = simulate(photo, camera, generator=generator).srgb
        middle = srgb[:, 16:48, 16:48].mean(dim=(1, 2)) / photo[:, 16:48, 16:48].mean(dim=(1, 2))
        assert middle.min() > 0.85
        assert middle.max() < 1.45  # local tone lifts
        assert np.corrcoef(srgb.flatten(), photo.flatten())[0, 1] > 0.95
