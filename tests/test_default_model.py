"""The model that ships in the package: small, for photos of any camera, and better than formulas on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import revisp
from revisp.backbones.estimated import Estimated
from revisp.camera import as_camera, known_profile
from revisp.camera.canonical import canonical_profile
from revisp.camera.renderings import measured_curves
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.data.embedded import TRAIN_PHOTOS
from revisp.evaluation.score_blind import BASELINES, model_method
from revisp.io.photo import read_srgb
from revisp.metrics.blind import bin_picture, blind_truth, in_units_of_truth, ladder
from revisp.model_folder import DEFAULT_MODEL

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.evaluation.score_blind import Method

CURVES = ("Canon EOS 6D", "Nikon D750")


@pytest.fixture(scope="module")
def model() -> revisp.ReverseISP:
    return revisp.from_pretrained()


@pytest.fixture(scope="module", params=CURVES)
def pair(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """A photo by a measured curve, sharpened and compressed, and the light that it shows."""
    light = read_srgb(next(photo for photo in TRAIN_PHOTOS if photo.name == "china").path) ** 2.2
    rendering = SceneRendering(
        curve=measured_curves()[request.param], chroma=(1.1, 1.3), sharpening=0.5, jpeg_quality=90
    )
    gain = 0.8 * rendering.meter(light)
    return rendering.render(light, gain), rendering.scene(light, gain)


def psnr(method: Method, pair: tuple[Tensor, Tensor]) -> float:
    """PSNR after the 3x3 matrix that fits best."""
    photo, light = pair
    truth = blind_truth(bin_picture(light / light.max()), bin_picture(photo))
    return ladder(in_units_of_truth(bin_picture(method(photo)), truth), truth).levels["e3"].psnr


def test_it_is_small_and_says_what_it_is(model: revisp.ReverseISP) -> None:
    assert sum(path.stat().st_size for path in DEFAULT_MODEL.iterdir()) < 2_000_000
    assert model.profile == canonical_profile()
    assert isinstance(model.base, Estimated)
    card = (DEFAULT_MODEL / "README.md").read_text()
    assert "experiment=default" in card
    assert "Licence" in card


def test_it_is_nearer_to_the_light_than_formulas(model: revisp.ReverseISP, pair: tuple[Tensor, Tensor]) -> None:
    scores = {name: psnr(method, pair) for name, method in BASELINES.items()}
    assert psnr(model_method(model), pair) > max(scores.values()) + 2


def test_the_networks_undo_sharpening(model: revisp.ReverseISP, pair: tuple[Tensor, Tensor]) -> None:
    base = model.base
    assert isinstance(base, Estimated)
    with torch.inference_mode():
        assert psnr(model_method(model), pair) > psnr(lambda photo: base(photo[None])[0], pair) + 0.2


def test_mid_grey_is_where_the_canonical_sensor_has_it(model: revisp.ReverseISP) -> None:
    out = revisp.predict(model, torch.full((3, 64, 64), 0.4614))
    red, green, blue = out.raw_rgb.mean(dim=(1, 2)).tolist()
    gains = canonical_profile().gains
    assert green == pytest.approx(1 / 32, rel=0.15)
    assert green / red == pytest.approx(gains[0], rel=0.1)
    assert green / blue == pytest.approx(gains[2], rel=0.1)


def test_greys_stay_grey_for_a_named_camera(model: revisp.ReverseISP) -> None:
    profile = known_profile("Canon EOS 5D Mark II")
    ramp = torch.linspace(0.1, 0.9, 64).expand(3, 64, 64)
    raw = as_camera(revisp.predict(model, ramp).raw_rgb, canonical_profile(), profile)
    balanced = raw * torch.tensor(profile.gains).view(3, 1, 1)
    spread = balanced.amax(0) / balanced.amin(0).clamp_min(1e-6)
    assert spread[:, 8:-8].max() < 1.25


def test_overexposed_pixels_are_no_darker_than_their_neighbours(model: revisp.ReverseISP) -> None:
    photo = torch.full((3, 64, 64), 0.9)
    photo[:, 16:48, 16:48] = 1.0
    green = revisp.predict(model, photo).raw_rgb[1]
    assert green[24:40, 24:40].min() > green[4:10, 4:10].max()
    assert MID_GREY * 2**-5 < green.max() <= 1


def test_blown_highlights_are_neutral(model: revisp.ReverseISP, pair: tuple[Tensor, Tensor]) -> None:
    """On a photo that is two stops too bright, the light of blown pixels has no colour cast."""
    light = 4 * pair[1]
    rendering = SceneRendering(curve=measured_curves()[CURVES[0]], jpeg_quality=90)
    out = revisp.predict(model, rendering.render(light, 1.0))
    balanced = out.raw_rgb * torch.tensor(canonical_profile().gains).view(3, 1, 1)
    blown = balanced[:, (rendering.render(light, 1.0) > 0.999).all(0)]
    assert blown.shape[1] > 200
    casts = (blown / blown[1].clamp_min(1e-6)).log2().median(1).values
    assert casts.abs().max() < 0.08
