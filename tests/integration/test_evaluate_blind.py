"""`revisp-evaluate --blind`: whole pictures of a prepared data set, a model beside the formulas."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scene_files
import torch
from omegaconf import OmegaConf

from revisp.camera.simulate import SIMULATED
from revisp.config import compose
from revisp.data import create_data
from revisp.data.prepared import PreparedPicture
from revisp.errors import ConfigError, DataError
from revisp.evaluation.blind_pairs import blind_pictures, read_blind_pair
from revisp.evaluation.run import evaluate
from revisp.evaluation.score_blind import BASELINES, model_method, score_blind
from revisp.pipeline import ReverseISP

PROFILE = SIMULATED.profile


@pytest.fixture(scope="module")
def hdri(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four panoramas of coarse patches, with lamps far above them."""
    root = tmp_path_factory.mktemp("hdri")
    for seed in range(4):
        rng = np.random.default_rng(seed)
        light = np.kron(rng.uniform(0.05, 2, (8, 16, 3)), np.ones((8, 8, 1)))
        light *= rng.uniform(0.95, 1.05, light.shape)
        light[10:24, 20:60] *= 100
        scene_files.write_hdr(
            root / f"place_{seed}.hdr", scene_files.coded(scene_files.rgbe(light)), "-Y 64 +X 128"
        )
    return root


def test_pictures_come_whole_with_their_camera(dataset: Path) -> None:
    data = create_data("prepared", root=dataset, val_tile=64)
    (picture,) = blind_pictures(data)
    pair = read_blind_pair(picture, data.profile)
    assert (pair.name, pair.exposure) == ("scene_2", "scene_2")
    assert pair.photo.shape == (3, 64, 96)
    assert pair.raw_rgb.shape == (3, 32, 48)
    stored = np.load(next((dataset / "arrays").glob("scene_2*raw*")))
    red = PROFILE.normalise(stored)[0::2, 0::2]
    np.testing.assert_allclose(pair.raw_rgb[0].numpy(), red, atol=1e-6)
    assert len(blind_pictures(data, "all")) == 3


def test_a_reduced_raw_is_binned_from_its_target(dataset: Path) -> None:
    (picture,) = create_data("prepared", root=dataset).val_pictures
    reduced = PreparedPicture(dataset, replace(picture.entry, alignment={"scale": 0.28}))
    target = np.load(next((dataset / "arrays").glob("scene_2*target*"))).astype(np.float32)
    expected = target.reshape(3, 32, 2, 48, 2).mean((2, 4))
    np.testing.assert_allclose(read_blind_pair(reduced, PROFILE).raw_rgb.numpy(), expected, atol=1e-3)
    assert not np.allclose(read_blind_pair(picture, PROFILE).raw_rgb.numpy(), expected, atol=1e-3)


def test_a_model_beside_the_formulas(dataset: Path) -> None:
    data = create_data("prepared", root=dataset)
    evaluation = score_blind(
        model_method(ReverseISP("upi", profile=PROFILE)), data, name="mine", split="all", styles=2
    )
    assert evaluation.methods == ("mine", "srgb", "upi")
    assert len(evaluation.images) == 3
    assert {"psnr_e3", "srgb_psnr_e3", "upi_psnr_e3", "style_drop", "upi_style_drop"} <= set(evaluation.mean)
    # The network's formula ends with a matrix, which E3 takes back; its protection of highlights is left.
    assert evaluation.mean["psnr_e3"] == pytest.approx(evaluation.mean["upi_psnr_e3"], abs=1.5)


def test_a_formula_is_not_its_own_baseline(dataset: Path) -> None:
    data = create_data("prepared", root=dataset)
    assert score_blind(BASELINES["upi"], data, name="upi", styles=0).methods == ("upi", "srgb")


def test_a_picture_that_says_nothing_is_left_out(dataset: Path) -> None:
    data = create_data("prepared", root=dataset)

    def black(photo: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(photo)

    with (
        pytest.warns(UserWarning, match="scene_2 is left out: .*without light"),
        pytest.raises(DataError, match="of 1 picture none"),
    ):
        score_blind(black, data, styles=0)


def test_scenes_are_judged_by_all_their_colours(hdri: Path, tmp_path: Path) -> None:
    data = create_data(
        "scenes", scenes=hdri, val=["place_0", "place_1"], val_size=128, val_views=3, cache=tmp_path
    )
    pairs = [read_blind_pair(picture, data.profile) for picture in blind_pictures(data)]
    assert len({pair.name for pair in pairs}) == 6
    assert [pair.exposure for pair in pairs] == ["place_0"] * 3 + ["place_1"] * 3
    for pair, picture in zip(pairs, data.val_pictures, strict=True):
        target = picture.read(0, 0, 128, 128).target.numpy()
        blocks = target.reshape(3, 64, 2, 64, 2)
        np.testing.assert_allclose(pair.raw_rgb.numpy(), blocks.mean((2, 4)), atol=1e-6)
        np.testing.assert_array_equal(pair.saturated.numpy(), (blocks >= 0.98).any((0, 2, 4)))
    assert any(pair.saturated.any() for pair in pairs)
    evaluation = score_blind(BASELINES["upi"], data, name="upi", styles=0)
    assert evaluation.difference("psnr_e3", "srgb").exposures == 2  # views of a scene are no new evidence


def test_random_views_are_told_apart_by_their_scene(hdri: Path, tmp_path: Path) -> None:
    data = create_data("scenes", scenes=hdri, val=["place_0"], val_size=64, val_views=1, cache=tmp_path)
    exposures = {read_blind_pair(picture, data.profile).exposure for picture in data.train_pictures}
    assert exposures == {"place_1", "place_2", "place_3"}


def test_an_unknown_split_is_refused(dataset: Path) -> None:
    with pytest.raises(ConfigError, match="split must be val or all, got 'test'"):
        blind_pictures(create_data("prepared", root=dataset), "test")


def test_the_command_leaves_table_and_files(run_here, dataset: Path, tmp_path: Path) -> None:
    words = ["--blind", "model=default", "data=prepared", f"data.root={dataset}", "split=all", "styles=0"]
    done = run_here("revisp-evaluate", *words, "hydra.run.dir=run", check=True)
    assert "simulated (3)" in done.stdout
    assert "psnr_e3, default less upi:" in done.stdout
    summary = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (summary["images"], summary["cameras"]) == (3, 1)
    assert summary["psnr_e3"] > summary["srgb_psnr_e3"]
    with (tmp_path / "run" / "scores.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [row["image"] for row in rows] == ["scene_0", "scene_1", "scene_2"]
    assert np.mean([float(row["psnr_e3"]) for row in rows]) == pytest.approx(summary["psnr_e3"])


def test_the_command_takes_scenes(run_here, hdri: Path, tmp_path: Path) -> None:
    words = ["--blind", "model=upi", "data=scenes", f"data.scenes={hdri}", "data.val_size=128", "styles=0"]
    run_here("revisp-evaluate", *words, "hydra.run.dir=run", check=True)
    summary = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (summary["images"], summary["cameras"]) == (4, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split=test"], "split must be val or all, got 'test'"),
        (["styles=1"], "styles must be 0 or a number of gradings from 2 on, got 1"),
        (["styles=many"], "styles must be"),
        (["photos=x"], "given: blind, data, model, photos"),
    ],
)
def test_bad_words_are_named(dataset: Path, words: list[str], message: str) -> None:
    given = ["blind=true", "model=upi", "data=prepared", f"data.root={dataset}", *words]
    settings = OmegaConf.to_container(compose(given, "evaluate"), resolve=False)
    with pytest.raises(ConfigError, match=message):
        evaluate({**settings, "run_dir": "."})
