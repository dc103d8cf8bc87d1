"""`revisp-train data=scenes`, run for real: from a folder of HDR panoramas to a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scene_files
import torch
from PIL import Image

import revisp
from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import canonical_profile

TINY = [
    "+backbone=unet",
    "backbone.width=4",
    "backbone.depth=2",
    "data=scenes",
    "data.crop=32",
    "data.batch_size=2",
    "data.crops_per_epoch=8",
    "data.num_workers=0",
    "data.val_size=64",
    "data.val_views=1",
    "trainer.max_epochs=1",
    "trainer.precision=32-true",
    "hydra.run.dir=run",
]


def write_panoramas(folder: Path) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        light = rng.uniform(0.2, 2, (64, 128, 3)) * np.exp(np.sin(np.arange(128) * np.pi / 64 + seed))[:, None]
        light[5:30, 20:60] *= 50
        body = scene_files.coded(scene_files.rgbe(light))
        scene_files.write_hdr(folder / f"place_{seed}.hdr", body, "-Y 64 +X 128")


@pytest.mark.slow
def test_a_folder_of_panoramas_becomes_a_model(run, tmp_path: Path) -> None:
    write_panoramas(tmp_path / "hdri")
    done = run("revisp-train", *TINY, "data.scenes=hdri")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["val/psnr"] > 5
    assert "Run folder: " in done.stdout
    model = revisp.from_pretrained(tmp_path / "run" / "model")
    assert model.profile == canonical_profile()


@pytest.mark.slow
def test_an_estimated_base_learns_first_and_is_kept(run_here, tmp_path: Path) -> None:
    write_panoramas(tmp_path / "hdri")
    estimate = ["estimate.views=6", "estimate.val_views=2", "estimate.steps=4", "estimate.batch_size=4"]
    done = run_here("revisp-train", *TINY, "pipeline=fusion_estimated", "data.scenes=hdri", *estimate, check=True)
    assert "estimated base: mean curve: E3 " in done.stdout
    assert "estimated base alone" in done.stdout
    assert "overexposed pixels are too bright by " in done.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"val/ev_oe", "base/ev_oe", "base/psnr"} < set(metrics)
    model = revisp.from_pretrained(tmp_path / "run" / "model")
    assert isinstance(model.base, Estimated)
    assert model.base.last.weight.abs().max() > 0  # it starts with none
    assert (model.base.deviation != 1).all()
    resumed = run_here(
        "revisp-train", *TINY, "pipeline=fusion_estimated", "data.scenes=hdri", "resume=last", check=True
    )
    assert "estimated base: " not in resumed.stdout
    again = revisp.from_pretrained(tmp_path / "run" / "model")
    assert isinstance(again.base, Estimated)
    torch.testing.assert_close(again.base.state_dict(), model.base.state_dict())


@pytest.mark.slow
def test_an_estimated_base_without_scenes_is_refused_in_one_line(run_here) -> None:
    done = run_here("revisp-train", "pipeline=fusion_estimated")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: pipeline.base=estimated learns from scenes as any camera takes them: "
        "set data=scenes without data.camera; here data=embedded"
    )


@pytest.mark.slow
def test_a_folder_of_ordinary_pictures_is_refused_in_one_line(run_here, tmp_path: Path) -> None:
    (tmp_path / "hdri").mkdir()
    for name in ("a.hdr", "b.hdr"):
        Image.new("RGB", (64, 32)).save(tmp_path / "hdri" / name, "JPEG")
    done = run_here("revisp-train", *TINY, "data.scenes=hdri")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: of 2 scenes and photos none can be read; the first: hdri/a.hdr: an ordinary JPEG picture without "
        "a gain map: its highlights are cut off, so it is no scene"
    )
