"""The estimated inverse of an unknown rendering."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.camera.canonical import raw_to_light
from revisp.camera.fitted import FittedCamera, plain_curve
from revisp.camera.renderings import measured_curves
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.errors import ConfigError


@pytest.fixture
def module() -> Estimated:
    torch.manual_seed(0)
    module = Estimated(width=4, hidden=8).eval()
    torch.nn.init.normal_(module.judge[-1].weight, std=0.3)
    return module


@pytest.fixture
def photo() -> Tensor:
    return torch.rand(2, 3, 60, 80, generator=torch.Generator().manual_seed(1)) * 0.9


def told(curve: tuple[float, ...]) -> PhotoEstimate:
    zero = torch.zeros(1)
    blank = PhotoEstimate(torch.zeros(1, 65), torch.full((1, 2), 1.2), torch.eye(3)[None], zero, zero, zero)
    return blank.told(curve=curve)


@pytest.mark.parametrize("name", ["Canon EOS 6D", "EMoR mean response"])
def test_a_told_curve_undoes_its_rendering(name: str) -> None:
    rendering = SceneRendering(curve=measured_curves()[name])
    light = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    gain = 0.9
    undone = Estimated.linearise(rendering.render(light, gain), told(rendering.curve))
    torch.testing.assert_close(undone, rendering.scene(light, gain), rtol=1e-3, atol=1e-4)


def test_chroma_that_the_camera_scaled_is_scaled_back() -> None:
    light = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 0.2 + 0.4
    rendering = SceneRendering(curve=measured_curves()["Canon EOS 6D"], chroma=(1.1, 1.3))
    estimate = told(rendering.curve)._replace(chroma=torch.tensor([[1.1, 1.3]]))
    undone = Estimated.linearise(rendering.render(light, 0.9), estimate)
    torch.testing.assert_close(undone, rendering.scene(light, 0.9), rtol=1e-3, atol=1e-4)


def test_curves_rise_and_hold_mid_grey(module: Estimated, photo: Tensor) -> None:
    curve = module.estimate(photo).curve
    assert (curve.diff(dim=1) > 0).all()
    grey = told(tuple(plain_curve().tolist())).curve
    assert curve.shape == (2, 65)
    for table in (*curve, *grey):
        assert Estimated.linearise(
            torch.full((1, 3, 1, 1), 0.461356),
            PhotoEstimate(table[None], torch.tensor([[1.1, 1.3]]), torch.eye(3)[None], *torch.zeros(3, 1)),
        ).mean().item() == pytest.approx(MID_GREY, rel=1e-3)


def test_tiles_see_the_estimate_of_the_whole_photo(module: Estimated, photo: Tensor) -> None:
    estimate = module.estimate(photo)
    whole = module.linearise(photo, estimate)
    torch.testing.assert_close(module.linearise(photo[..., 7:30, 11:50], estimate), whole[..., 7:30, 11:50])


def test_photos_of_a_batch_are_judged_apart(module: Estimated, photo: Tensor) -> None:
    together = module(photo)
    for row, one in zip(together, photo, strict=True):
        torch.testing.assert_close(row, module(one[None])[0], rtol=1e-4, atol=1e-6)


def test_a_mirrored_photo_is_judged_alike(module: Estimated, photo: Tensor) -> None:
    for one, other in zip(module.estimate(photo), module.estimate(photo.flip(-1)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_headroom_lifts_only_what_is_clipped(module: Estimated) -> None:
    photo = torch.full((1, 3, 32, 32), 0.5)
    photo[..., :16] = 1.0
    low, high = (module.linearise(photo, module.estimate(photo).told(headroom=ev)) for ev in (0, 2))
    torch.testing.assert_close(high[..., :16], 4 * low[..., :16])
    torch.testing.assert_close(high[..., 16:], low[..., 16:])


def test_what_is_told_has_no_spread(module: Estimated, photo: Tensor) -> None:
    assert (module.estimate(photo).told(headroom=1.5).spread == 0).all()


def test_a_fitted_camera_tells_its_curve(module: Estimated, photo: Tensor) -> None:
    camera = FittedCamera(curve=measured_curves()["Nikon D90"], matrix=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    estimate = module.estimate(photo)
    torch.testing.assert_close(estimate.told(curve=camera).curve, estimate.told(curve=camera.curve).curve)


def test_it_answers_in_raw_of_the_canonical_sensor(module: Estimated, photo: Tensor) -> None:
    light = module.linearise(photo, module.estimate(photo))
    torch.testing.assert_close(raw_to_light(module(photo)), light, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"headroom": -1.0}, r"headroom must lie in \[0, 10\] EV"),
        ({"headroom": math.nan}, "headroom must lie in"),
        ({"curve": (0.0, 0.5, 0.4, 1.0)}, "curve must rise strictly from 0"),
        ({"curve": (0.1, 1.0)}, "curve must rise strictly from 0"),
    ],
)
def test_what_cannot_be_is_refused(
    module: Estimated, photo: Tensor, known: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        module.estimate(photo).told(**known)  # type: ignore[arg-type]
