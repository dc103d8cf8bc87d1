"""A DNG against a DNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.errors import DataError, ImageError
from revisp.evaluation.score_raw import score_raw_files
from revisp.io.dng import Provenance, write_dng

OTHER = SIMULATED.profile.replace(black_level=(512.0,) * 4, white_level=16383.0, bits=14, model="Other")


def mosaics() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.uniform(0.1, 0.9, (96, 128)).astype(np.float32)
    return truth, np.clip(truth + generator.normal(0, 0.05, truth.shape), 0, 1).astype(np.float32)


def write(path: Path, mosaic: np.ndarray, profile: CameraProfile, **options: object) -> Path:
    write_dng(path, torch.from_numpy(mosaic), profile, **options)
    return path


def test_each_file_is_normalised_by_its_own_levels(tmp_path: Path) -> None:
    truth, guess = mosaics()
    files = write(tmp_path / "guess.dng", guess, SIMULATED.profile), write(tmp_path / "truth.dng", truth, OTHER)
    (image,) = score_raw_files(*files).images
    assert image.name == "guess"
    assert set(image.scores) == {"psnr", "ssim"}
    assert image.scores["psnr"] == pytest.approx(-10 * np.log10(np.mean((guess - truth) ** 2)), abs=0.01)
    same = score_raw_files(files[0], write(tmp_path / "again.dng", guess, OTHER)).mean
    assert same["psnr"] > 65  # what is left is rounding to 10 bits
    assert score_raw_files(files[0], files[0]).mean["psnr"] == 999


def test_the_gain_of_a_prediction_is_undone(tmp_path: Path) -> None:
    truth, guess = mosaics()
    plain = write(tmp_path / "plain.dng", guess / 2, OTHER), write(tmp_path / "truth.dng", truth / 2, OTHER)
    placed = write(tmp_path / "placed.dng", guess, OTHER, provenance=Provenance(gain=1.0))
    figures = [score_raw_files(prediction, plain[1]).mean["psnr"] for prediction in (plain[0], placed)]
    assert figures[0] == pytest.approx(figures[1], abs=0.01)


def test_a_photo_gives_regions(tmp_path: Path) -> None:
    truth, guess = mosaics()
    guess[:48] = truth[:48]
    files = [write(tmp_path / f"{n}.dng", x, SIMULATED.profile) for n, x in enumerate((guess, truth))]
    photo = np.zeros((96, 128, 3), np.uint8)
    photo[:40] = 255
    Image.fromarray(photo).save(tmp_path / "photo.png")
    scores = score_raw_files(*files, tmp_path / "photo.png").mean
    assert scores["psnr_oe"] == 999
    assert scores["psnr_noe"] < scores["psnr"] < 40
    Image.fromarray(photo[:90]).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"photo.png is 90x128, but .* is 96x128 RGGB"):
        score_raw_files(*files, tmp_path / "photo.png")


def test_files_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    truth, _ = mosaics()
    whole = write(tmp_path / "whole.dng", truth, SIMULATED.profile)
    part = write(tmp_path / "part.dng", truth[:90], SIMULATED.profile)
    turned = write(tmp_path / "turned.dng", truth, SIMULATED.profile.replace(cfa="GRBG"))
    for other, text in ((part, "90x128 RGGB"), (turned, "96x128 GRBG")):
        with pytest.raises(DataError, match=f"{text}.*do not compare"):
            score_raw_files(whole, other)
    (tmp_path / "damaged.dng").write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ImageError, match="damaged"):
        score_raw_files(tmp_path / "damaged.dng", whole)


def test_files_are_turned_upright_first(tmp_path: Path) -> None:
    truth, _ = mosaics()
    upside_down = write(
        tmp_path / "a.dng", truth[::-1, ::-1].copy(), SIMULATED.profile.replace(cfa="BGGR"), orientation=3
    )
    assert score_raw_files(upside_down, write(tmp_path / "b.dng", truth, SIMULATED.profile)).mean["psnr"] == 999
