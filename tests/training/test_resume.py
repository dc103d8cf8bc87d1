"""A checkpoint that a training cannot continue from is one line that says what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from revisp.errors import ConfigError, WeightsError
from revisp.losses.composite import BranchLoss, FusionLoss
from revisp.pipeline import ReverseISP
from revisp.training.checkpoints import check_checkpoint, find_checkpoint
from revisp.training.task import ReverseISPTask


def task_of(**kwargs: Any) -> ReverseISPTask:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2, **kwargs})
    return ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))


def trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", **options)


def checkpoint(path: Path, task: ReverseISPTask, **changes: Any) -> Path:
    parts = {"state_dict": task.state_dict(), "optimizer_states": [], "loops": {}, "callbacks": {}}
    torch.save({**parts, **changes}, path)
    return path


def test_its_own_checkpoint_is_taken(tmp_path: Path) -> None:
    check_checkpoint(checkpoint(tmp_path / "a.ckpt", task_of()), task_of(), trainer())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"width": 8}, r"has shape \[.*\], this configuration needs"), ({"norm": "none"}, "only .* has the tensor")],
)
def test_another_network_is_named_by_its_first_tensor(tmp_path: Path, kwargs: dict, message: str) -> None:
    path = checkpoint(tmp_path / "a.ckpt", task_of(**kwargs))
    with pytest.raises(WeightsError, match=rf"a\.ckpt: of another network: .*{message}") as caught:
        check_checkpoint(path, task_of(), trainer())
    assert "\n" not in str(caught.value)


def test_bare_weights_and_nan_are_refused(tmp_path: Path) -> None:
    torch.save(task_of().state_dict(), tmp_path / "bare.ckpt")
    with pytest.raises(WeightsError, match="not a checkpoint of revisp-train: no state_dict"):
        check_checkpoint(tmp_path / "bare.ckpt", task_of(), trainer())
    broken = task_of()
    next(broken.parameters()).data.flatten()[0] = float("nan")
    with pytest.raises(WeightsError, match="not finite"):
        check_checkpoint(checkpoint(tmp_path / "nan.ckpt", broken), task_of(), trainer())


def test_a_limit_of_time_that_is_used_up_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spent = {"Timer": {"time_elapsed": {"train": 50.0}}}
    path = checkpoint(tmp_path / "a.ckpt", task_of(), callbacks=spent)
    with pytest.raises(ConfigError, match=r"has trained for 50 s, and trainer\.max_time is 40 s"):
        check_checkpoint(path, task_of(), trainer(max_epochs=-1, max_time={"seconds": 40}))
    with caplog.at_level("INFO"):
        check_checkpoint(path, task_of(), trainer(max_epochs=-1, max_time={"seconds": 80}))
    assert "30 s of trainer.max_time are left" in caplog.text
    check_checkpoint(path, task_of(), trainer())


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "run",)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(WeightsError, match=r"evil\.ckpt: damaged or not a training checkpoint"):
        find_checkpoint(str(tmp_path / "evil.ckpt"), tmp_path)
    assert not (tmp_path / "run").exists()
