"""Whole views of scenes beside their renderings, reduced to thumbnails: what an estimated base learns from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from revisp.camera.canonical import HEADROOM_EV
from revisp.camera.draw import Draw, generator_of
from revisp.camera.renderings import measured_curves, random_rendering
from revisp.camera.scene_rendering import MID_GREY, SceneRendering
from revisp.data.chart_views import random_chart
from revisp.data.scene_views import view_any
from revisp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from revisp.data.scene_cache import CachedScene

__all__ = ["STEP", "RenderedViews", "ViewPrior", "rendered_views"]

VIEW_SIDE = 96
"""Rows and columns of a photo: those of the thumbnails that an estimated base looks at."""

STEP = 3
"""The light of every third row and column is kept, from the second on."""

BRIGHTEST_LIGHT = MID_GREY * 2**HEADROOM_EV
"""Light that the canonical sensor's green holds at most."""

CLIPPED_FROM, MOST_CLIPPED, LEAST_BRIGHTEST = 0.98, 0.6, 0.15
"""A photo with more clipped pixels, or whose brightest value is lower, is rendered anew: nobody keeps it."""

MOST_ATTEMPTS = 20

NOISE_LEFT = 1 / 64
"""Share of the noise's variance that is left in a thumbnail: each of its pixels is the mean of many."""


class RenderedViews(NamedTuple):
    """Views in several renderings each.

    Attributes:
        photo: sRGB in 255 steps, uint8 ``[N, 3, 96, 96]``.
        light: of every third pixel, as `SceneRendering.scene` has it (mid grey 0.18), float16 ``[N, 3, 32, 32]``.
        curve: light at the sRGB values 0, 1/64, ..., 1, by which the photo was rendered, on the same scale: the
            curve that undoes it ``[N, 65]``.
        chroma: factors of Cr and Cb that the photo was given ``[N, 2]``.
    """

    photo: Tensor
    light: Tensor
    curve: Tensor
    chroma: Tensor


@dataclasses.dataclass(frozen=True)
class ViewPrior:
    """What views and renderings are drawn from.

    Attributes:
        renderings: of each view.
        measured: share of the renderings whose curve is one that was measured on a camera, as it is; the others
            mix and bend some (`revisp.camera.renderings.random_curve`).
        charts: share of the views that show a chart (`random_chart`) in place of a scene.
        photo_share: share of the other views that are of photos, where there are both.
        by_range: share of the views that are chosen by their dynamic range: none by default, since an
            estimate should expect what is usual.

    Raises:
        ConfigError: a share is outside [0, 1], or a number of renderings below 1.
    """

    renderings: int = 4
    measured: float = 0.8
    charts: float = 0.1
    photo_share: float = 0.25
    by_range: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.renderings, int) or self.renderings < 1:
            raise ConfigError(f"estimate.renderings must be a whole number of at least 1, got {self.renderings!r}")
        for name in ("measured", "charts", "photo_share", "by_range"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"estimate.{name} must lie in [0, 1], got {getattr(self, name)}")

    def rendering(self, generator: torch.Generator) -> SceneRendering:
        """Draw a rendering without what a thumbnail does not show: sharpening, compression, most of the noise."""
        rendering, draw = random_rendering(generator), Draw(generator)
        measured = draw.choice(tuple(measured_curves().values()))
        return dataclasses.replace(
            rendering,
            curve=measured if draw.uniform(0, 1) < self.measured else rendering.curve,
            shot_noise=rendering.shot_noise * NOISE_LEFT,
            read_noise=rendering.read_noise * NOISE_LEFT,
            denoise=0.0,
            sharpening=0.0,
            jpeg_quality=None,
        )


def rendered_views(
    scenes: Sequence[CachedScene], count: int, prior: ViewPrior, *, seed: int, num_workers: int = 0
) -> RenderedViews:
    """Draw views of scenes, and render each several times.

    Args:
        scenes: those to look at.
        count: number of views; there are ``prior.renderings`` photos of each.
        prior: what they are drawn from.
        seed: of all that is random. The same seed gives the same views.
        num_workers: processes that draw; their number does not change the views.

    Raises:
        DataError: a scene is black wherever it was looked at.
    """
    loader = DataLoader(_Views(scenes, count, prior, seed), batch_size=None, num_workers=num_workers)
    parts = list(loader)
    return RenderedViews(*(torch.cat(part) for part in zip(*parts, strict=True)))


class _Views(Dataset[RenderedViews]):
    def __init__(self, scenes: Sequence[CachedScene], count: int, prior: ViewPrior, seed: int) -> None:
        self.scenes, self.count, self.prior, self.seed = scenes, count, prior, seed

    def __len__(self) -> int:
        return self.count

    @torch.no_grad()
    def __getitem__(self, number: int) -> RenderedViews:
        prior, generator = self.prior, generator_of(self.seed, number)
        if Draw(generator).uniform(0, 1) < prior.charts:
            light = random_chart(VIEW_SIDE, generator)
        else:
            share, by_range = prior.photo_share, prior.by_range
            light = view_any(self.scenes, VIEW_SIDE, generator, photo_share=share, by_range=by_range).light
        photos = [_photo(light, prior, generator) for _ in range(prior.renderings)]
        return RenderedViews(*(torch.stack(part) for part in zip(*photos, strict=True)))


def _photo(light: Tensor, prior: ViewPrior, generator: torch.Generator) -> RenderedViews:
    """Render a view so that somebody would keep it."""
    for _ in range(MOST_ATTEMPTS):
        rendering = prior.rendering(generator)
        gain = rendering.meter(light)
        photo = rendering.render(light, gain, generator=generator)
        if (photo >= CLIPPED_FROM).any(0).float().mean() <= MOST_CLIPPED and photo.max() >= LEAST_BRIGHTEST:
            kept = rendering.scene(light, gain)[:, STEP // 2 :: STEP, STEP // 2 :: STEP].clamp(0, BRIGHTEST_LIGHT)
            curve = torch.tensor(rendering.curve) * (MID_GREY / rendering.mid_grey)
            return RenderedViews(
                (photo * 255).round().byte(), kept.half(), curve.float(), torch.tensor(rendering.chroma)
            )
    raise DataError("a view of a scene cannot be exposed: none of its renderings shows anything")
