"""The pipeline on an estimated base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from revisp import predict
from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import light_to_raw, raw_to_light
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP


def build(branches: str = "separate", **kwargs: object) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(
        "unet",
        backbone_kwargs={"width": 4, "depth": 2, "norm": "none"},
        branches=branches,  # type: ignore[arg-type]
        base="estimated",
        **kwargs,  # type: ignore[arg-type]
    ).eval()
    assert isinstance(model.base, Estimated)
    torch.nn.init.normal_(model.base.judge[-1].weight, std=0.3)
    return model


@pytest.fixture
def photo() -> Tensor:
    """A photo that is dark on the left and overexposed on the right."""
    noise = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    return (0.2 * noise + torch.linspace(0, 1, 160)).clamp(0, 1)


@pytest.mark.parametrize("branches", ["separate", "shared", "plain"])
def test_it_begins_as_the_base(branches: str, photo: Tensor) -> None:
    model = build(branches)
    assert isinstance(model.base, Estimated)
    torch.testing.assert_close(model(photo).raw_rgb, model.base(photo).clamp(0, 1))


def test_tiles_are_judged_by_the_whole_photo(photo: Tensor) -> None:
    model = build()
    tiled = predict(model, photo, tile=64, overlap=16).raw_rgb
    alone = model.reconstruct(photo[..., :64]).raw_rgb
    whole = model(photo).raw_rgb
    torch.testing.assert_close(tiled, whole, rtol=1e-3, atol=1e-5)
    assert (alone - whole[..., :64]).abs().max() > 1e-4  # a tile for itself is judged differently


def test_the_overexposed_branch_tells_ev(photo: Tensor) -> None:
    model = build()
    assert isinstance(model.base, Estimated)
    estimate = model.base.estimate(photo)
    light = model.base.linearise(photo, estimate)
    raised = model.base.compose("oe", photo, torch.ones_like(photo), estimate)
    torch.testing.assert_close(raw_to_light(raised), 2 * light, rtol=1e-3, atol=1e-5)


def test_the_other_branch_corrects_the_photo(photo: Tensor) -> None:
    model = build()
    assert isinstance(model.base, Estimated)
    estimate = model.base.estimate(photo)
    corrected = model.base.compose("noe", photo, torch.full_like(photo, -0.01), estimate)
    torch.testing.assert_close(corrected, light_to_raw(model.base.linearise(photo - 0.01, estimate)))


def test_all_of_it_learns(photo: Tensor) -> None:
    model = build().train()
    for gain in model.gains.values():
        torch.nn.init.constant_(gain, 0.1)
    model(photo).raw_rgb.square().mean().backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    assert not without


def test_a_model_folder_keeps_it(photo: Tensor, tmp_path: Path) -> None:
    model = build()
    save_pretrained(model, tmp_path / "model")
    torch.testing.assert_close(from_pretrained(tmp_path / "model")(photo).raw_rgb, model(photo).raw_rgb)
