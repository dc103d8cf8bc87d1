"""The judge for unknown cameras on pairs that are made so that the verdict is known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from revisp.camera.isp import linear_to_srgb, tone_curve
from revisp.camera.simulate import SIMULATED
from revisp.errors import ShapeError
from revisp.evaluation.blind_pairs import BlindPair
from revisp.evaluation.blind_table import blind_table
from revisp.evaluation.pushed import CLIPPED_SHARE, PUSH_STOPS, pushed_pair
from revisp.evaluation.score_blind import BASELINES, BlindEvaluation, score_methods
from revisp.evaluation.scores import ImageScores
from revisp.evaluation.write_scores import write_scores
from revisp.io.exif import PhotoMetadata
from revisp.io.raw.rawimage import RawImage
from revisp.metrics.blind import CLIPPED, bin_picture

PROFILE = SIMULATED.profile
SIZE = (160, 192)


def scene(seed: int = 0) -> torch.Tensor:
    """Return linear sRGB ``[3, H, W]`` over five stops, up to 1.2."""
    coarse = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    level = F.interpolate(coarse[:, :1] * 5 - 5, size=SIZE, mode="bicubic")[0]
    tint = F.interpolate(coarse, size=SIZE, mode="bicubic")[0]
    return 1.2 * 2.0 ** level.clamp_max(0) * (0.6 + 0.4 * tint).clamp(0.5, 1)


def pair_of(linear: torch.Tensor, photo: torch.Tensor, name: str = "scene", camera: str = "camera") -> BlindPair:
    light = torch.einsum("ij,jhw->ihw", torch.as_tensor(PROFILE.srgb_to_camera), bin_picture(linear))
    raw_rgb = 0.5 * light / torch.tensor(PROFILE.gains, dtype=torch.float64).view(3, 1, 1)
    saturated = raw_rgb.amax(0) >= CLIPPED
    return BlindPair(name, camera, name, photo, raw_rgb, PROFILE, saturated, torch.ones_like(saturated))


@pytest.fixture(scope="module")
def plain() -> BlindPair:
    """A photo of the plainest camera: the sRGB curve and nothing else."""
    linear = scene()
    return pair_of(linear, linear_to_srgb(linear.clamp(0, 1)))


def test_the_plainest_photo_is_undone_by_the_srgb_curve(plain: BlindPair) -> None:
    scores = score_methods(BASELINES, plain, styles=0)
    assert scores["psnr_e3"] > 50  # but for quads that are clipped in part
    assert scores["nonlin"] < 0.01
    assert scores["slope"] == pytest.approx(1, abs=0.01)
    assert scores["upi_psnr_e3"] < 40
    assert scores["upi_slope"] < 0.95
    # The matrix of the camera is what E2 cannot undo.
    assert scores["psnr_e2"] < scores["psnr_e3"] - 10
    assert scores["edit_psnr"] > scores["upi_edit_psnr"]
    assert scores["edit_delta_e"] < scores["upi_edit_delta_e"]


def test_the_photo_that_upi_supposes_is_undone_by_upi() -> None:
    linear = scene(1)
    photo = tone_curve(linear_to_srgb(linear.clamp(0, 1)), 1.0)
    scores = score_methods(BASELINES, pair_of(linear, photo), styles=0)
    assert scores["upi_psnr_e3"] > 50
    assert scores["nonlin"] > 0.1
    assert scores["slope"] > 1.1  # the curve's contrast is left in


def test_clipped_highlights_come_out_too_dark_where_nothing_restores_them() -> None:
    linear = 1.5 * scene()
    bright = pair_of(linear, linear_to_srgb(linear.clamp(0, 1)))
    scores = score_methods(BASELINES, bright, styles=0)
    clipped = [n for n in (1, 2, 3) if not math.isnan(scores[f"h{n}_bias"])]
    assert clipped
    for n in clipped:
        assert scores[f"h{n}_bias"] < 0
        assert scores[f"constant_h{n}_mae"] < scores[f"h{n}_mae"] + 0.5
        assert scores[f"h{n}_share"] > 0


def test_gradings_tell_a_fixed_curve_from_one_that_knows_the_light(plain: BlindPair) -> None:
    graded = score_methods({"srgb": BASELINES["srgb"]}, plain, styles=8)
    assert graded["style_drop"] > 0.5
    light = plain.raw_rgb

    def knows(photo: torch.Tensor) -> torch.Tensor:
        return light if photo.shape == light.shape else light.repeat_interleave(2, -1).repeat_interleave(2, -2)

    known = score_methods({"knows": knows}, plain, styles=8)
    assert known["style_cross"] > graded["style_cross"] + 20


def test_a_method_that_answers_with_another_size_is_refused(plain: BlindPair) -> None:
    with pytest.raises(ShapeError, match="of the photo's size"):
        score_methods({"half": bin_picture}, plain, styles=0)


@pytest.fixture
def evaluation() -> BlindEvaluation:
    rows = [("a", "one", 30.0, 28.0), ("b", "one", 32.0, 29.0), ("c", "other", 40.0, 41.0)]
    images = [
        ImageScores(
            name,
            {"psnr_e3": mine, "nonlin": 0.1, "upi_psnr_e3": theirs, "upi_nonlin": 0.2}
            | {f"{who}h{n}_{what}": math.nan for who in ("", "upi_", "constant_") for n in (1, 2, 3)
               for what in ("share", "bias", "mae", "texture", "near", "rank")},
            {"camera": camera, "exposure": name},
        )
        for name, camera, mine, theirs in rows
    ]  # fmt: skip
    return BlindEvaluation(tuple(images), ("how.",), ("mine", "upi"))


def test_means_are_over_cameras_in_all_that_is_written(evaluation: BlindEvaluation, tmp_path: Path) -> None:
    assert evaluation.mean["psnr_e3"] == pytest.approx((31 + 40) / 2)
    written, rows = write_scores(evaluation, tmp_path)
    summary = json.loads(written.read_text())
    assert summary["psnr_e3"] == evaluation.mean["psnr_e3"]
    assert summary["h1_bias"] is None
    assert (summary["images"], summary["cameras"], summary["note"]) == (3, 2, "how.")
    assert summary["psnr_e3_over_upi"] == pytest.approx((2.5 - 1) / 2)
    assert summary["psnr_e3_over_upi_low"] <= summary["psnr_e3_over_upi"] <= summary["psnr_e3_over_upi_high"]
    with rows.open() as file:
        found = [*csv.DictReader(file)]
    assert [(row["image"], row["camera"], row["exposure"]) for row in found] == [
        ("a", "one", "a"), ("b", "one", "b"), ("c", "other", "c"),
    ]  # fmt: skip
    assert found[0]["h1_bias"] == ""


def test_the_table_has_each_camera_and_each_method(evaluation: BlindEvaluation) -> None:
    lines = blind_table(evaluation).splitlines()
    heads = [line.strip() for line in lines]
    assert heads[0].split() == ["psnr_e3", "nonlin"]
    rows = [head.split() for head in heads[1:4]]
    assert rows == [["one", "(2)"], ["mine", "31.00", "0.10"], ["upi", "28.50", "0.20"]]
    assert "mean of 2 cameras" in heads
    assert "clipped" not in blind_table(evaluation)
    assert any(line.startswith("psnr_e3, mine less upi: +0.75") and "2 of 3 exposures" in line for line in lines)


class TestPushed:
    @staticmethod
    def raw(brightest: float) -> RawImage:
        linear = scene(5).float() / 1.2
        planes = brightest * torch.einsum("ij,jhw->ihw", torch.as_tensor(PROFILE.srgb_to_camera).float(), linear)
        planes = planes / torch.tensor(PROFILE.gains).view(3, 1, 1)
        rows, columns = torch.arange(SIZE[0])[:, None] % 2, torch.arange(SIZE[1]) % 2
        mosaic = torch.where(rows != columns, planes[1], torch.where(rows == 0, planes[0], planes[2]))
        return RawImage(PROFILE.quantise(mosaic.numpy()), PROFILE, PhotoMetadata(), 1)

    def test_a_dim_raw_clips_in_the_photo_alone(self) -> None:
        pair = pushed_pair(self.raw(0.2), "dim")
        assert pair is not None
        assert not pair.saturated.any()
        share = (bin_picture(pair.photo).amax(0) >= CLIPPED).double().mean().item()
        assert CLIPPED_SHARE[0] <= share <= CLIPPED_SHARE[1]
        truth = pair.truth()
        assert (truth.clipped > 0).double().mean().item() == pytest.approx(share, abs=0.05)
        # LibRaw's plain development of what did not clip is undone by the sRGB curve and a matrix.
        scores = score_methods({"srgb": BASELINES["srgb"]}, pair, styles=0)
        assert scores["nonlin"] < 0.05
        assert scores["h3_bias"] < -0.1

    def test_a_raw_that_no_push_of_that_size_suits_is_left(self) -> None:
        assert pushed_pair(self.raw(0.2 * 2 ** -PUSH_STOPS[1]), "dark") is None
