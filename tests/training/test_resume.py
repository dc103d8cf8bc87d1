"""A checkpoint that a training cannot continue from is one line that says what differs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringModel

from revisp.errors import ConfigError, WeightsError
from revisp.losses.composite import BranchLoss, FusionLoss
from revisp.pipeline import ReverseISP
from revisp.training.checkpoints import check_checkpoint, find_checkpoint, restoring
from revisp.training.task import ReverseISPTask


def task_of(base: Any = None, **kwargs: Any) -> ReverseISPTask:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2, **kwargs}, base=base)
    return ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))


def trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", **options)


def checkpoint(path: Path, task: ReverseISPTask, **changes: Any) -> Path:
    parts = {"state_dict": task.state_dict(), "optimizer_states": [], "loops": {}, "callbacks": {}}
    torch.save({**parts, **changes}, path)
    return path


def test_its_own_checkpoint_is_taken(tmp_path: Path) -> None:
    check_checkpoint(checkpoint(tmp_path / "a.ckpt", task_of()), task_of(), trainer())


def test_a_checkpoint_of_an_earlier_version_is_taken(tmp_path: Path) -> None:
    task, earlier = task_of(base="fitted"), task_of(base="fitted")
    state = dict(earlier.state_dict())
    state["model.base.share"] = torch.full_like(state.pop("model.base.trust"), 0.25)
    path = checkpoint(tmp_path / "a.ckpt", earlier, state_dict=state)
    check_checkpoint(path, task, trainer())
    content = {"state_dict": state}
    task.on_load_checkpoint(content)
    task.load_state_dict(content["state_dict"])
    assert task.model.base.trust.item() == 0.25


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"width": 8}, r"has shape \[.*\], this configuration needs"), ({"norm": "none"}, "only .* has the tensor")],
)
def test_another_network_is_named_by_its_first_tensor(tmp_path: Path, kwargs: dict, message: str) -> None:
    path = checkpoint(tmp_path / "a.ckpt", task_of(**kwargs))
    with pytest.raises(WeightsError, match=rf"a\.ckpt: of another network: .*{message}") as caught:
        check_checkpoint(path, task_of(), trainer())
    assert str(caught.value).endswith("give the settings of its run, in its .hydra/overrides.yaml")
    assert "\n" not in str(caught.value)


def test_bare_weights_and_nan_are_refused(tmp_path: Path) -> None:
    torch.save(task_of().state_dict(), tmp_path / "bare.ckpt")
    with pytest.raises(WeightsError, match="not a checkpoint of revisp-train: no state_dict"):
        check_checkpoint(tmp_path / "bare.ckpt", task_of(), trainer())
    broken = task_of()
    next(broken.parameters()).data.flatten()[0] = float("nan")
    with pytest.raises(WeightsError, match="not finite"):
        check_checkpoint(checkpoint(tmp_path / "nan.ckpt", broken), task_of(), trainer())


@pytest.mark.parametrize("states", ["x", [1, 2], {"a": 5}])
def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path, states: Any) -> None:
    path = checkpoint(tmp_path / "a.ckpt", task_of(), state_dict=states)
    with pytest.raises(WeightsError, match=r"a\.ckpt: damaged .*holds no tensors"):
        check_checkpoint(path, task_of(), trainer())


def test_an_optimizer_that_has_failed_is_refused(tmp_path: Path) -> None:
    moments = [{"state": {0: {"exp_avg": torch.tensor([1.0, float("nan")])}}, "param_groups": []}]
    path = checkpoint(tmp_path / "a.ckpt", task_of(), optimizer_states=moments)
    with pytest.raises(WeightsError, match=r"a\.ckpt: its optimizer holds values that are not finite"):
        check_checkpoint(path, task_of(), trainer())


class Adam(BoringModel):
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer_states": "x"},
        {"optimizer_states": [{"state": {}, "param_groups": []}]},
        {"loops": {}},
        {"pytorch-lightning_version": 5},
    ],
)
def test_what_cannot_be_restored_names_the_checkpoint(tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, changed = tmp_path / "whole.ckpt", tmp_path / "changed.ckpt"
    quick = {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 0, "enable_progress_bar": False}
    first = trainer(**quick)
    first.fit(Adam())
    first.save_checkpoint(whole)
    torch.save({**torch.load(whole, weights_only=True), **changes}, changed)
    refused = pytest.raises(WeightsError, match=r"changed\.ckpt: cannot be resumed")
    for path, outcome in ((whole, nullcontext()), (changed, refused)):
        again = trainer(**{**quick, "max_epochs": 2})
        with outcome, restoring(path, again):
            again.fit(Adam(), ckpt_path=path, weights_only=True)


def test_a_fault_of_the_training_itself_is_not_blamed_on_the_checkpoint(tmp_path: Path) -> None:
    class Faulty(Adam):
        def training_step(self, *_: Any) -> Any:
            raise ZeroDivisionError

    again = trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, enable_progress_bar=False)
    with pytest.raises(ZeroDivisionError), restoring(tmp_path / "a.ckpt", again):
        again.fit(Faulty())


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
