"""Renderings of scenes, and random ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from revisp.camera.fitted import decode
from revisp.camera.isp import linear_to_srgb, srgb_to_linear
from revisp.camera.renderings import measured_curves, random_curve, random_rendering
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.errors import ConfigError

SEEDS = range(40)


def draw(seed: int) -> SceneRendering:
    return random_rendering(torch.Generator().manual_seed(seed))


def pointwise(rendering: SceneRendering) -> SceneRendering:
    """Leave exposure and curve alone."""
    return SceneRendering(curve=rendering.curve, exposure=rendering.exposure, protection=rendering.protection)


@pytest.fixture
def light() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 24, 32, generator=generator).square() * 7.0


def test_the_plain_rendering_is_srgb_encoding() -> None:
    light = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    photo = SceneRendering().render(light, gain=1.0)
    assert (photo - linear_to_srgb(light)).abs().max() < 2e-3  # the table's knots are joined by lines


@pytest.mark.parametrize("seed", SEEDS)
def test_the_curve_alone_inverts_exactly(seed: int, light: Tensor) -> None:
    rendering = pointwise(draw(seed))
    gain = rendering.meter(light)
    photo = rendering.render(light, gain)
    told = decode(photo.double(), torch.tensor(rendering.curve, dtype=torch.float64))
    exposed = (light * gain).double()
    seen = exposed < 1
    torch.testing.assert_close(told[seen], exposed[seen], rtol=1e-3, atol=1e-5)
    assert (photo[~seen] == 1).all()


def test_mid_grey_of_the_photo_is_mid_grey_of_the_scene() -> None:
    for seed in SEEDS:
        rendering = pointwise(draw(seed))
        grey = torch.full((3, 16, 16), 3.0)
        gain = rendering.mid_grey / 3.0
        assert abs(srgb_to_linear(rendering.render(grey, gain)).mean().item() - MID_GREY) < 1e-3
        assert rendering.scene(grey, gain).mean().item() == pytest.approx(MID_GREY, rel=1e-5)


def test_photo_and_scene_do_not_depend_on_the_scale_of_the_light(light: Tensor) -> None:
    rendering = replace(draw(3), jpeg_quality=None)
    torch.testing.assert_close(rendering.render(light * 1000), rendering.render(light), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rendering.scene(light * 1000), rendering.scene(light), rtol=1e-4, atol=1e-5)


def test_metering_for_highlights_clips_a_hundredth(light: Tensor) -> None:
    photo = SceneRendering(protection=1.0).render(light)
    share = (photo.amax(dim=0) == 1).float().mean().item()
    assert 0.002 < share <= 0.012


def test_a_brighter_exposure_is_brighter_everywhere(light: Tensor) -> None:
    dark, bright = (SceneRendering(exposure=ev).render(light) for ev in (-1.0, 1.0))
    assert (bright >= dark).all()
    assert bright.mean() > dark.mean() + 0.1


def test_a_batch_is_rendered_like_its_pictures(light: Tensor) -> None:
    rendering = draw(5)
    batch = torch.stack([light, light.flip(-1)])
    photos = rendering.render(batch, gain=0.1)
    for photo, one in zip(photos, batch, strict=True):
        torch.testing.assert_close(photo, rendering.render(one, gain=0.1))


def test_noise_is_drawn_from_the_generator_alone(light: Tensor) -> None:
    noisy = SceneRendering(shot_noise=1e-2)
    first, again, other = (noisy.render(light, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    torch.testing.assert_close(first, again)
    assert (first - other).abs().mean() > 1e-3
    torch.testing.assert_close(noisy.render(light), SceneRendering().render(light))


def test_shadows_come_up_and_lights_go_down() -> None:
    steps = torch.cat([torch.full((3, 32, 32), 0.01), torch.full((3, 32, 32), 0.8)], dim=-1)
    plain = SceneRendering().render(steps, gain=1.0)
    local = SceneRendering(shadows=0.3, lights=0.3).render(steps, gain=1.0)
    assert (local[..., :16] > plain[..., :16] + 0.02).all()
    assert (local[..., -16:] < plain[..., -16:] - 0.02).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_renderings_are_photos(seed: int, light: Tensor) -> None:
    generator = torch.Generator().manual_seed(seed)
    rendering = random_rendering(generator)
    photo = rendering.render(light, generator=generator)
    assert photo.shape == light.shape
    assert photo.isfinite().all()
    assert photo.min() >= 0
    assert photo.max() <= 1


def test_random_renderings_survive_json() -> None:
    for seed in SEEDS:
        rendering = draw(seed)
        assert SceneRendering.from_dict(json.loads(json.dumps(rendering.to_dict()))) == rendering


def test_random_curves_surround_the_measured_ones() -> None:
    knots = np.linspace(0, 1, 65)

    def stops(curve: object) -> np.ndarray:
        values = np.interp([0.2, 0.7, 0.9], knots, np.asarray(curve))
        return np.log2(values / np.interp(0.5, knots, np.asarray(curve)))

    generator = torch.Generator().manual_seed(0)
    drawn = np.array([stops(random_curve(generator)) for _ in range(300)])
    measured = np.array([stops(curve) for curve in measured_curves().values()])
    assert (drawn.min(axis=0) < measured.min(axis=0)).all()
    assert (drawn.max(axis=0) > measured.max(axis=0)).all()
    assert (abs(np.median(drawn, axis=0) - np.median(measured, axis=0)) < 0.15).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"curve": (0.0, 0.5, 0.5, 1.0)}, "curve must rise strictly"),
        ({"curve": (0.1, 1.0)}, "curve must rise strictly"),
        ({"matrix": ((1, 0, 0), (1, 0, 0), (0, 0, 1))}, "matrix must be an invertible"),
        ({"protection": 1.5}, "protection must lie in"),
        ({"shot_noise": -1.0}, "shot_noise and read_noise must be"),
        ({"sharpening": -0.5}, "denoise and sharpening must be"),
        ({"jpeg_quality": 0}, "jpeg_quality must lie in"),
        ({"glow": 1.0}, "glow"),
    ],
)
def test_wrong_fields_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SceneRendering.from_dict(values)


def test_a_black_scene_cannot_be_exposed() -> None:
    with pytest.raises(ConfigError, match="cannot be exposed"):
        SceneRendering().render(torch.zeros(3, 16, 16))


@pytest.mark.parametrize("seed", range(6))
def test_a_margin_is_looked_at_and_left_out(seed):
    """Also where the rendering alone would need none of it."""
    light = torch.rand(3, 96, 112, generator=torch.Generator().manual_seed(seed)) ** 3
    rendering = random_rendering(torch.Generator().manual_seed(seed))
    for one in (rendering, rendering.clean):
        whole, inside = (
            one.render(light, 1.5, generator=torch.Generator().manual_seed(1), margin=margin) for margin in (0, 16)
        )
        torch.testing.assert_close(inside, whole[:, 16:-16, 16:-16], atol=1e-6, rtol=0)
