"""Where each colour saturates is found by the pile-up of its samples, and only by that."""

from pathlib import Path

import numpy as np
import pytest

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.io import RawImage, read_raw
from revisp.io.exif import PhotoMetadata
from revisp.io.raw import find_ceilings


def _raw(profile: CameraProfile, cfa: CFA, planes: np.ndarray) -> RawImage:
    profile = profile.replace(cfa=cfa, black_level=60, white_level=4095, bits=12)
    return RawImage(unpack(planes, cfa)[0].astype(np.uint16), profile, PhotoMetadata(), 1)


def _light(rng, high=5500.0):
    """Many dark places and few bright ones, as in photos."""
    return 60 + (high - 60) * rng.random((4, 100, 140)) ** 2


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("noise", [0, 8])
def test_each_colour_has_its_own_ceiling(profile: CameraProfile, cfa: CFA, noise: int):
    rng, ceilings = np.random.default_rng(0), (3800, 4095, 4095, 4300)
    planes = np.minimum(_light(rng), np.reshape(ceilings, (4, 1, 1)) + rng.normal(0, 1, (4, 100, 140)) * noise)
    found = find_ceilings(_raw(profile, cfa, planes))
    assert [one.level for one in found] == pytest.approx(ceilings, abs=noise or 1)
    clipped = (_light(np.random.default_rng(0)) >= np.reshape(ceilings, (4, 1, 1))).sum(axis=(1, 2))
    assert [one.samples for one in found] == pytest.approx(clipped, rel=0.1)
    assert all(one.samples > 8 * one.expected for one in found)


def test_a_colour_that_does_not_saturate_has_none(profile: CameraProfile):
    planes = _light(np.random.default_rng(0))
    planes[0] = 60 + (planes[0] - 60) * 0.6  # red ends at 3324, gradually
    found = find_ceilings(_raw(profile, CFA.RGGB, planes.clip(max=4095)))
    assert found[0] is None
    assert [one.level for one in found[1:]] == [4095] * 3


def test_hot_pixels_and_walls_are_no_ceiling(profile: CameraProfile):
    rng = np.random.default_rng(0)
    planes = _light(rng, high=3000)
    planes[:, ::20, ::20] = 4095  # 35 hot pixels in each colour
    assert find_ceilings(_raw(profile, CFA.RGGB, planes)) == (None,) * 4
    planes[:, :50] = rng.normal(1500, 5, (4, 50, 140))  # a wall below half of white
    assert find_ceilings(_raw(profile, CFA.RGGB, planes)) == (None,) * 4


def test_real_files_saturate_where_the_notes_say(sample_data: Path):
    folder = sample_data / "raw_samples"
    levels = [one.level for one in find_ceilings(read_raw(folder / "canon_s40" / "CRW_0119.CRW"))]
    assert levels == [1023] * 4
    assert find_ceilings(read_raw(folder / "canon_s40" / "CRW_0117.CRW")) == (None,) * 4  # one hot pixel
    levels = [one.level for one in find_ceilings(read_raw(folder / "canon_d30" / "canon_d30_tree.CRW"))]
    assert all(3800 <= level <= 3868 for level in levels)  # LibRaw says 4095
