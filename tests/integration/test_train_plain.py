"""`revisp-train pipeline=plain`: one network alone, its targets, its losses, and published recipes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import revisp
from revisp.config import config_dir
from revisp.errors import ConfigError

SCORES = {"psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe"}
PLAIN = ["pipeline=plain", "trainer.max_epochs=1", "trainer.log_every_n_steps=1"]
SSDNET = ["backbone.width=8", "backbone.blocks=[1,1]", "backbone.refinement=1", "backbone.error_blocks=1"]
RERAW = ["backbone.width=8", "backbone.depth=1", "backbone.encoder_width=4", "backbone.context_size=33"]


@pytest.fixture(scope="session")
def words(tiny: list[str]) -> list[str]:
    """Words for one epoch, without those of a backbone."""
    return [*(word for word in tiny if "backbone" not in word), *PLAIN]


def logged(run_dir: Path) -> set[str]:
    """Names of all figures that a run logged."""
    (file,) = run_dir.glob("logs/csv/metrics.csv")
    with file.open() as lines:
        return {name for row in csv.DictReader(lines) for name, value in row.items() if value}


@pytest.mark.slow
def test_a_published_network_of_planes_trains_alone(run_here, words: list[str], tmp_path: Path) -> None:
    done = run_here(
        "revisp-train", "+backbone=zeronoise", "backbone.channels=4", *words, "hydra.run.dir=run", check=True
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    groups = ("val", "upi", "upi_fitted", "classical")
    assert set(metrics) == {f"{group}/{score}" for group in groups for score in SCORES}
    assert metrics["val/psnr"] > 5
    rows = [line for line in done.stdout.splitlines() if line.startswith("network alone ")]
    assert rows
    assert rows[-1].split()[2] == f"{metrics['val/psnr']:.2f}"
    assert "fused pipeline" not in done.stdout
    assert "branch alone" not in done.stdout
    assert (tmp_path / "run" / "panel.png").stat().st_size > 1000
    model = revisp.from_pretrained(tmp_path / "run" / "model")
    assert (model.plain, model.packed, model.config["mask_channel"]) == (True, True, False)
    out = model(torch.rand(1, 3, 33, 40))
    assert out.bayer.shape == (1, 1, 33, 40)


@pytest.mark.parametrize(
    ("own", "packed"),
    [
        (["+backbone=unet", "backbone.width=4", "backbone.depth=2", "loss.plain.target=raw_rgb"], False),
        (
            ["+backbone=unet", "backbone.width=4", "backbone.depth=2", "refine=unet", "refine.network.width=4"],
            False,
        ),
        (
            ["+backbone=zeronoise", "backbone.channels=4", "+backbone.head=raw_rgb", "pipeline.mask_channel=true"],
            False,
        ),
        (
            ["+backbone=zeronoise", "backbone.channels=4", "pipeline.padding=ones4", "loss.plain.terms.ssim=1"],
            True,
        ),
    ],
    ids=["demosaiced target", "refined", "planes by a network of colours", "padded by ones"],
)
def test_targets_and_heads(words: list[str], tmp_path: Path, own: list[str], packed: bool) -> None:
    result = revisp.train([*words, *own, f"hydra.run.dir={tmp_path}/run"])
    assert result.model.packed is packed
    assert result.metrics["val/psnr"] > 5
    assert "oe/psnr" not in result.metrics
    assert "train/l1" in logged(result.run_dir)
    assert not any(name.startswith(("train/oe", "train/noe")) for name in logged(result.run_dir))
    again = revisp.from_pretrained(result.model_folder)
    srgb = torch.rand(1, 3, 33, 40)
    assert torch.equal(again(srgb).bayer, result.model(srgb).bayer)


def test_training_brings_the_planes_nearer(words: list[str], tmp_path: Path) -> None:
    own = ["+backbone=zeronoise", "backbone.channels=8", "optimizer.lr=1e-2", "data.crops_per_epoch=32"]
    start, end = (
        revisp.train([*words, *own, f"trainer.max_epochs={epochs}", f"hydra.run.dir={tmp_path}/{epochs}"])
        for epochs in (0, 3)
    )
    assert end.metrics["val/psnr"] > start.metrics["val/psnr"] + 2


def test_a_published_recipe_trains_with_its_own_loss(dataset: Path, words: list[str], tmp_path: Path) -> None:
    recipe = [*words, "experiment=ssdnet_native", *SSDNET, "data.num_workers=0"]
    result = revisp.train([*recipe, f"hydra.run.dir={tmp_path}/run"])
    assert "train/soft_supervision" in logged(result.run_dir)
    assert "train/l1" not in logged(result.run_dir)
    assert result.model.packed
    assert result.metrics["val/psnr"] > 5


def test_the_error_branch_learns_only_where_a_loss_asks_for_it(words: list[str], tmp_path: Path) -> None:
    """Its weights move in an epoch only with the soft supervision."""
    linear = ["+backbone=ssdnet", *SSDNET, "loss.plain.domain=linear"]
    for name, terms, moves in (("l1", [], False), ("soft", ["+loss.plain.terms.soft_supervision=1.0"], True)):
        weights = []
        for epochs in (0, 1):
            run_dir = f"hydra.run.dir={tmp_path}/{name}{epochs}"
            result = revisp.train([*words, *linear, *terms, f"trainer.max_epochs={epochs}", run_dir])
            weights.append(result.model.branches["plain"].state_dict())
        moved = {key for key, value in weights[0].items() if not torch.equal(value, weights[1][key])}
        assert any(key.startswith("trunk") for key in moved)
        assert any(key.startswith("error") for key in moved) is moves


@pytest.mark.parametrize("pipeline", ["plain", "fusion_shared", "fusion"])
def test_candidates_in_gamma_domains_train_with_and_without_fusion(
    words: list[str], tmp_path: Path, pipeline: str
) -> None:
    parts = ["plain"] if pipeline == "plain" else ["oe", "noe"]
    losses = [word for part in parts for word in (f"+loss.{part}.terms.log_gamma=1", f"loss.{part}.domain=linear")]
    own = ["+backbone=reraw", *RERAW, f"pipeline={pipeline}", *losses]
    result = revisp.train([*words, *own, f"hydra.run.dir={tmp_path}/run"])
    prefixes = {"plain": ("",)}.get(pipeline, ("oe/", "noe/"))
    assert {f"train/{prefix}log_gamma" for prefix in prefixes} <= logged(result.run_dir)


UNFIT = [
    (["+backbone=zeronoise", "loss.plain.target=raw_rgb"], "loss.plain.target=raw_rgb"),
    (
        ["+backbone=unet", "+loss.plain.terms.soft_supervision=1", "loss.plain.domain=linear"],
        "unet predicts no 'error', which the loss asks for",
    ),
    (["+backbone=zeronoise", "loss.plain.target=packed"], "unknown target 'packed'"),
    (["+backbone=ssdnet", "+loss.plain.terms.soft_supervision=1"], "set the domain to 'linear'"),
    (["+backbone=unet", "+backbone.head=packed"], "head"),
    (["+backbone=zeronoise", "+backbone.head=packed", "pipeline=fusion"], "head 'raw_rgb'"),
    (
        ["+backbone=unet", "pipeline=fusion", "+loss.oe.terms.soft_supervision=1", "loss.oe.domain=linear"],
        "unet predicts no 'error'",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("own", "message"), UNFIT[:2])
def test_what_does_not_fit_ends_in_one_line_and_exit_2(
    run_here, words: list[str], tmp_path: Path, own: list[str], message: str
) -> None:
    done = run_here("revisp-train", *words, *own, "hydra.run.dir=run")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(("own", "message"), UNFIT)
def test_what_does_not_fit_is_named(words: list[str], tmp_path: Path, own: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        revisp.train([*words, *own, f"hydra.run.dir={tmp_path}/run"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_every_recipe_names_the_plain_pipeline() -> None:
    recipes = sorted((config_dir() / "experiment").glob("*_native.yaml"))
    assert len(recipes) > 10
    for path in recipes:
        assert "override /pipeline: plain" in path.read_text(), path.name
