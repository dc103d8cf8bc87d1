"""Folders of arrays: the challenge's number to the last digit, and everything that is wrong with them at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import submission_reading as reading
from PIL import Image

from revisp.errors import ConfigError, DataError
from revisp.evaluation.score_submissions import score_submissions

NAMES = ("scene_9", "scene_10", "scene_1")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "submissions", tmp_path / "truths"
    for folder in folders:
        folder.mkdir()
    return folders


def truth_and_guess(
    seed: int, size: tuple[int, int] = (24, 31), most: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth truth and a noisy guess; every seed has another error."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices(size)
    waves = [np.sin(rows / (3 + seed) + plane) * np.cos(columns / 7) for plane in range(4)]
    truth = np.clip((np.stack(waves, -1) / 2 + 0.5) * most, 0, most)
    guess = np.clip(truth + generator.normal(0, 10 * (seed + 1), truth.shape), 0, most)
    return truth.astype(np.uint16), guess.astype(np.uint16)


def save(folders: tuple[Path, Path], name: str, guess: np.ndarray, truth: np.ndarray) -> None:
    np.save(folders[0] / f"{name}.npy", guess)
    np.save(folders[1] / f"{name}.npy", truth)


@pytest.mark.parametrize(("bits", "scale"), [(10, 1024), (12, 4095)])
def test_random_submissions_score_as_an_independent_reading_does(folders, bits: int, scale: int) -> None:
    expected = {}
    for seed, name in enumerate(NAMES):
        truth, guess = truth_and_guess(seed, most=scale)
        save(folders, name, guess, truth)
        x, y = guess.astype(np.float64) / scale, truth.astype(np.float64) / scale
        expected[name] = reading.psnr(x, y), reading.ssim(x, y)
    evaluation = score_submissions(*folders, bits=bits)
    for image in evaluation.images:
        assert image.scores["psnr"] == pytest.approx(expected[image.name][0], abs=1e-9)
        assert image.scores["ssim"] == pytest.approx(expected[image.name][1], abs=1e-7)
    mean = np.mean(list(expected.values()), axis=0)
    assert evaluation.mean["psnr"] == pytest.approx(mean[0], abs=1e-9)
    assert evaluation.mean["ssim"] == pytest.approx(mean[1], abs=1e-7)


def test_the_score_is_the_mean_of_scores_not_the_score_of_the_mean_error(folders) -> None:
    truth = np.zeros((16, 16, 4), np.uint16)
    for name, error in (("a", 1), ("b", 100)):
        save(folders, name, np.full_like(truth, error), truth)
    expected = np.mean([20 * np.log10(1024 / error) for error in (1, 100)])
    assert score_submissions(*folders, bits=10).mean["psnr"] == pytest.approx(expected, abs=1e-9)


def test_tile_10_comes_after_tile_9_and_is_paired_by_name(folders) -> None:
    for seed, name in enumerate(NAMES):
        save(folders, name, *truth_and_guess(seed)[::-1])
    images = score_submissions(*folders, bits=10).images
    assert [image.name for image in images] == ["scene_1", "scene_9", "scene_10"]
    assert (
        images[1].scores["psnr"] > images[2].scores["psnr"] > images[0].scores["psnr"]
    )  # noise grows with the seed


def test_a_perfect_prediction(folders) -> None:
    truth, _ = truth_and_guess(0)
    save(folders, "only", truth, truth)
    assert score_submissions(*folders, bits=10).mean == {"psnr": 999.0, "ssim": pytest.approx(1, abs=1e-12)}


def test_a_single_tile_whose_truth_is_black(folders) -> None:
    _, guess = truth_and_guess(3)
    save(folders, "only", guess, np.zeros_like(guess))
    scores, zero = score_submissions(*folders, bits=10).mean, np.zeros(guess.shape)
    assert scores["psnr"] == pytest.approx(reading.psnr(guess / 1024, zero), abs=1e-9)
    assert scores["ssim"] == pytest.approx(reading.ssim(guess / 1024, zero), abs=1e-7)


@pytest.mark.parametrize(("size", "scale"), [((252, 252), 1024), ((248, 248), 1024), ((512, 512), 4095)])
def test_the_challenge_is_known_by_the_size_of_its_tiles(folders, size: tuple[int, int], scale: int) -> None:
    truth = np.full((*size, 4), 500, np.uint16)
    save(folders, "only", truth + 10, truth)
    assert score_submissions(*folders).mean["psnr"] == pytest.approx(20 * np.log10(scale / 10), abs=1e-9)


def test_regions_of_the_photos_score_as_an_independent_reading_does(folders, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    expected = {}
    for seed, name in enumerate(NAMES):
        truth, guess = truth_and_guess(seed)
        save(folders, name, guess, truth)
        photo = np.random.default_rng(seed).integers(0, 250, (48, 62, 3), dtype=np.uint8)
        if seed:  # the first photo has no overexposed pixel
            photo[15 : 20 + seed, 10:41] = 255
        Image.fromarray(photo).save(inputs / f"{name}.png")
        mask, x, y = reading.mask_planes(photo), guess / 1024, truth / 1024
        expected[name] = {
            f"{kind}_{region}": function(x, y, weight)
            for kind, function in (("psnr", reading.psnr), ("ssim", reading.ssim))
            for region, weight in (("oe", mask), ("noe", 1 - mask))
        }
    evaluation = score_submissions(*folders, inputs, bits=10)
    for image in evaluation.images:
        for key, value in expected[image.name].items():
            assert image.scores[key] == pytest.approx(value, abs=1e-9 if "psnr" in key else 1e-7, nan_ok=True)
    assert math.isnan(expected[NAMES[0]]["psnr_oe"])
    known = [figures["psnr_oe"] for figures in expected.values() if not math.isnan(figures["psnr_oe"])]
    assert evaluation.mean["psnr_oe"] == pytest.approx(np.mean(known), abs=1e-9)


def test_all_that_is_wrong_is_named_in_one_error(folders, tmp_path: Path) -> None:
    good = np.zeros((16, 16, 4), np.uint16)
    for name in ("fine", "shape", "dtype", "high", "missing", "damaged", "flat", "small_photo", "no_photo"):
        np.save(folders[1] / f"{name}.npy", good)
    for name in ("fine", "small_photo", "no_photo", "unknown"):
        np.save(folders[0] / f"{name}.npy", good)
    np.save(folders[0] / "shape.npy", np.zeros((16, 18, 4), np.uint16))
    np.save(folders[0] / "dtype.npy", good.astype(np.float32))
    np.save(folders[0] / "high.npy", good + 1025)
    np.save(folders[0] / "flat.npy", good[..., 0])
    (folders[0] / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for path in folders[1].iterdir():
        if path.stem != "no_photo":
            Image.new("RGB", (32, 20 if path.stem == "small_photo" else 32)).save(inputs / f"{path.stem}.png")
    (inputs / "fine.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        score_submissions(*folders, inputs, bits=10)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "missing.npy has no submission",
        "unknown.npy has no truth",
        "shape.npy: is [16, 18, 4], but its truth is [16, 16, 4]",
        "dtype.npy: is float32 [16, 16, 4], not uint16",
        "high.npy: holds 1025, above 1024",
        "flat.npy: is uint16 [16, 16]",
        "damaged.npy: not a readable .npy file",
        "small_photo.png: is 20x32, but its RAW is 32x32",
        "no_photo.npy has no input",
        "fine.png",
    ):
        assert part in message, part


def test_a_long_list_of_problems_is_cut(folders) -> None:
    for index in range(25):
        np.save(folders[1] / f"{index}.npy", np.zeros((16, 16, 4), np.uint16))
    np.save(folders[0] / "0.npy", np.zeros((16, 16, 4), np.uint16))
    with pytest.raises(DataError, match=r"^1 submissions for 25 truths; .*19\.npy .*; and 5 more$"):
        score_submissions(*folders, bits=10)


@pytest.mark.parametrize("sizes", [[(20, 20)], [(248, 248), (512, 512)]])
def test_tiles_of_no_one_challenge_need_bits(folders, sizes: list[tuple[int, int]]) -> None:
    for index, size in enumerate(sizes):
        save(folders, str(index), *[np.zeros((*size, 4), np.uint16)] * 2)
    with pytest.raises(DataError, match="bits=10"):
        score_submissions(*folders)
    assert score_submissions(*folders, bits=12).mean["psnr"] == 999


def test_folders_and_bits_that_are_none(folders) -> None:
    with pytest.raises(DataError, match=r"no \.npy in it"):
        score_submissions(*folders)
    with pytest.raises(DataError, match="nowhere"):
        score_submissions(folders[0] / "nowhere", folders[1])
    with pytest.raises(ConfigError, match="bits must be auto"):
        score_submissions(*folders, bits=11)
    np.save(folders[0] / "a.npy", np.zeros((8, 16, 4), np.uint16))
    np.save(folders[1] / "a.npy", np.zeros((8, 16, 4), np.uint16))
    with pytest.raises(DataError, match="SSIM needs 11x11"):
        score_submissions(*folders, bits=10)
