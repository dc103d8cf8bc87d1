"""Shots of one camera under different light: training has them under one, validation and judging as shot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from revisp.data import create_data
from revisp.data.entry import array_path
from revisp.data.manifest import write_manifest
from revisp.data.picture import Sample
from revisp.data.prepared import PreparedPicture
from revisp.evaluation.blind_pairs import read_blind_pair
from revisp.mosaic import mosaic

from .conftest import image, levels, stream_data

WARM, COLD, MIDDLE, UNKNOWN = (0.8, 1.0, 0.4), (0.5, 1.0, 0.8), (0.6, 1.0, 0.5), (1.0, 1.0, 1.0)
GREY = torch.tensor([0.12, 0.3, 0.21]).view(3, 1, 1)
"""Balanced colours of one object."""


def shot(root: Path, name: str, neutral: tuple[float, float, float], **changes):
    """Write a shot of one object, by a camera that is balanced for this light."""
    made = image(root, name, profile=levels("RGGB", as_shot_neutral=neutral), **changes)
    raw_rgb = (GREY * torch.tensor(neutral).view(3, 1, 1)).expand(3, made.height, made.width)
    np.save(array_path(root, name, "target"), raw_rgb.half().numpy())
    np.save(array_path(root, name, "raw"), made.profile.quantise(mosaic(raw_rgb, "RGGB")[0].numpy()))
    return made


@pytest.fixture
def lights(tmp_path: Path) -> Path:
    entries = [
        shot(tmp_path, "warm", WARM, oe_share=0.01),
        shot(tmp_path, "middle", MIDDLE),
        shot(tmp_path, "cold", COLD),
        shot(tmp_path, "val", COLD, split="val"),
    ]
    write_manifest(tmp_path, entries)
    return tmp_path


def colours(sample: Sample) -> list[float]:
    assert torch.equal(mosaic(sample.target, "RGGB"), sample.bayer)
    return sample.target.mean((1, 2)).tolist()


def test_training_sees_one_object_as_one_whatever_the_light(lights: Path) -> None:
    data = create_data("prepared", root=lights)
    data.setup()
    assert data.profile.as_shot_neutral == MIDDLE
    expected = (GREY.flatten() * torch.tensor(MIDDLE)).tolist()
    samples = data.training_samples()
    assert {sample.name for sample in samples} == {"warm", "middle", "cold"}
    for sample in samples:
        assert colours(sample) == pytest.approx(expected, abs=2e-3)  # stored in ten bits


def test_the_light_is_the_middle_one_of_all_cameras_that_tell_theirs(tmp_path: Path) -> None:
    entries = [
        shot(tmp_path, "large", WARM, height=80),
        shot(tmp_path, "middle", MIDDLE, camera="Maker Two"),
        shot(tmp_path, "cold", COLD, camera="Maker Three"),
        *(shot(tmp_path, f"old{n}", UNKNOWN, camera="Maker Four") for n in range(3)),
        shot(tmp_path, "val", COLD, split="val"),
    ]
    write_manifest(tmp_path, entries)
    data = create_data("prepared", root=tmp_path)
    data.setup()
    assert data.profile.as_shot_neutral == MIDDLE
    found = {sample.name: colours(sample) for sample in data.training_samples()}
    assert found["large"] == pytest.approx(found["cold"], abs=4e-3)


def test_validation_and_the_judge_see_what_was_shot(lights: Path) -> None:
    data = create_data("prepared", root=lights)
    data.setup()
    (found,) = data.validation_samples()
    assert colours(found) == pytest.approx((GREY.flatten() * torch.tensor(COLD)).tolist(), abs=2e-3)
    for picture in [*data.train_pictures, *data.val_pictures]:
        pair = read_blind_pair(picture, data.profile)
        balanced = pair.raw_rgb.mean((1, 2)) * torch.tensor(pair.profile.gains)
        assert balanced.tolist() == pytest.approx(GREY.flatten().tolist(), abs=4e-3)


def test_a_clipped_sample_stays_at_saturation(tmp_path: Path) -> None:
    """Under either light a lamp is white: where the sensor is full, a light of less blue does not empty it."""
    made = image(tmp_path, "lamp", profile=levels("RGGB", as_shot_neutral=COLD))
    stored = np.full((made.height, made.width), 1023, np.uint16)
    stored[:, 20:] = 300
    np.save(array_path(tmp_path, "lamp", "raw"), stored)
    as_shot, found = (PreparedPicture(tmp_path, made, neutral).read(0, 0, 40, 44) for neutral in (None, WARM))
    assert found.bayer[0, :, :20].aminmax() == pytest.approx((1, 1), abs=1e-5)
    ratio = (found.bayer / as_shot.bayer)[0]
    blue = ratio[1::2, 21::2]
    assert blue.tolist() == pytest.approx(np.full(blue.shape, 0.5), abs=1e-6)
    red = ratio[::2, 20::2]
    assert red.tolist() == pytest.approx(np.full(red.shape, 1.6), abs=1e-6)


def test_brighter_light_never_becomes_a_lower_sample(tmp_path: Path) -> None:
    made = image(tmp_path, "ramp", profile=levels("RGGB", as_shot_neutral=COLD), width=1024)
    stored = np.broadcast_to(np.arange(1024, dtype=np.uint16), (made.height, 1024))
    np.save(array_path(tmp_path, "ramp", "raw"), stored)
    found = PreparedPicture(tmp_path, made, WARM).read(0, 0, made.height, 1024).bayer[0]
    for rows, columns in ((slice(0, None, 2), slice(0, None, 2)), (slice(1, None, 2), slice(1, None, 2))):
        assert (found[rows, columns].diff(dim=1) >= 0).all()


def test_a_shot_that_does_not_tell_its_light_is_as_shot(tmp_path: Path) -> None:
    made = shot(tmp_path, "old", UNKNOWN)
    found, as_shot = (PreparedPicture(tmp_path, made, neutral).read(0, 0, 40, 44) for neutral in (WARM, None))
    assert torch.equal(found.target, as_shot.target)


def test_shards_are_read_as_the_pictures_are(lights: Path, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason='LitData is not installed: pip install "revisp[stream]"')
    from revisp.data.packing import write_shards

    shards = write_shards(lights, tmp_path / "shards", tile=64, overlap=16, val_tile=64)
    data = stream_data(shards, crop=16, crops_per_epoch=8)
    expected = (GREY.flatten() * torch.tensor(MIDDLE)).tolist()
    for batch in data.train_dataloader():
        for target in batch.target:
            assert target.mean((1, 2)).tolist() == pytest.approx(expected, abs=2e-3)
    for sample in data.training_samples():
        assert colours(sample) == pytest.approx(expected, abs=2e-3)
    for sample in data.validation_samples():
        assert colours(sample) == pytest.approx((GREY.flatten() * torch.tensor(COLD)).tolist(), abs=2e-3)
