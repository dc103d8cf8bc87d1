"""The small model that ships in the package: there, small, and better than unprocessing on photos it never saw."""

from __future__ import annotations

import pytest
import torch

import revisp
from revisp.camera.simulate import SIMULATED
from revisp.camera.unprocess import UPIUnprocess
from revisp.data.embedded import EmbeddedPhotos
from revisp.metrics import aim_psnr
from revisp.model_folder import DEFAULT_MODEL
from revisp.mosaic import mosaic


@pytest.fixture(scope="module")
def model() -> revisp.ReverseISP:
    return revisp.from_pretrained()


def test_it_is_small_and_says_what_it_is(model) -> None:
    assert sum(path.stat().st_size for path in DEFAULT_MODEL.iterdir()) < 2_000_000
    assert model.profile == SIMULATED.profile
    card = (DEFAULT_MODEL / "README.md").read_text()
    assert "revisp-train +backbone=unet" in card
    assert "Licence" in card


@pytest.mark.parametrize(("name", "least"), [("chelsea_+0.3EV", 36.0), ("flower_-0.7EV", 34.0)])
def test_prediction_on_known_photos(model, name: str, least: float) -> None:
    """Loose: what a training on another machine must reach too; UPI with the camera's true colours lies below."""
    pair = next(pair for pair in EmbeddedPhotos().val_pairs() if pair.name == name)
    truth = revisp.pack(pair.bayer[None], model.cfa)
    predicted = revisp.predict(model, pair.srgb[None]).bayer
    unprocessed = mosaic(UPIUnprocess(model.profile)(pair.srgb[None]), model.cfa).clamp(0, 1)
    scores = [aim_psnr(revisp.pack(bayer, model.cfa), truth).item() for bayer in (predicted, unprocessed)]
    assert scores[0] > least
    assert scores[0] > scores[1] + 3


def test_channel_means_of_a_grey_card(model) -> None:
    """A grey photo becomes a RAW whose red and blue are low by the white balance, as the camera's would be."""
    out = revisp.predict(model, torch.full((3, 64, 64), 0.5))
    red, green, blue = out.raw_rgb.mean(dim=(1, 2)).tolist()
    gains = model.profile.gains
    assert green == pytest.approx(0.5**2.2 / SIMULATED.headroom, rel=0.25)
    assert green / red == pytest.approx(gains[0], rel=0.15)
    assert green / blue == pytest.approx(gains[2], rel=0.15)
