"""From settings to losses: what a loss asks for it gets, and the code that builds knows none by name."""

from __future__ import annotations

import inspect
import logging

import pytest
import torch
from torch import Tensor, nn

from revisp.cfa import CFA
from revisp.config import as_dict, compose
from revisp.data.picture import Sample
from revisp.errors import WeightsError
from revisp.losses import LOSSES
from revisp.pipeline import ReverseISP
from revisp.training import build, run
from revisp.training.task import ReverseISPTask

WORDS = ["backbone=unet", "pipeline=plain", "loss.plain.domain=linear"]


def model(cfa: str = "GBRG") -> ReverseISP:
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, branches="plain", cfa=cfa)


@pytest.mark.parametrize("module", [build, run])
def test_no_loss_is_named_where_trainings_are_built(module) -> None:
    words = set(inspect.getsource(module).lower().replace(".", " ").replace('"', " ").split())
    assert words.isdisjoint(LOSSES.names())


def test_a_loss_gets_the_photos_and_the_phase_that_it_asks_for() -> None:
    seen = {}

    @LOSSES.register("curious", override=True)
    class Curious(nn.Module):
        needs = ("srgb", "cfa")

        def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None, **given: object) -> Tensor:
            seen.update(given)
            return prediction.mean()

    try:
        settings = as_dict(compose([*WORDS, "+loss.plain.terms.curious=1.0"]).loss)
        task = ReverseISPTask(model(), build.build_loss(settings, model()))
    finally:
        del LOSSES._factories["curious"]
    task.log = task.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    photo = torch.rand(1, 3, 32, 32)
    task.training_step(Sample(photo, photo[:, :1], photo, ["x"], torch.ones(1, 1, 32, 32)), 0)
    assert torch.equal(seen["srgb"], photo)
    assert seen["cfa"] is CFA.GBRG


def test_a_loss_without_its_weights_is_left_out_and_told(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.delenv("REVISP_LPIPS_TRUNK", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    settings = as_dict(compose(["loss=perceptual"]).loss)
    fusion = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
    with caplog.at_level(logging.INFO, "revisp.training"):
        loss = build.build_loss(settings, fusion)
    assert set(loss.oe.terms.weights) == {"ms_ssim_l1"}
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "loss.oe.terms.lpips is left out",
        "loss.noe.terms.lpips is left out",
    ]
    assert "REVISP_LPIPS_TRUNK" in caplog.text
    settings["oe"]["terms"]["lpips"] = {"weight": 0.1, "trunk": str(tmp_path / "none.pth")}
    with pytest.raises(WeightsError, match=r"none\.pth"):  # a file that is named must exist
        build.build_loss(settings, fusion)
