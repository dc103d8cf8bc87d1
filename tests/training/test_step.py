"""A training step: what it leaves out changes no gradient, and clipping is the same for a fused optimizer."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from revisp.config import compose
from revisp.data.picture import Sample
from revisp.losses.composite import BranchLoss, FusionLoss
from revisp.pipeline import ReverseISP
from revisp.training.build import build_model, build_task
from revisp.training.task import ReverseISPTask


def crops(*, overexposed: tuple[int, ...], count: int = 3) -> Sample:
    """A batch of crops, of which some have overexposed pixels."""
    generator = torch.Generator().manual_seed(0)
    srgb = torch.rand(count, 3, 16, 16, generator=generator) * 0.8
    for index in overexposed:
        srgb[index, :, 4:8, 4:8] = 1
    target = torch.rand(count, 3, 16, 16, generator=generator)
    return Sample(srgb, target[:, :1], target, "crops", torch.ones(count, 1, 16, 16))


def gradients(task: ReverseISPTask, batch: Sample, samples: list[int] | None) -> dict[str, torch.Tensor | None]:
    """Gradients of the losses; ``samples`` collects the batch sizes that the OE network sees."""
    network = task.model.branches["oe"]
    hook = network.register_forward_pre_hook(lambda _, given: samples.append(len(given[0])))
    mask = task.model.overexposure_mask(batch.srgb)
    parts, _ = task.model.run_branches(batch.srgb, mask, samples=task._seen(mask))
    task._loss(parts, mask, batch, {}, None).total.backward()
    hook.remove()
    return {name: value.grad for name, value in task.model.named_parameters()}


def built(full_image: float, norm: str = "none") -> ReverseISPTask:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2, "norm": norm}, base="classical").train()
    nn.init.ones_(model.gains["oe"])
    branches = (BranchLoss({"l1": 1.0, "ssim": 0.1}, full_image=full_image) for _ in range(2))
    return ReverseISPTask(model, FusionLoss(*branches)).double()


@pytest.mark.parametrize("overexposed", [(1,), (0, 2), ()])
def test_skipped_crops_change_no_gradient(overexposed: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = crops(overexposed=overexposed)
    batch = batch._replace(srgb=batch.srgb.double(), target=batch.target.double(), valid=batch.valid.double())
    seen: list[int] = []
    found = gradients(built(0.0), batch, seen)
    assert seen == [max(1, len(overexposed))]
    task = built(0.0)
    monkeypatch.setattr(task, "_seen", lambda mask: {})
    wanted = gradients(task, batch, seen)
    assert seen[-1] == 3
    assert all(value is not None for value in wanted.values())
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("full_image", "norm"), [(0.1, "none"), (0.0, "batch")])
def test_crops_of_a_full_image_loss_or_of_batch_statistics_are_run(full_image: float, norm: str) -> None:
    batch = crops(overexposed=(1,))
    batch = batch._replace(srgb=batch.srgb.double(), target=batch.target.double(), valid=batch.valid.double())
    seen: list[int] = []
    gradients(built(full_image, norm), batch, seen)
    assert seen == [3]


def test_no_step_waits_for_the_device() -> None:
    """On the meta device, as on a GPU, no value of a tensor is known. There a question for one is an error."""
    task, batch = built(0.0).float().to("meta"), crops(overexposed=(1,))
    srgb, target, valid = (tensor.to("meta") for tensor in (batch.srgb, batch.target, batch.valid))
    mask = task.model.overexposure_mask(srgb)
    assert task._seen(mask) == {}
    seen: list[int] = []
    task.model.branches["oe"].register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    for samples in ({}, {"oe": [1]}):
        parts, _ = task.model.run_branches(srgb, mask, samples=samples)
        branches = (BranchLoss({"l1": 1.0}, full_image=0.0) for _ in range(2))
        FusionLoss(*branches)(parts["oe"], parts["noe"], target, mask, valid).total.backward()
    assert seen == [3, 1]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_of_a_fused_optimizer_are_clipped(precision: Any, algorithm: str) -> None:
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
    task = ReverseISPTask(model, FusionLoss(BranchLoss({"l1": 1.0}), BranchLoss({"l1": 1.0})))
    task._trainer = pl.Trainer(precision=precision, accelerator="cpu", logger=False, enable_checkpointing=False)
    weights = [*model.parameters()]
    for weight in weights:
        weight.grad = torch.full_like(weight, 3.0)
    task.configure_gradient_clipping(torch.optim.Adam(weights, fused=True), 0.5, algorithm)
    clipped = torch.cat([weight.grad.flatten() for weight in weights])
    norm = clipped.norm() if algorithm == "norm" else clipped.abs().max()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


def test_a_step_of_a_fused_optimizer_takes_gradient_clip_val() -> None:
    """Gradients are clipped to nearly nothing in a step in bf16: Adam of a large epsilon nearly stands still."""
    moved = []
    for limit in (None, 1e-6):
        task = built(0.1).float()
        task.optimizer_factory = lambda weights: torch.optim.Adam(weights, lr=1.0, eps=1.0, fused=True)
        before = [weight.detach().clone() for weight in task.model.parameters()]
        trainer = pl.Trainer(
            max_steps=1,
            limit_val_batches=0,
            precision="bf16-mixed",
            accelerator="cpu",
            gradient_clip_val=limit,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, DataLoader([crops(overexposed=(1,))], batch_size=None))
        changes = [(new - old).abs().max() for new, old in zip(task.model.parameters(), before, strict=True)]
        moved.append(max(changes).item())
    assert moved[0] > 1e-3
    assert 0 < moved[1] < 2e-6


@pytest.mark.parametrize(
    ("precision", "fused"), [("auto", True), ("bf16-mixed", True), ("16-mixed", False), (16, False)]
)
def test_the_optimizer_is_fused_unless_float16_needs_a_scaler(precision: Any, fused: bool) -> None:
    cfg = compose(["+backbone=unet", f"trainer.precision={precision}"])
    task = build_task(cfg, build_model(cfg, None))
    assert task.optimizer_factory([nn.Parameter(torch.zeros(1))]).defaults["fused"] is fused
