"""`revisp-evaluate`, run for real on tiny pictures."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import revisp
from revisp.camera.simulate import SIMULATED
from revisp.config import compose
from revisp.data import create_data
from revisp.errors import ConfigError
from revisp.evaluation.run import evaluate
from revisp.evaluation.score_model import score_model
from revisp.io.dng import write_dng

RUN = "hydra.run.dir=run"
SCORES = {"psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe"}
OF_FRAME = {"rmse/corners", "rmse/middle", "bias_ev/corners", "bias_ev/middle"}


def scores(folder: Path) -> dict:
    return json.loads((folder / "run" / "scores.json").read_text())


@pytest.fixture(scope="module")
def trained(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> revisp.training.run.TrainResult:
    words = ["+backbone=classical", *(word for word in tiny if "backbone" not in word), "trainer.max_epochs=0"]
    return revisp.train([*words, f"hydra.run.dir={tmp_path_factory.mktemp('trained')}/run"])


def test_a_model_scores_as_the_test_of_its_training_did(run, trained, dataset: Path, tmp_path: Path) -> None:
    words = [f"model={trained.model_folder}", "data=prepared", f"data.root={dataset}"]
    done = run("revisp-evaluate", *words, RUN)
    found = scores(tmp_path)
    assert set(found) == SCORES | OF_FRAME | {"images"}
    assert found["images"] == 1
    for name in SCORES:
        assert found[name] == pytest.approx(trained.metrics[f"val/{name}"], abs=2e-5), name
    with (tmp_path / "run" / "scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row.pop("image") == "scene_2"
    assert 2000 < float(row.pop("temperature")) < 10000
    assert {name: float(value) for name, value in row.items()} == {n: found[n] for n in SCORES}
    assert re.search(rf"^scene_2 +{found['psnr']:.3f} ", done.stdout, re.MULTILINE)
    assert not done.stderr


def test_tiles_count_as_images(dataset: Path) -> None:
    data = create_data("prepared", root=dataset, val_tile=64)
    evaluation = score_model(revisp.from_pretrained(), data, tile=32)
    assert [image.name for image in evaluation.images] == ["scene_2_0", "scene_2_1"]


def test_a_model_of_another_camera_is_told_and_one_of_another_phase_refused(dataset: Path) -> None:
    data, profile = create_data("prepared", root=dataset), SIMULATED.profile
    with pytest.warns(UserWarning, match="made for revisp Another, the data are of revisp Simulated A"):
        score_model(revisp.ReverseISP("upi", profile=profile.replace(model="Another")), data)
    with pytest.raises(ConfigError, match="the model predicts BGGR, but the data are RGGB"):
        score_model(revisp.ReverseISP("upi", profile=profile.replace(cfa="BGGR")), data)


@pytest.mark.slow
def test_the_small_model_on_the_embedded_photos(run_here, tmp_path: Path) -> None:
    words = ["--blind", "model=default", "data=embedded", "+data.exposures=[0.3]", "styles=0"]
    run_here("revisp-evaluate", *words, RUN, check=True)
    found = scores(tmp_path)
    assert found["images"] == 2
    assert found["psnr_e3"] > max(29, found["srgb_psnr_e3"])  # a simulated camera, which it has not seen


def test_what_a_submission_writes_can_be_scored(run_here, tmp_path: Path) -> None:
    """Arrays for a server, judged against themselves changed by one step of 1024."""
    (tmp_path / "inputs").mkdir()
    for name in ("7_9", "7_10"):
        pixels = np.random.default_rng(0).integers(0, 256, (496, 496, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "inputs" / f"{name}.jpg")
    done = run_here("revisp-evaluate", "--submission", "model=default", "inputs=inputs", RUN, check=True)
    written = tmp_path / "run" / "submission"
    assert sorted(path.name for path in written.iterdir()) == ["7_10.npy", "7_9.npy", "readme.txt"]
    assert "2 arrays and readme.txt in" in done.stdout
    assert len((written / "readme.txt").read_text().splitlines()) == 4
    assert not (tmp_path / "run" / "scores.json").exists()
    (tmp_path / "truths").mkdir()
    for path in written.glob("*.npy"):
        np.save(tmp_path / "truths" / path.name, np.load(path) + np.uint16(1))
    run_here(
        "revisp-evaluate",
        f"submissions={written}",
        "truths=truths",
        "inputs=inputs",
        "hydra.run.dir=second",
        check=True,
    )
    found = json.loads((tmp_path / "second" / "scores.json").read_text())
    assert found["psnr"] == pytest.approx(20 * np.log10(1024), abs=1e-9)
    assert found["images"] == 2
    assert found["psnr_oe"] is not None


def test_metrics_add_figures_and_say_how_to_read_them(run_here, tmp_path: Path) -> None:
    truth = torch.rand(96, 128, generator=torch.Generator().manual_seed(0)) * 0.8
    write_dng(tmp_path / "truth.dng", truth, SIMULATED.profile)
    done = run_here(
        "revisp-evaluate", "prediction=truth.dng", "truth=truth.dng", "metrics=[aim,ntire,colour]", RUN, check=True
    )
    found = scores(tmp_path)
    assert (found["psnr"], found["ntire_psnr"], found["delta_e"]) == (999, 999, 0)
    assert found["note"] in done.stdout.replace("\n", "; ")
    assert "CIEDE2000 of RAW developed for revisp Simulated A" in found["note"]


def test_a_dng_against_a_dng(run_here, tmp_path: Path) -> None:
    truth = torch.rand(96, 128, generator=torch.Generator().manual_seed(0)) * 0.8
    write_dng(tmp_path / "truth.dng", truth, SIMULATED.profile)
    write_dng(tmp_path / "guess.dng", truth + 0.1, SIMULATED.profile)
    done = run_here("revisp-evaluate", "prediction=guess.dng", "truth=truth.dng", RUN, check=True)
    assert scores(tmp_path)["psnr"] == pytest.approx(20, abs=0.02)
    assert done.stdout.splitlines()[1].startswith("guess  20.0")


def test_the_cycle_needs_no_truth(run_here, tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()
    for name in ("2.png", "10.png"):
        Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(tmp_path / "my photos" / name)
    (tmp_path / "my photos" / "list.txt").touch()
    done = run_here("revisp-evaluate", "--cycle", "model=default", "photos=my photos", RUN, check=True)
    found = scores(tmp_path)
    assert "psnr" not in found  # a figure of developed pictures is not called as one of RAW
    assert found["cycle_psnr"] > 20
    assert done.stdout.splitlines()[-3:-1] == found["note"].split("; ")  # below the table
    assert "my photos: left out 1 with other endings (.txt)" in found["note"]
    with (tmp_path / "run" / "scores.csv").open() as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["2.png", "10.png"]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    for folder, names in (("a", ("x", "y")), ("b", ("x", "z")), ("empty", ())):
        (tmp_path / folder).mkdir()
        for name in names:
            np.save(tmp_path / folder / f"{name}.npy", np.zeros((16, 16, 4), np.uint16))
    (tmp_path / "tiles").mkdir()
    Image.new("RGB", (100, 100)).save(tmp_path / "tiles" / "one.png")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "given: nothing"),
        (["--cycle", "model=default"], "given: cycle, model"),
        (["submissions=a", "truths=b", "bits=10"], r"z\.npy has no submission in a.*y\.npy has no truth in b"),
        (["model=default", "data=embeded"], "did you mean 'embedded'"),
        (["modle=default"], "modle"),
        (["submissions=a", "truths=a", "metrics=[aim,color]"], "unknown metric 'color': did you mean 'colour'"),
        (["submissions=a", "truths=a", "metrics=colour"], "camera of this RAW is not known"),
        (["--cycle", "model=default", "photos=tiles", "metrics=noise"], "metrics= does not go with --cycle"),
    ],
)
def test_bad_words_end_in_one_line_and_exit_2(run_here, bad: Path, words: list[str], message: str) -> None:
    done = run_here("revisp-evaluate", *words, RUN)
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (bad / "run" / "scores.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=default", "data=embedded", "truth=x.dng"], "given: data, model, truth"),
        (
            ["cycle=true", "submission=true", "model=default", "inputs=tiles"],
            "given: cycle, inputs, model, submission",
        ),
        (["submissions=a", "truths=a"], "say bits=10"),
        (["submissions=a", "truths=a", "bits=nine"], "bits must be"),
        (["submissions=empty", "truths=a"], "empty: no .npy"),
        (["prediction=nowhere.dng", "truth=nothing.dng"], "nowhere.dng"),
        (["model=nowhere", "data=embedded"], "nowhere: no such model folder"),
        (["model=default", "data=prepared", "data.root=nowhere"], "nowhere"),
        (["model=default", "data=embedded", "tile=half"], "tile must be"),
        (["cycle=true", "model=default", "photos=empty"], "no photos in this folder"),
        (["cycle=true", "model=default", "photos=nowhere.jpg"], "nowhere.jpg: no such file"),
        (["submission=true", "model=default", "inputs=tiles"], "one.png: is 100x100"),
        (["submission=true", "model=default", "inputs=tiles", "device=abacus"], "device abacus"),
    ],
)
def test_bad_input_is_named(bad: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(bad)
    with pytest.raises(revisp.RevispError, match=message) as caught:
        evaluate(dict(OmegaConf.to_container(compose(words, "evaluate"), resolve=True)))
    assert "\n" not in str(caught.value)


def test_help_names_modes_and_data_sets_and_needs_no_torch(run) -> None:
    from revisp.data import list_data
    from revisp.evaluation.run import MODES

    shown = run("revisp-evaluate", "--help").stdout
    assert all(mode.words in shown for mode in MODES.values() if mode.words != MODES["model"].words)
    assert "model=FOLDER data=NAME" in shown
    assert all(name in shown for name in list_data())
    probe = "import sys; sys.argv = ['revisp-evaluate', '-h']; import revisp.cli.evaluate as c; c.main();"
    probe += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)


def test_a_model_gets_a_page_that_shows_where_it_is_wrong(run_here, dataset: Path, tmp_path: Path) -> None:
    words = ["model=default", "data=prepared", f"data.root={dataset}", "data.val_tile=64", "report_photos=1"]
    done = run_here("revisp-evaluate", *words, RUN, check=True)
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"Report: {tmp_path / 'run' / 'report.html'}" in done.stdout
    with (tmp_path / "run" / "scores.csv").open() as file:
        worst, *better = sorted(csv.DictReader(file), key=lambda row: float(row["psnr"]))
    assert worst["image"] in page
    assert not [row["image"] for row in better if row["image"] in page]
    assert "Error by brightness" in page
    assert "data:image/webp;base64," in page
    run_here("revisp-evaluate", *words[:-1], "report_photos=0", "hydra.run.dir=bare", check=True)
    assert not (tmp_path / "bare" / "report.html").exists()
