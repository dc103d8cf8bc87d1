"""The metrics of revisp-evaluate: each figure equals an independent computation, and a lack is told at once."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from revisp.camera.cameras import typical_profile
from revisp.camera.develop import develop
from revisp.cfa import pack
from revisp.errors import ConfigError, UnknownNameError, WeightsError
from revisp.evaluation.measures import METRICS, check_metrics, choose_measures
from revisp.evaluation.score_submissions import score_submissions
from revisp.evaluation.scores import score_pair
from revisp.losses.perceptual import TRUNK_VARIABLE
from revisp.metrics.by_region import SCORES

PROFILE = typical_profile()
SIZE = 160


@pytest.fixture
def picture() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a prediction with half the noise, packed planes of a noisy ramp, and a photo with a bright square."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.linspace(0.1, 0.7, SIZE).expand(4, SIZE, SIZE)
    noise = 0.02 * torch.randn(clean.shape, generator=generator)
    srgb = torch.full((3, 2 * SIZE, 2 * SIZE), 0.4)
    srgb[:, 40:120, 40:200] = 1
    return clean + noise / 2, clean + noise, srgb


def figures(metric: str, picture, **settings) -> dict[str, float]:
    measures = choose_measures(metric, PROFILE)
    return score_pair(*picture, figures=[measure.figures for measure in measures], **settings)


def test_the_default_is_psnr_and_ssim_of_aim(picture) -> None:
    assert figures("aim", picture) == score_pair(*picture)
    assert tuple(figures("aim", picture)) == SCORES


def test_ntire_scores_the_values_that_12_bits_store(picture) -> None:
    found = figures("ntire", picture)
    assert tuple(found) == tuple(f"ntire_{name}" for name in SCORES)
    given, true = (np.rint(x.double().numpy() * 4095) / 4095 for x in picture[:2])
    square = np.zeros((SIZE, SIZE), bool)
    square[20:60, 20:100] = True
    error = (given - true) ** 2
    assert found["ntire_psnr"] == pytest.approx(-10 * np.log10(error.mean()), abs=1e-9)
    assert found["ntire_psnr_oe"] == pytest.approx(-10 * np.log10(error[:, square].mean()), abs=1e-9)
    assert found["ntire_psnr_noe"] == pytest.approx(-10 * np.log10(error[:, ~square].mean()), abs=1e-9)
    ssim = partial(structural_similarity, gaussian_weights=True, use_sample_covariance=False, data_range=1)
    planes = [ssim(a, b, sigma=1.5, truncate=4) for a, b in zip(given, true, strict=True)]
    assert found["ntire_ssim"] == pytest.approx(np.mean(planes), abs=1e-3)  # which leaves another border out
    assert found["ntire_psnr"] != figures("aim", picture)["psnr"]


def test_colour_is_scikit_images_of_the_developed_pictures(picture) -> None:
    labs = []
    for planes in picture[:2]:
        red, *greens, blue = planes.double()
        developed = develop(torch.stack([red, sum(greens) / 2, blue]), PROFILE)
        labs.append(rgb2lab(developed.movedim(0, -1).numpy()))
    difference = deltaE_ciede2000(*labs)
    square = np.zeros((SIZE, SIZE), bool)
    square[20:60, 20:100] = True
    found = figures("colour", picture)
    assert found == {
        "delta_e": pytest.approx(difference.mean(), rel=1e-3),
        "delta_e_oe": pytest.approx(difference[square].mean(), rel=1e-3),
        "delta_e_noe": pytest.approx(difference[~square].mean(), rel=1e-3),
    }


def test_noise_is_the_share_that_is_left(picture) -> None:
    assert figures("noise", picture) == {"noise_ratio": pytest.approx(0.25, rel=1e-3)}  # of half the amplitude
    _, truth, srgb = picture
    assert figures("noise", (truth, truth, srgb))["noise_ratio"] == pytest.approx(1)
    assert math.isnan(figures("noise", (truth * 0, truth * 0, srgb))["noise_ratio"])


def test_lpips_is_that_of_the_lpips_package(picture, sample_data, monkeypatch) -> None:
    from lpips import LPIPS
    from safetensors.torch import load_file

    trunk = sample_data / "weights" / "alexnet_features_fp16.safetensors"
    if not trunk.is_file():
        pytest.skip("no AlexNet trunk among the sample data")
    monkeypatch.setenv(TRUNK_VARIABLE, str(trunk))
    network = LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = load_file(trunk)
    network.net.load_state_dict(
        {name: weights["features." + name.partition(".")[2]].float() for name in network.net.state_dict()}
    )
    shown = [develop(torch.stack([x[0], (x[1] + x[2]) / 2, x[3]]), PROFILE)[None] * 2 - 1 for x in picture[:2]]
    with torch.no_grad():
        expected = network(*shown).item()
    assert figures("lpips", picture) == {"lpips": pytest.approx(expected, rel=1e-4)}


def test_pixels_that_are_not_valid_change_no_figure(picture) -> None:
    prediction, truth, srgb = picture
    valid = torch.ones(1, 2 * SIZE, 2 * SIZE)
    valid[:, 200:] = 0
    spoilt = torch.where(pack(valid, "RGGB") > 0, prediction, 1 - prediction)
    names = ["aim", "ntire", "colour", "noise"]
    assert figures(names, (spoilt, truth, srgb), valid=valid) == figures(names, picture, valid=valid)


def test_what_is_missing_is_told_before_anything_is_computed(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(TRUNK_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match=f"metrics=lpips needs .* {TRUNK_VARIABLE}"):
        choose_measures("lpips", PROFILE)
    for metric in ("colour", "lpips"):
        with pytest.raises(ConfigError, match=f"metrics={metric} compares developed pictures, and the camera"):
            choose_measures(metric)
    with pytest.raises(UnknownNameError, match="unknown metric 'color': did you mean 'colour'"):
        check_metrics(["aim", "color"])
    with pytest.raises(ConfigError, match="metrics must name some of aim, ntire"):
        check_metrics([])


def test_every_metric_but_aim_says_how_to_read_it() -> None:
    notes = {name: choose_measures(name, PROFILE)[0].note for name in METRICS if name != "lpips"}
    assert [name for name, note in notes.items() if not note] == ["aim"]


def test_arrays_of_12_bits_are_scored_as_ntire_does(tmp_path) -> None:
    generator = np.random.default_rng(0)
    for folder in ("given", "true"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", generator.integers(0, 1025, (32, 40, 4), dtype=np.uint16))
    folders = tmp_path / "given", tmp_path / "true"
    (both,) = score_submissions(*folders, bits=12, metrics=["aim", "ntire"]).images
    given, true = (np.load(folder / "x.npy") / 4095 for folder in folders)
    expected = -10 * np.log10(np.mean((given - true) ** 2))
    assert both.scores["psnr"] == both.scores["ntire_psnr"] == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ConfigError, match="metrics=ntire is for arrays of 12 bits"):
        score_submissions(*folders, bits=10, metrics="ntire")
