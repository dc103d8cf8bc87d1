"""The first photo of a command, read while its model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.convert.batch import Batch
from revisp.convert.early import read_early
from revisp.convert.formats import Choice
from revisp.convert.jobs import Conversion
from revisp.errors import ImageError
from revisp.io import crash_record, read_raw
from revisp.pipeline import ReverseISP


@pytest.fixture
def jobs(tmp_path: Path) -> list[Conversion]:
    """Two photos that differ, and where they go."""
    for name, colour in (("a", "gray"), ("b", "navy")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    return [Conversion(tmp_path / f"{name}.png", tmp_path / f"{name}.dng") for name in "ab"]


def _model() -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)


def test_the_files_are_those_of_photos_that_are_read_later(jobs: list[Conversion]):
    written = []
    for early in (False, True):
        list(Batch(_model(), jobs, first=read_early(jobs) if early else None).run())
        written.append([job.output.read_bytes() for job in jobs])
    assert written[0] == written[1]


def test_it_is_read_once_before_the_model_is_there(jobs: list[Conversion]):
    first = read_early(jobs)
    assert first is not None
    seen = first.result().srgb
    jobs[1].photo.replace(jobs[0].photo)
    list(Batch(_model(), jobs[:1], Choice(plain_dng=True), first=first).run())
    with torch.inference_mode():
        expected = _model().eval()(seen[None]).bayer[0]
    raw = read_raw(jobs[0].output)
    assert torch.allclose(torch.from_numpy(raw.profile.normalise(raw.mosaic)).float(), expected[0], atol=1e-3)


def test_a_photo_that_fails_is_an_outcome_like_others(jobs: list[Conversion]):
    jobs[0].photo.write_bytes(b"no photo")
    failed, done = Batch(_model(), jobs, first=read_early(jobs)).run()
    assert isinstance(failed.error, ImageError)
    assert done.error is None


def test_nothing_is_read_ahead_after_a_crash_or_from_an_address(jobs: list[Conversion], monkeypatch):
    assert read_early([Conversion(jobs[0].photo, jobs[0].output, source="s3://bucket/a.png")]) is None
    monkeypatch.setattr(crash_record, "_known", crash_record.Crashes(alone=True))
    assert read_early(jobs) is None
