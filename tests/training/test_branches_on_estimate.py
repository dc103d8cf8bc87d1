"""The branches on an estimated base, trained by the default recipe's losses on light above the photo's white."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import canonical_profile, light_to_raw
from revisp.config import as_dict, compose
from revisp.data.picture import Sample
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP
from revisp.training.build import build_loss
from revisp.training.task import ReverseISPTask

pytestmark = pytest.mark.filterwarnings("ignore:.*self.trainer.*")

LOST_EV = 1.5
"""By how much the overexposed half exceeds the base's white."""


@pytest.fixture
def task() -> ReverseISPTask:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP(
        "unet", backbone_kwargs=kwargs, base="estimated", gain_channel=True, profile=canonical_profile()
    )
    loss = compose(["experiment=default", "data.scenes=somewhere"]).loss
    return ReverseISPTask(model, build_loss(as_dict(loss), model))


@pytest.fixture
def batch(task: ReverseISPTask) -> Sample:
    """Photos whose left half is right on the base, and whose right half is clipped."""
    photo = 0.8 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    photo[..., 16:] = 1.0
    base = task.model.base
    assert isinstance(base, Estimated)
    light = base.eval().linearise(photo, base.estimate(photo))
    light[..., 16:] *= 2**LOST_EV
    target = light_to_raw(light)
    return Sample(photo, mosaic(target, task.model.cfa), target, ["a", "b"], torch.ones(2, 1, 32, 32))  # type: ignore[arg-type]


def test_the_lost_light_teaches_the_overexposed_branch_alone(task: ReverseISPTask, batch: Sample) -> None:
    task.training_step(batch, 0).backward()
    gains = task.model.gains
    assert gains["oe"].grad is not None
    assert gains["oe"].grad.abs().max() > 0.01
    assert gains["noe"].grad is None or gains["noe"].grad.abs().max() < 1e-3  # the base is right there
    assert all(value.grad is None for value in task.model.base.parameters())  # type: ignore[union-attr]


def test_overexposed_pixels_reach_the_light_above_white(task: ReverseISPTask, batch: Sample) -> None:
    def error() -> float:
        oe = task.model.eval().reconstruct(batch.srgb).oe
        assert oe is not None
        found = (oe / batch.target.clamp(0, 1)).log2()[..., 16:].mean().item()
        task.train()
        task.on_train_batch_start(batch, 0)
        return found

    assert error() == pytest.approx(-LOST_EV, abs=0.2)
    optimizer = torch.optim.Adam((p for p in task.parameters() if p.requires_grad), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        task.training_step(batch, 0).backward()
        optimizer.step()
    assert abs(error()) < 0.3


def test_the_base_stays_as_it_is_while_the_branches_learn(task: ReverseISPTask, batch: Sample) -> None:
    task.train()
    task.on_train_batch_start(batch, 0)
    before = {name: value.clone() for name, value in task.model.base.state_dict().items()}  # type: ignore[union-attr]
    task.training_step(batch, 0)  # would move the statistics of its normalisation
    torch.testing.assert_close(task.model.base.state_dict(), before)  # type: ignore[union-attr]


def test_the_other_branch_learns_the_clean_photo_whatever_the_base_gets_wrong(
    task: ReverseISPTask, batch: Sample
) -> None:
    def pull(clean: torch.Tensor) -> float:
        task.zero_grad()
        task.training_step(batch._replace(clean=clean, target=0.5 * batch.target), 0).backward()
        gain = task.model.gains["noe"].grad
        return 0.0 if gain is None else gain.abs().max().item()

    assert pull(batch.srgb) < 1e-6  # only the level differs from the base's
    assert pull(0.95 * batch.srgb) > 1e-3


def test_levels_are_learnt_with_and_without_maps(task: ReverseISPTask, batch: Sample) -> None:
    """The light of one photo is lost; the map of the other tells that its light is twice as far above white."""
    target = batch.target.clone()
    target[1, ..., 16:] *= 2**LOST_EV
    gain = torch.full_like(batch.srgb[:, :1], torch.nan)
    gain[1] = 0.0
    gain[1, ..., 16:] = 2 * LOST_EV
    known = batch._replace(target=target, gain=gain)
    task.train()
    task.on_train_batch_start(known, 0)
    optimizer = torch.optim.Adam((p for p in task.parameters() if p.requires_grad), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        task.training_step(known, 0).backward()
        optimizer.step()
    oe = task.model.eval().reconstruct(batch.srgb, gain=gain).oe
    assert oe is not None
    errors = (oe / target.clamp(0, 1)).log2()[..., 16:].mean(dim=(1, 2, 3))
    assert errors.abs().max() < 0.35
