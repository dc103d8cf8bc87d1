"""The learning rate of a training whose time is limited."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl

from revisp.losses.composite import BranchLoss, FusionLoss
from revisp.pipeline import ReverseISP
from revisp.training.schedule import Schedule, expected_steps
from revisp.training.task import ReverseISPTask


@pytest.fixture
def task() -> ReverseISPTask:
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
    task = ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))
    trainer = pl.Trainer(max_epochs=-1, max_time={"seconds": 60}, logger=False, enable_checkpointing=False)
    task._trainer = trainer
    return task


@pytest.fixture
def passed(task: ReverseISPTask, monkeypatch: pytest.MonkeyPatch):
    timer = next(item for item in task.trainer.callbacks if isinstance(item, pl.callbacks.Timer))
    return lambda seconds: monkeypatch.setattr(timer, "time_elapsed", lambda stage="train": seconds)


def test_steps_to_come_follow_the_pace(task: ReverseISPTask, passed) -> None:
    passed(15.0)
    assert expected_steps(task.trainer, 30, math.inf) == 120  # a quarter of the time for 30
    passed(59.0)
    assert expected_steps(task.trainer, 30, math.inf) == 31


def test_a_number_of_epochs_that_ends_earlier_counts(task: ReverseISPTask, passed) -> None:
    passed(15.0)
    assert expected_steps(task.trainer, 30, 50.0) == 50
    assert expected_steps(task.trainer, 30, 500.0) == 120


def test_the_rate_falls_to_its_end_over_the_time(task: ReverseISPTask, passed) -> None:
    schedule, rates = Schedule(warmup=0.1, final_factor=0.01), []
    for step in range(60):  # a step a second
        passed(float(step))
        rates.append(schedule.factor(step, expected_steps(task.trainer, step, math.inf)))
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(1, abs=0.05)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)
    top = rates.index(max(rates))
    assert rates[top:] == sorted(rates[top:], reverse=True)
