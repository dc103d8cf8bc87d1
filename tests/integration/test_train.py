"""`revisp-train` and `revisp.train`, run for real on three tiny images."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

import revisp
from revisp.config import config_dir, config_groups
from revisp.errors import ConfigError, OutputError, WeightsError
from revisp.io import write_png
from revisp.training.task import RIVALS

SCORES = {"psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe"}


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(run_dir / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> revisp.training.run.TrainResult:
    run_dir = tmp_path_factory.mktemp("run") / "first"
    return revisp.train([*tiny, f"hydra.run.dir={run_dir}"])


def test_threads_of_a_training_give_up_their_core_soon_and_are_told_before_torch_is_loaded() -> None:
    script = (
        "import os, sys; from revisp.cli import train; sys.argv = ['revisp-train', '+backbone=unet'];"
        "train.run_command = lambda *_: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules);"
        "train.main()"
    )
    environment = {
        key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    spins, has_torch = done.stdout.split()
    assert int(spins) < 100_000  # GNU OpenMP takes 300,000 otherwise
    assert has_torch == "False"


def test_a_run_leaves_what_it_promises(finished) -> None:
    metrics = json.loads((finished.run_dir / "metrics.json").read_text())
    rivals = set(RIVALS) - {"base"}  # which an estimated base has alone
    assert set(metrics) == {f"{group}/{score}" for group in rivals for score in SCORES}
    assert metrics["val/psnr"] == pytest.approx(finished.metrics["val/psnr"])
    assert (finished.run_dir / "panel.png").stat().st_size > 1000
    assert (finished.run_dir / "checkpoints" / "last.ckpt").is_file()
    assert list(finished.run_dir.glob("logs/csv/metrics.csv"))
    assert list(finished.run_dir.glob("logs/tensorboard/events*"))


def test_what_lies_beside_photos_is_told_below_the_table(tiny: list[str], tmp_path: Path, caplog) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(2):
        write_png(photos / f"{seed}.png", torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(seed)))
    (photos / "list.txt").touch()
    words = [word for word in tiny if not word.startswith("data.root=")]
    words += ["data=simulated", f"data.photos={photos}", f"hydra.run.dir={tmp_path / 'run'}"]
    with caplog.at_level(logging.INFO, logger="revisp.training.run"):
        revisp.train(words)
    told = [record.getMessage() for record in caplog.records if record.name == "revisp.training.run"]
    table, advice, left_out, folder = told[-4:]
    assert table.startswith("validation")
    assert advice.startswith("Use the ")
    assert left_out == f"{photos}: left out 1 with other endings (.txt)"
    assert folder.startswith("Run folder: ")


def test_the_model_folder_predicts_as_the_trained_model(finished) -> None:
    again = revisp.from_pretrained(finished.model_folder)
    srgb = torch.rand(1, 3, 33, 40)
    assert torch.equal(again(srgb).bayer, finished.model(srgb).bayer)
    assert again.profile is not None


def test_the_fused_score_lies_between_or_above_its_branches_in_each_region(finished) -> None:
    """With the hard mask the fused pipeline *is* the OE branch inside the mask and the NOE branch outside."""
    figures = finished.metrics
    assert figures["val/psnr_oe"] == pytest.approx(figures["oe/psnr_oe"], abs=1e-4)
    assert figures["val/psnr_noe"] == pytest.approx(figures["noe/psnr_noe"], abs=1e-4)


def test_same_seed_same_weights_other_seed_other_weights(finished, tiny: list[str], tmp_path: Path) -> None:
    first = weights(finished.run_dir)
    for seed, same in ((0, True), (1, False)):
        run_dir = tmp_path / str(seed)
        revisp.train([*tiny, f"seed={seed}", f"hydra.run.dir={run_dir}"])
        assert all(torch.equal(first[name], value) for name, value in weights(run_dir).items()) is same


@pytest.mark.parametrize("refine", ["joint", "staged"])
def test_refinement_trains_jointly_or_after_the_branches(tiny: list[str], tmp_path: Path, refine: str) -> None:
    words = [*tiny, "refine=unet", "refine.network.width=4", "refine.network.depth=2"]
    result = revisp.train([*words, f"refine.schedule={refine}", f"hydra.run.dir={tmp_path}/run"])
    out = result.model(torch.rand(1, 3, 32, 32))
    assert not torch.equal(out.bayer, out.mosaiced)


@pytest.mark.parametrize("pipeline", ["fusion", "fusion_shared", "plain"])
def test_the_classical_network_is_fitted_and_needs_no_epoch(
    tiny: list[str], tmp_path: Path, pipeline: str
) -> None:
    words = ["+backbone=classical", *(word for word in tiny if "backbone" not in word), f"pipeline={pipeline}"]
    result = revisp.train([*words, "trainer.max_epochs=0", f"hydra.run.dir={tmp_path}/run"])
    shading = 0.1  # dB, which the rival fits, too, where the data know the whole photos
    assert result.metrics["val/psnr"] == pytest.approx(result.metrics["classical/psnr"], abs=shading)
    assert result.metrics["val/psnr"] > result.metrics["upi_fitted/psnr"]
    again = revisp.from_pretrained(result.model_folder)
    srgb = torch.rand(1, 3, 33, 40)
    assert torch.equal(again(srgb).bayer, result.model(srgb).bayer)


def test_the_base_is_fitted_before_the_first_step(tiny: list[str], tmp_path: Path) -> None:
    words = ["pipeline=fusion_residual", "trainer.max_epochs=0", f"hydra.run.dir={tmp_path}/run"]
    result = revisp.train([*tiny, *words])
    assert result.metrics["val/psnr"] == pytest.approx(result.metrics["classical/psnr"], abs=0.01)


def test_training_goes_on_from_the_fit(tiny: list[str], tmp_path: Path) -> None:
    words = ["+backbone=classical", *(word for word in tiny if "backbone" not in word), "optimizer.lr=1e-5"]
    result = revisp.train([*words, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/run"])
    assert result.metrics["val/psnr"] == pytest.approx(result.metrics["classical/psnr"], abs=0.3)
    assert result.metrics["val/psnr"] != result.metrics["classical/psnr"]


def test_what_the_samples_tell_nothing_of_is_neither_fitted_nor_scored(caplog: pytest.LogCaptureFixture) -> None:
    from revisp.camera.simulate import SIMULATED
    from revisp.data.picture import Sample
    from revisp.losses.composite import BranchLoss, FusionLoss
    from revisp.pipeline import ReverseISP
    from revisp.training.task import ReverseISPTask

    kwargs = {"width": 2, "depth": 2}
    model = ReverseISP("unet", backbone_kwargs=kwargs, base="classical", profile=SIMULATED.profile)
    before = model.base.head.weight.clone()
    task = ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))
    white = torch.ones(3, 32, 32)
    samples = [Sample(white, white[:1], white, "white", white[:1])]
    task.fit_networks(samples)
    assert torch.equal(model.base.head.weight, before)
    assert "The base starts unfitted, as the inverse of the sRGB curve: only 0 blocks" in caplog.text
    task.fit_baseline(samples)
    assert list(task.baselines) == ["upi"]
    assert "Not scored: the classical inverse: only 0 blocks" in caplog.text


def test_shared_trunk_soft_mask_and_other_losses(tiny: list[str], tmp_path: Path) -> None:
    words = ["pipeline=fusion_shared", "mask=soft", "fusion=soft", "loss.noe.domain=linear", "optimizer=adamw"]
    terms = [
        "loss.oe.terms={l1: null, charbonnier: 1.0}",
        "loss.noe.terms.ssim=0.5",
        "loss.noe.terms.ms_ssim_l1=0.01",
    ]
    words.append("trainer.max_epochs=1")
    result = revisp.train([*tiny, *words, *terms, f"hydra.run.dir={tmp_path}/run"])
    assert result.metrics["val/psnr"] > 5


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(tiny: list[str], tmp_path: Path) -> None:
    """Killed without warning after some epochs, then resumed: bit for bit the uninterrupted result."""
    words = [*tiny, "trainer.max_epochs=12", "data.crops_per_epoch=32"]
    revisp.train([*words, f"hydra.run.dir={tmp_path}/whole"])
    run_dir = tmp_path / "broken"
    command = [str(Path(sys.executable).with_name("revisp-train")), *words, f"hydra.run.dir={run_dir}"]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (run_dir / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    if (run_dir / "model").exists():
        pytest.skip("the run ended before it could be killed")
    revisp.train([*words, "resume=last", f"hydra.run.dir={run_dir}"])
    whole, resumed = weights(tmp_path / "whole"), weights(run_dir)
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tiny: list[str], tmp_path: Path) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    command = [str(Path(sys.executable).with_name("revisp-train")), *tiny, "trainer.max_epochs=100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, f"hydra.run.dir={last.parents[1]}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as process:
        deadline = time.monotonic() + 120
        while not last.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"resume={last}" in told
    assert errors.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in errors


@pytest.mark.slow
def test_two_processes_train_one_model(run, tiny: list[str], tmp_path: Path) -> None:
    run(
        "revisp-train",
        *tiny,
        "trainer=ddp_cpu",
        "trainer.max_epochs=1",
        "hydra.run.dir=run",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert revisp.from_pretrained(tmp_path / "run" / "model").profile is not None
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["val/psnr"] > 5


@pytest.mark.slow
def test_multirun_sweeps_backbones(run_here, tiny: list[str], tmp_path: Path) -> None:
    words = [word for word in tiny if "backbone" not in word]
    sweep = ["-m", "+backbone=unet,cycleisp", "trainer.max_epochs=1", "hydra.sweep.dir=sweep"]
    run_here("revisp-train", *sweep, *words, check=True)
    configs = [json.loads((tmp_path / "sweep" / n / "model" / "config.json").read_text()) for n in "01"]
    assert [config["pipeline"]["backbone"] for config in configs] == ["unet", "cycleisp"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+backbone=unett"], "did you mean 'unet'"),
        (["data=prepared", "data.root=nowhere"], "nowhere"),
        (["resume=nothing.ckpt"], "nothing.ckpt"),
        (["trainer.max_epoch=3"], "max_epoch"),
        (["+trainer.no_such_flag=1"], "no_such_flag"),
        (["backbone.widht=3"], "widht"),
        (["+loss.oe.terms.l3=1.0"], "'l1'"),
    ],
)
def test_wrong_words_end_in_one_line_and_exit_2(run_here, tmp_path: Path, words: list[str], message: str) -> None:
    done = run_here("revisp-train", *words, "hydra.run.dir=run")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "model").exists()


def test_help_names_every_group_and_choice_and_needs_no_torch(run) -> None:
    done = run("revisp-train", "--help")
    for group in config_groups():
        assert re.search(rf"^  {group} ", done.stdout, re.MULTILINE), group
    words = set(re.findall(r"\w+", done.stdout))
    assert {path.stem for path in config_dir().glob("*/*.yaml")} <= words
    assert max(map(len, done.stdout.splitlines())) <= 115
    probe = (
        "import sys; sys.argv = ['revisp-train', '--help']; import revisp.cli.train as command; command.main();"
    )
    probe += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)


@pytest.mark.parametrize(
    "word",
    [
        "seed=abc",
        "backbone.width=abc",
        "trainer.max_epochs=abc",
        "data.batch_size=abc",
        "optimizer.lr=abc",
        "optimizer._target_=a.b",
        "schedule.warmup=2",
        "+schedule.foo=1",
        "mask.threshold=abc",
        "trainer.precision=9",
    ],
)
def test_values_of_the_wrong_kind_are_config_errors(tiny: list[str], tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        revisp.train([*tiny, word, f"hydra.run.dir={tmp_path}/run"])
    assert "\n" not in str(caught.value)


def test_a_configuration_folder_of_ones_own_adds_choices(run_here, tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "my" / "backbone").mkdir(parents=True)
    (tmp_path / "my" / "backbone" / "slim.yaml").write_text("name: unet\nwidth: 3\ndepth: 2\nnorm: none\n")
    words = [word for word in tiny if "backbone" not in word]
    words += ["+backbone=slim", "trainer.max_epochs=1", "hydra.run.dir=run"]
    run_here("revisp-train", "--config-dir", "my", *words, check=True)
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["pipeline"]["backbone_kwargs"]["width"] == 3


def test_resume_last_without_a_checkpoint_says_so(tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume=last"):
        revisp.train([*tiny, "resume=last", f"hydra.run.dir={tmp_path}/a/b"])


def test_a_damaged_checkpoint_is_named(finished, tiny: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes((finished.run_dir / "checkpoints" / "last.ckpt").read_bytes()[:-500])
    with pytest.raises(WeightsError, match=r"broken\.ckpt"):
        revisp.train([*tiny, f"resume={broken}", f"hydra.run.dir={tmp_path}/run"])


def test_a_second_training_in_a_run_folder_is_refused(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(OutputError, match="another training is at work"):
        revisp.train([*tiny, f"hydra.run.dir={tmp_path}/run"])
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_files_of_a_user_in_the_model_folder_are_told_before_the_training(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").touch()
    with pytest.raises(OutputError, match=r"not a model folder \(it holds mine\.txt\)"):
        revisp.train([*tiny, f"hydra.run.dir={tmp_path}"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_run_folders_begun_in_one_second_differ() -> None:
    folders = {str(revisp.compose(["+backbone=unet"]).run_dir) for _ in range(3)}
    assert len(folders) == 3
