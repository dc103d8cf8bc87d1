"""The embedded data set: found without importing its packages, disjoint, with highlights to recover."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from revisp.camera.simulate import SIMULATED
from revisp.cfa import pack
from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS, EmbeddedPhotos, Photograph
from revisp.errors import DataError
from revisp.mask import overexposure_mask


@pytest.fixture(scope="module")
def source() -> EmbeddedPhotos:
    return EmbeddedPhotos()


@pytest.fixture(scope="module")
def train_pairs(source):
    return source.train_pairs()


@pytest.fixture(scope="module")
def val_pairs(source):
    return source.val_pairs()


def test_photographs_are_found_without_importing_their_packages():
    code = (
        "import sys; from revisp.data.embedded import TRAIN_PHOTOS; print(*[p.path for p in TRAIN_PHOTOS]);"
        "assert not {'skimage', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "astronaut.png" in done.stdout


def test_no_scene_is_both_learnt_and_validated():
    scenes = [
        {photo.name.removesuffix("_left").removesuffix("_right") for photo in photos}
        for photos in (TRAIN_PHOTOS, VAL_PHOTOS)
    ]
    assert not scenes[0] & scenes[1]
    assert [len(scene) for scene in scenes] == [5, 2]


def test_pairs_are_named_by_photo_and_exposure_and_come_out_the_same(val_pairs):
    assert [pair.name for pair in val_pairs] == [
        f"{photo}_{exposure}EV" for photo in ("chelsea", "flower") for exposure in ("-0.7", "+0.3", "+1.3")
    ]
    again = EmbeddedPhotos(exposures=[1.3]).val_pairs()[0]
    assert torch.equal(again.bayer, val_pairs[2].bayer)
    assert torch.equal(again.srgb, val_pairs[2].srgb)


def test_brighter_exposure_gives_a_brighter_raw(val_pairs):
    dark, normal, bright = (pair.bayer.mean().item() for pair in val_pairs[:3])
    assert normal / dark == pytest.approx(2.0, rel=0.02)
    assert bright / normal == pytest.approx(2.0, rel=0.05)


def test_overexposed_share_lets_both_branches_learn(train_pairs, val_pairs):
    def share(pairs):
        masks = [overexposure_mask(pair.srgb) for pair in pairs]
        return sum(mask.sum() for mask in masks) / sum(mask.numel() for mask in masks)

    assert 0.04 < share(train_pairs) < 0.10
    assert 0.01 < share(val_pairs) < 0.04


def test_overexposed_pixels_hold_more_than_a_constant(train_pairs):
    cfa = SIMULATED.profile.cfa
    greens = []
    for pair in train_pairs:
        clipped = pack(overexposure_mask(pair.srgb), cfa)[1] > 0.5
        greens.append(pack(pair.bayer, cfa)[1][clipped])
    green = torch.cat(greens)
    assert green.std() > 0.1
    assert (green >= 0.999).float().mean() < 0.4  # the others are not saturated on the sensor


def test_missing_package_is_told():
    with pytest.raises(DataError, match="no_such_package"):
        _ = Photograph("no_such_package", "x.png").path
    with pytest.raises(DataError, match="pip install"):
        _ = Photograph("skimage", "data/no_such_photo.png").path
    with pytest.raises(DataError, match="exposure"):
        EmbeddedPhotos(exposures=[])
