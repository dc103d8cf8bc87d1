"""The training of an estimated base, on made-up photos that tell their curve."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import canonical_profile
from revisp.data.rendered_views import RenderedViews
from revisp.errors import ConfigError
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP
from revisp.training.estimate import EstimateTraining, judge_estimates, train_estimate

POWERS = (1.4, 3.4)
"""Photos are light to the power 1/1.4 or 1/3.4: flat, or steep. All scenes are equally bright, so photos tell."""

QUICK = EstimateTraining(steps=60, batch_size=16, lr=1e-2)


def views(count: int, seed: int) -> RenderedViews:
    generator = torch.Generator().manual_seed(seed)
    power = torch.tensor(POWERS).repeat(count // 2)
    coarse = torch.rand(count, 3, 12, 12, generator=generator)
    light = 0.9 * F.interpolate(coarse, 96, mode="bilinear")
    photo = (light ** (1 / power.view(-1, 1, 1, 1)) * 255).round().byte()
    knots = torch.linspace(0, 1, 65)
    grey = 0.461356**power
    curve = knots ** power[:, None] / grey[:, None] * 0.18
    scene = light / grey.view(-1, 1, 1, 1) * 0.18
    return RenderedViews(photo, scene[..., 1::3, 1::3].half(), curve, torch.ones(count, 2))


@pytest.fixture
def base() -> Estimated:
    torch.manual_seed(0)
    return Estimated(width=4, hidden=16)


def told_curves(base: Estimated, photos: Tensor) -> Tensor:
    return base.estimate(photos.float() / 255).curve


def test_it_learns_what_photos_tell(base: Estimated, caplog: pytest.LogCaptureFixture) -> None:
    held = views(16, seed=1)
    with caplog.at_level(logging.INFO):
        report = train_estimate(base, views(64, seed=0), held, QUICK, seed=0)
    assert report.shrink > 0
    assert report.after.psnr > report.before.psnr + 3
    assert report.after.departure < report.before.departure / 1.5
    assert not base.training
    steps = [line for line in caplog.messages if "step" in line]
    errors = [float(line.split("matched ")[1].split(",")[0]) for line in steps]
    assert errors[-1] < errors[0] - 0.5
    flat, steep = told_curves(base, held.photo).unflatten(0, (-1, 2)).mean(0)
    assert steep[-1] > 1.3 * flat[-1]


def test_what_was_reported_is_what_the_base_does(base: Estimated) -> None:
    held = views(16, seed=1)
    report = train_estimate(base, views(32, seed=0), held, replace(QUICK, steps=20, shrink=0.5), seed=0)
    found = judge_estimates(base, held)[1.0]
    assert found.psnr == pytest.approx(report.shrinks[0.5].psnr, abs=1e-3)


def test_shrunk_to_nothing_every_photo_has_the_mean_curve(base: Estimated) -> None:
    train_estimate(base, views(32, seed=0), views(8, seed=1), replace(QUICK, steps=10, shrink=0.0), seed=0)
    curves = told_curves(base, views(8, seed=2).photo)
    torch.testing.assert_close(curves, curves[:1].expand_as(curves))


def test_the_same_seed_gives_the_same_base() -> None:
    found = []
    for noise in (1, 2):  # of other draws before it
        torch.manual_seed(0)
        base = Estimated(width=4, hidden=8)
        torch.manual_seed(noise)
        train_estimate(base, views(16, seed=0), views(8, seed=1), replace(QUICK, steps=4), seed=5)
        found.append(base.last.weight)
    assert torch.equal(*found)


def test_it_expects_the_headroom_that_scenes_have(base: Estimated) -> None:
    blown = views(32, seed=0)
    photo, light = blown.photo.clone(), blown.light.clone()
    photo[:, :, 48:], light[:, :, 16:] = 255, (4 * blown.curve[:, -1]).view(-1, 1, 1, 1).half()
    blown = blown._replace(photo=photo, light=light)
    report = train_estimate(base, blown, blown, replace(QUICK, steps=40), seed=0)
    assert abs(report.after.highlights) < 0.4  # of 2 EV
    headroom = base.estimate(photo.float() / 255).headroom
    assert headroom.mean().item() == pytest.approx(2, abs=0.5)  # four times the curve's white


def test_a_model_folder_keeps_what_was_learnt(tmp_path: Path) -> None:
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP("unet", backbone_kwargs=kwargs, base="estimated", profile=canonical_profile())
    assert isinstance(model.base, Estimated)
    train_estimate(model.base, views(16, seed=0), views(8, seed=1), replace(QUICK, steps=3), seed=0)
    save_pretrained(model.eval(), tmp_path / "model")
    photo = views(2, seed=3).photo.float() / 255
    torch.testing.assert_close(from_pretrained(tmp_path / "model")(photo).raw_rgb, model(photo).raw_rgb)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"views": 0}, "estimate.views must be a whole number of at least 1, got 0"),
        ({"steps": 2.5}, r"estimate.steps must be a whole number of at least 0, got 2\.5"),
        ({"batch_size": 1}, "estimate.batch_size must be a whole number of at least 2"),
        ({"lr": 0.0}, "estimate.lr must be positive"),
        ({"shrink": 1.5}, r"estimate.shrink must lie in \[0, 1\] or be null, got 1\.5"),
        ({"measured": -0.1}, r"estimate.measured must lie in \[0, 1\], got -0\.1"),
        ({"renderings": 0}, "estimate.renderings must be a whole number of at least 1, got 0"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EstimateTraining(**wrong)  # type: ignore[arg-type]
