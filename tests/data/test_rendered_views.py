"""Views of scenes beside their renderings, as thumbnails."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.camera.canonical import light_to_raw
from revisp.camera.renderings import measured_curves
from revisp.data.chart_views import random_chart
from revisp.data.rendered_views import STEP, RenderedViews, ViewPrior, rendered_views
from revisp.errors import ConfigError
from revisp.losses.estimate import match_colours, matched_error

CHARTS = ViewPrior(renderings=2, charts=1.0)


@pytest.fixture(scope="module")
def found() -> RenderedViews:
    return rendered_views([], 8, CHARTS, seed=0)


def test_each_view_is_rendered_several_times(found: RenderedViews) -> None:
    assert [tuple(part.shape) for part in found] == [(16, 3, 96, 96), (16, 3, 32, 32), (16, 65), (16, 2)]
    assert found.photo.dtype == torch.uint8
    light = found.light.float().flatten(1)
    for one, other in light.unflatten(0, (8, 2)):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.99  # the same view
    assert not torch.equal(found.photo[0], found.photo[1])


def test_views_depend_on_the_seed_and_their_number_alone(found: RenderedViews) -> None:
    for part, again in zip(found, rendered_views([], 3, CHARTS, seed=0, num_workers=1), strict=True):
        assert torch.equal(part[:6], again)
    assert not torch.equal(found.photo[:2], rendered_views([], 1, CHARTS, seed=1).photo)


def test_the_curve_undoes_the_photo(found: RenderedViews) -> None:
    photo = found.photo.float()[..., STEP // 2 :: STEP, STEP // 2 :: STEP] / 255
    light, seen = found.light.float(), (photo < 0.98).all(1, keepdim=True).float()
    zero = torch.zeros(len(photo))
    error = {}
    for name, curve in (("own", found.curve), ("others'", found.curve.roll(1, 0))):
        estimate = PhotoEstimate(curve, found.chroma, torch.eye(3).expand(len(photo), 3, 3), zero, zero, zero)
        matched, truth = match_colours(Estimated.linearise(photo, estimate), light, seen)
        error[name] = matched_error(matched, truth, seen).log().mean()
    assert error["own"] < error["others'"] - 0.3


def test_light_is_no_brighter_than_the_sensor_holds(found: RenderedViews) -> None:
    grey = found.light.float().amax().expand(3, 1, 1)
    assert light_to_raw(grey)[1] <= 1.001


def test_measured_curves_are_taken_as_they_are() -> None:
    every = rendered_views([], 4, ViewPrior(renderings=1, charts=1.0, measured=1.0), seed=0).curve
    known = torch.tensor(list(measured_curves().values()))
    for curve in every / every[:, -1:]:
        assert (known - curve).abs().amax(1).min() < 1e-5


@pytest.mark.parametrize("name", ["measured", "charts", "photo_share", "by_range"])
def test_shares_outside_their_range_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"estimate.{name} must lie in \[0, 1\], got 2"):
        ViewPrior(**{name: 2})


def test_charts_are_lit_and_differ() -> None:
    charts = torch.stack([random_chart(48, torch.Generator().manual_seed(seed)) for seed in range(12)])
    assert (charts > 0).all()
    assert charts.isfinite().all()
    assert charts.flatten(1).std(1).min() > 0  # none is empty
    with pytest.raises(ConfigError, match="size"):
        random_chart(8, torch.Generator())
