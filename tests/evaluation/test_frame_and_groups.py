"""Errors over the frame, by ISO and by light: from the figures to the files and the page that a user reads."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated_pairs import write_simulated_pairs

import revisp.data.conditions as conditions_module
from revisp.camera.cameras import camera_neutral, known_cameras
from revisp.camera.place import Place, place_map
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.data import create_data
from revisp.data.conditions import Conditions, conditions_of
from revisp.data.manifest import read_manifest
from revisp.evaluation.frame_errors import FrameErrorSums, write_frame_errors
from revisp.evaluation.groups import group_images, labels_of
from revisp.evaluation.report.page import write_report
from revisp.evaluation.score_model import ModelEvaluation, score_model
from revisp.evaluation.scores import ImageScores
from revisp.evaluation.write_scores import write_scores
from revisp.io.exif import PhotoMetadata
from revisp.pipeline import ReverseISP

HEIGHT, WIDTH = 90, 120


def vignetted(place: torch.Tensor) -> torch.Tensor:
    """A prediction whose corners are 1 EV too bright, and whose middle is right."""
    return 0.25 * 2 ** place[2:].square()


def test_corners_that_are_too_bright_show_as_such() -> None:
    sums, place = FrameErrorSums(), place_map(HEIGHT, WIDTH)
    truth = torch.full((1, HEIGHT, WIDTH), 0.25)
    sums.update(vignetted(place), truth, torch.ones_like(truth), place)
    found = sums.compute()
    assert found is not None
    assert found.bias_ev[0, 0] == pytest.approx(0.81, abs=0.02)  # the cell reaches from radius 1 to 0.8
    assert found.bias_ev[4, 6] == pytest.approx(0.0, abs=0.02)
    block = (vignetted(place) - truth)[0, :10, :10].numpy().astype(np.float64)
    assert found.rmse[0, 0].item() == pytest.approx(np.sqrt((block**2).mean()))
    assert found.figures["bias_ev/corners"] > 5 * found.figures["bias_ev/middle"] > 0


def test_tiles_give_the_map_of_the_whole_and_invalid_pixels_count_nowhere() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.rand(2, 1, HEIGHT, WIDTH, generator=generator)
    valid = torch.ones_like(truth)
    valid[:, :40, 100:] = 0
    whole, tiles = FrameErrorSums(), FrameErrorSums()
    whole.update(prediction, truth, valid, place_map(HEIGHT, WIDTH))
    for top in (0, 30, 60):
        rows = slice(top, top + 30)
        place = place_map(30, WIDTH, Place(top, 0, HEIGHT, WIDTH))
        tiles.update(prediction[:, rows], truth[:, rows], valid[:, rows], place)
    one, other = whole.compute(), tiles.compute()
    assert one is not None
    assert other is not None
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    assert one.samples[0, 11] == 0
    assert one.rmse[0, 11].isnan()
    assert one.samples.sum() == valid.sum()


def test_the_file_of_the_frame_has_every_cell(tmp_path: Path) -> None:
    sums, place = FrameErrorSums(), place_map(HEIGHT, WIDTH)
    truth = torch.full((1, HEIGHT, WIDTH), 0.25)
    valid = torch.ones_like(truth)
    valid[:, :10, :10] = 0
    sums.update(vignetted(place), truth, valid, place)
    errors = sums.compute()
    assert errors is not None
    rows = list(csv.DictReader(write_frame_errors(errors, tmp_path).read_text().splitlines()))
    assert len(rows) == 9 * 12
    assert (rows[0]["samples"], rows[0]["rmse"]) == ("0", "")
    assert float(rows[-1]["bias_ev"]) == pytest.approx(errors.bias_ev[8, 11].item())


@pytest.mark.parametrize(("kelvin", "warm"), [(2856.0, True), (5500.0, False)])
def test_the_conditions_are_those_of_the_shot(
    kelvin: float, warm: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """f/2, 1/25 s at ISO 400 is the exposure value 6.6, less two stops."""
    shot = PhotoMetadata(iso=400, exposure_time=Fraction(1, 25), f_number=Fraction(2))
    monkeypatch.setattr(conditions_module, "metadata_of", lambda path: shot)
    matrix = next(camera for camera in known_cameras() if camera.model == "D750").color_matrix
    neutral = camera_neutral(np.asarray(matrix), kelvin)
    profile = CameraProfile("Nikon", "D750", "RGGB", (0.0,) * 4, 16383.0, 14, matrix, neutral)
    entry = read_manifest(write_simulated_pairs(tmp_path, val=(2,))).entries[0]
    source = {"path": "shot.nef", "size": 1, "mtime_ns": 1}
    told = conditions_of(type(entry)(**{**vars(entry), "profile": profile, "sources": (source,)}))
    assert told.iso == 400
    assert told.light_value == pytest.approx(np.log2(4 * 25) - 2)
    assert told.temperature is not None
    assert (told.temperature < 3500) is warm


def test_groups_hold_the_pictures_of_like_conditions() -> None:
    def image(psnr: float, **known: float) -> ImageScores:
        return ImageScores("x", {"psnr": psnr}, labels_of(Conditions(**known)))  # type: ignore[arg-type]

    images = [image(40, iso=100), image(42, iso=160), image(30, iso=800, temperature=2900), image(20)]
    images += [image(25, temperature=5000, light_value=4), image(27, light_value=5)]  # one amount of light
    groups = {group.name: (group.images, group.mean["psnr"]) for group in group_images(images)}
    assert groups == {
        "iso_100_to_200": (2, 41.0),
        "iso_800_to_1600": (1, 30.0),
        "temperature_below_3500": (1, 30.0),
        "temperature_4500_to_6000": (1, 25.0),
    }


def test_a_reader_finds_both_in_the_files_and_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    root = write_simulated_pairs(tmp_path / "data", val=(1, 2))
    shots = {"scene_1": Conditions(iso=100, light_value=14.0), "scene_2": Conditions(iso=320, light_value=6.4)}
    monkeypatch.setattr("revisp.data.prepared.conditions_of", lambda entry: shots[entry.name])
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile).eval()
    found = score_model(model, create_data("prepared", root=root))
    summary_file, rows_file = write_scores(found, tmp_path)
    figures = json.loads(summary_file.read_text())
    mean = (figures["psnr/iso_100_to_200"] + figures["psnr/iso_200_to_400"]) / 2
    assert mean == pytest.approx(figures["psnr"])
    assert figures["rmse/corners"] > 0
    told = list(csv.DictReader(rows_file.read_text().splitlines()))
    assert [(each["iso"], each["light_value"]) for each in told] == [("100", "14.0"), ("320", "6.4")]
    page = write_report(
        tmp_path / "report.html",
        title="",
        rows=[],
        images=[],
        profile=SIMULATED.profile,
        frame=found.frame,
        groups=found.groups,
    ).read_text()
    for text in ("Error over the frame", "By ISO and by light", "ISO 200 to 400", "EV 3 to 8", "EV 12 and more"):
        assert text in page
    assert len(re.findall("<rect x=", page)) == 2 * 9 * 12


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    found = ModelEvaluation((ImageScores("a", {"psnr": 30.0}),))
    assert found.summary == {"psnr": 30.0, "images": 1}
    page = write_report(tmp_path / "r.html", title="", rows=[], images=[], profile=SIMULATED.profile).read_text()
    assert "Error over the frame" not in page
    assert "By ISO" not in page


def test_cells_without_a_bias_do_not_count_as_without_an_error() -> None:
    """Half of each corner is predicted black, of which no EV tells how far it is off."""
    sums, truth = FrameErrorSums(), torch.full((1, 36, 48), 0.25)
    prediction = 2 * truth
    prediction[..., ::8] = prediction[..., 1::8] = prediction[..., 2::8] = prediction[..., 3::8] = 0
    sums.update(prediction, truth, torch.ones_like(truth), place_map(36, 48))
    found = sums.compute()
    assert found is not None
    assert found.bias_ev.isnan().any()
    assert found.figures["bias_ev/corners"] == found.figures["bias_ev/middle"] == 1.0
