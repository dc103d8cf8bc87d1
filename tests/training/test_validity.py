"""The training task: pixels that are not valid change neither scores nor steps."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch

from revisp.camera.simulate import SIMULATED
from revisp.cfa import pack
from revisp.data.picture import Sample
from revisp.evaluation.scores import score_pair
from revisp.losses import BranchLoss, FusionLoss
from revisp.metrics import aim_psnr
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP
from revisp.training.task import Learning, ReverseISPTask

PROFILE = SIMULATED.profile


def _task(refine: dict | None = None) -> ReverseISPTask:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, refine=refine, profile=PROFILE)
    branch = BranchLoss({"l1": 1.0})
    return ReverseISPTask(model, FusionLoss(branch, branch), optimizer=partial(torch.optim.SGD, lr=0.1))


def _batch(valid: torch.Tensor, seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    srgb, target = torch.rand(2, 1, 3, 48, 64, generator=generator)
    srgb[..., 8:40, 8:24] = 1.0
    return Sample(srgb, mosaic(target, PROFILE.cfa), target, ["x"], valid)


def _scores(task: ReverseISPTask, prediction: torch.Tensor, batch: Sample) -> dict[str, float]:
    task._score("val", prediction, batch)
    scores = {name: metric.compute().item() for name, metric in task.scores["val"].items()}
    for metric in task.scores["val"].values():
        metric.reset()
    return scores


def test_invalid_pixels_change_no_score():
    valid = torch.ones(1, 1, 48, 64)
    valid[..., 16:32] = 0
    batch, task = _batch(valid), _task()
    prediction = torch.rand(1, 1, 48, 64, generator=torch.Generator().manual_seed(1))
    spoilt = torch.where(valid > 0, prediction, 9.0)
    scores = _scores(task, spoilt, batch)
    assert scores == _scores(task, prediction, batch)
    assert scores != _scores(task, prediction, batch._replace(valid=torch.ones_like(valid)))
    kept = (
        torch.cat([prediction[..., :16], prediction[..., 32:]], dim=-1),
        torch.cat([batch.bayer[..., :16], batch.bayer[..., 32:]], dim=-1),
    )
    expected = aim_psnr(*(pack(x, PROFILE.cfa) for x in kept)).item()
    assert scores["psnr"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG"])
def test_a_training_and_an_evaluation_give_one_score(cfa):
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa=cfa)
    task = ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))
    batch = _batch((torch.rand(1, 1, 48, 64) > 0.2).float())
    prediction = torch.rand(1, 1, 48, 64) * 1.2 - 0.1
    planes = (pack(x, cfa)[0] for x in (prediction.clamp(0, 1), batch.bayer))
    expected = score_pair(*planes, batch.srgb[0], cfa=cfa, valid=batch.valid[0])
    assert _scores(task, prediction, batch) == {name: np.float32(value) for name, value in expected.items()}


def test_without_any_valid_pixel_a_picture_does_not_count():
    batch, task = _batch(torch.zeros(1, 1, 48, 64)), _task()
    task._score("val", batch.bayer * 0, batch)
    assert all(metric.weight == 0 for metric in task.scores["val"].values())


@pytest.mark.parametrize("refine", [None, {"width": 4, "depth": 2}])
def test_invalid_pixels_change_no_step(refine):
    valid = torch.ones(1, 1, 48, 64)
    valid[:, :, 20:] = 0
    batch = _batch(valid)
    other = torch.where(valid > 0, batch.target, 0.9)
    spoilt = batch._replace(target=other, bayer=mosaic(other, PROFILE.cfa))
    losses = []
    for given in (batch, spoilt, batch._replace(valid=torch.ones_like(valid))):
        task = _task(refine)
        stage = Learning(branches=True, refine=refine is not None)
        with patch.object(ReverseISPTask, "stage", stage), patch.multiple(task, log=_ignore, log_dict=_ignore):
            losses.append(task.training_step(given, 0).item())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def _ignore(*_: object, **__: object) -> None:
    """Take what is logged."""
