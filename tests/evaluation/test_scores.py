"""One picture and the mean of many."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import pytest
import torch

from revisp.cfa import pack
from revisp.errors import ShapeError
from revisp.evaluation.scores import Evaluation, ImageScores, score_pair, score_srgb
from revisp.evaluation.write_scores import score_table, write_scores
from revisp.metrics import by_region, region_psnr, region_ssim
from revisp.metrics.by_region import SCORES

NAN = math.nan


@pytest.fixture
def planes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(4, 45, 20, generator=generator)
    prediction = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    srgb = torch.rand(3, 90, 40, generator=generator) * 0.9
    srgb[:, 21:64, 11:30] = 1
    return prediction, truth, srgb


def test_bands_give_the_score_of_the_whole(planes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_pair(*planes)
    assert set(whole) == set(SCORES)
    for band in (1, 7, 16, 28, 44):
        monkeypatch.setattr(by_region, "BAND_SAMPLES", band * planes[0][:, 0].numel())
        assert score_pair(*planes) == pytest.approx(whole, abs=1e-12), band
        none = score_pair(planes[0], planes[1], torch.zeros_like(planes[2]))
        assert math.isnan(none["ssim_oe"])


def test_the_mask_is_packed_by_the_phase(planes) -> None:
    prediction, truth, srgb = planes
    mask = pack(srgb.amin(0, keepdim=True).ge(1).float(), "GBRG")[None]
    found = score_pair(prediction, truth, srgb, cfa="GBRG")
    assert found["psnr_oe"] == pytest.approx(region_psnr(prediction[None], truth[None], mask).item())
    assert found["psnr_oe"] != pytest.approx(score_pair(prediction, truth, srgb)["psnr_oe"], abs=1e-6)


def test_pixels_that_are_not_valid_count_nowhere(planes) -> None:
    prediction, truth, srgb = planes
    valid = torch.ones(1, 90, 40)
    valid[:, :30] = 0
    spoilt = prediction.clone()
    spoilt[:, :15] = 1 - spoilt[:, :15]
    assert score_pair(spoilt, truth, srgb, valid=valid) == score_pair(prediction, truth, srgb, valid=valid)
    assert score_pair(spoilt, truth)["psnr"] < score_pair(prediction, truth)["psnr"]


def test_a_developed_picture_is_scored_over_three_planes(planes) -> None:
    _, _, srgb = planes
    darker = srgb * 0.8
    found = score_srgb(darker, srgb)
    assert found["psnr"] == pytest.approx(-10 * math.log10((darker - srgb).double().square().mean().item()))
    doubled = [torch.cat([x, x[:1]])[None] for x in (darker, srgb)]
    weight = torch.ones_like(doubled[0])
    weight[:, 3] = 0
    assert found["ssim"] == pytest.approx(region_ssim(*doubled, weight).item())
    assert found["psnr_oe"] == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert score_srgb(srgb, srgb)["psnr"] == 999


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (torch.full((4, 12, 12), 1.1), torch.zeros(4, 12, 12), "clamp it first"),
        (torch.full((4, 12, 12), NAN), torch.zeros(4, 12, 12), "not finite"),
        (torch.zeros(4, 12, 12), torch.zeros(4, 12, 13), "differ in size"),
        (torch.zeros(1, 4, 12, 12), torch.zeros(4, 12, 12), "single picture"),
        (torch.zeros(3, 12, 12), torch.zeros(3, 12, 12), "4, H, W"),
    ],
)
def test_what_cannot_be_scored_is_refused(prediction, truth, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        score_pair(prediction, truth)


def test_a_photo_of_another_size_is_refused(planes) -> None:
    with pytest.raises(ShapeError, match=r"srgb must be \[3, 90, 40\]"):
        score_pair(planes[0], planes[1], torch.zeros(3, 90, 42))


@pytest.fixture
def evaluation() -> Evaluation:
    images = [ImageScores("a", {"psnr": 30.0, "psnr_oe": NAN, "ssim": 0.5, "none": NAN})]
    images += [ImageScores(str(n), {"psnr": 40.0, "psnr_oe": 20.0, "ssim": 1.0, "none": NAN}) for n in range(29)]
    return Evaluation(tuple(images), ("a note",))


def test_the_mean_leaves_out_empty_regions(evaluation) -> None:
    mean = evaluation.mean
    assert mean["psnr"] == pytest.approx((30 + 29 * 40) / 30)
    assert mean["psnr_oe"] == 20
    assert math.isnan(mean["none"])


def test_files_hold_the_figures(evaluation, tmp_path: Path) -> None:
    write_scores(evaluation, tmp_path / "new" / "run")
    values = json.loads((tmp_path / "new" / "run" / "scores.json").read_text())
    assert values == {**evaluation.mean, "none": None, "images": 30, "note": "a note"}
    with (tmp_path / "new" / "run" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert rows[0] == {"image": "a", "psnr": "30.0", "psnr_oe": "", "ssim": "0.5", "none": ""}


def test_what_a_killed_evaluation_has_left_is_removed(evaluation, tmp_path: Path) -> None:
    (tmp_path / ".revisp-0123456789ab.part").touch()
    (tmp_path / "mine.part").touch()
    write_scores(evaluation, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.part", "scores.csv", "scores.json"}


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    _, rows = write_scores(Evaluation((ImageScores(name, {"psnr": 30.0}),)), tmp_path)
    assert rows.read_bytes() == b"image,psnr\ncaf\\udce9.jpg,30.0\n"


def test_the_table_shows_the_first_pictures_and_the_mean(evaluation) -> None:
    lines = score_table(evaluation).splitlines()
    assert len(lines) == 1 + 20 + 1 + 1 + 1
    assert lines[0].split() == ["psnr", "psnr_oe", "ssim", "none"]
    assert lines[1].split() == ["a", "30.000", "-", "0.5000", "-"]
    assert lines[-3] == "... 10 more"
    assert lines[-2].split() == ["mean", "of", "30", "39.667", "20.000", "0.9833", "-"]
    assert lines[-1] == "a note"
    assert len(score_table(Evaluation(evaluation.images[:1])).splitlines()) == 2
