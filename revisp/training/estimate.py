"""Train an estimated base: to judge from a photo how it was rendered.

It learns alone, before the branches, from whole views of scenes beside their renderings: thumbnails are all that
it looks at. A photo tells only a part of its tone curve and chroma, so what the base learnt is drawn back to their
means, as far as views of held-out scenes ask for.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from revisp.backbones.thumbnail import colour_statistics
from revisp.camera.fitted import clipping
from revisp.camera.renderings import curve_coordinates
from revisp.camera.scene_rendering import luminance
from revisp.data.rendered_views import STEP, RenderedViews, ViewPrior
from revisp.errors import ConfigError
from revisp.losses.estimate import (
    curve_error,
    departure,
    headroom_surprise,
    level_error,
    match_colours,
    matched_error,
)

if TYPE_CHECKING:
    from revisp.backbones.estimated import Estimated, PhotoEstimate

__all__ = ["EstimateFigures", "EstimateReport", "EstimateTraining", "judge_estimates", "train_estimate"]

log = logging.getLogger(__name__)

WEIGHTS = {"matched": 1.0, "departure": 0.5, "curve": 0.3, "chroma": 1.0, "level": 0.3, "headroom": 0.1}
"""Of the losses in the sum."""

LEAST_ERROR = 3e-5
"""Mean squared error below which an estimate gains nothing by being better: 45 dB."""

CLIPPED = 0.98
"""Value of any channel from which a pixel tells nothing of the curve."""

OVEREXPOSED = 8
"""Overexposed pixels of the 1024 that a view needs for the level of its highlights to count."""

SHRINKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of what the base says of the curve that are tried: at 0 every photo has the mean curve."""

WARMUP = 50
FINAL_RATE = 0.02
LARGEST_GRADIENT = 1.0
CHUNK = 64
"""Photos that are looked at at once, without learning."""

IN_CACHE = 2
"""Photos whose statistics are taken at once: with more, what lies between leaves the processor's cache."""

NO_HEADROOM = -20.0
"""Answer of the network that means a headroom of 0."""

REPORTS = 10
"""Times that a training tells its loss."""


@dataclasses.dataclass(frozen=True)
class EstimateTraining:
    """How an estimated base learns.

    Attributes:
        views: views of scenes to learn from.
        val_views: views of held-out scenes, by which ``shrink`` is chosen.
        steps: of the training; 0 leaves the base as it starts, with the mean curve for every photo.
        batch_size: photos in a step.
        lr: full learning rate of AdamW; it rises over the first steps, and falls as a cosine.
        weight_decay: of AdamW.
        shrink: share, in [0, 1], of what the base says of the curve that counts, the rest being the mean curve;
            None chooses the share of the least error on held-out scenes.
        headroom: expect the light of scenes above the curve's white where photos are clipped; False: none, so that
            only the OE branch adds it. Sensors of cameras clip nearly where their photos do.
        renderings: as `ViewPrior`, like the rest.
        measured: share of measured curves.
        charts: share of views of charts.

    Raises:
        ConfigError: a value outside its range.
    """

    views: int = 4000
    val_views: int = 400
    steps: int = 3000
    batch_size: int = 128
    lr: float = 2e-3
    weight_decay: float = 1e-3
    shrink: float | None = None
    headroom: bool = True
    renderings: int = 4
    measured: float = 0.8
    charts: float = 0.1

    def __post_init__(self) -> None:
        for name, least in (("views", 1), ("val_views", 1), ("steps", 0), ("batch_size", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"estimate.{name} must be a whole number of at least {least}, got {value!r}")
        if not (0 < self.lr < math.inf and 0 <= self.weight_decay < math.inf):
            raise ConfigError("estimate.lr must be positive, estimate.weight_decay not negative")
        if self.shrink is not None and not 0 <= self.shrink <= 1:
            raise ConfigError(f"estimate.shrink must lie in [0, 1] or be null, got {self.shrink}")
        self.prior()

    def prior(self, **scenes: float) -> ViewPrior:
        """Return what views are drawn from, with the shares that the data decide."""
        return ViewPrior(self.renderings, self.measured, self.charts, **scenes)


@dataclasses.dataclass(frozen=True)
class EstimateFigures:
    """How well scene light is regained, a mean over photos.

    Attributes:
        psnr: of unclipped pixels after the best 3x3 matrix (E3), white 1, in dB.
        departure: from a linear response, in EV.
        level: mean absolute error of unclipped pixels in EV, exposure and colours included.
        highlights: mean error in EV of the luminance where all channels are clipped; NaN without such pixels.
    """

    psnr: float
    departure: float
    level: float
    highlights: float

    def __str__(self) -> str:
        return (
            f"E3 {self.psnr:.2f} dB, departure {self.departure:.3f} EV, level {self.level:.3f} EV, "
            f"highlights {self.highlights:+.2f} EV"
        )


@dataclasses.dataclass(frozen=True)
class EstimateReport:
    """What a training of the base led to, on views of held-out scenes.

    Attributes:
        before: figures of what the base starts with: the mean curve and the mean headroom for every photo.
        shrinks: figures by the share of what the base says of the curve.
        shrink: the share that was taken.
    """

    before: EstimateFigures
    shrinks: dict[float, EstimateFigures]
    shrink: float

    @property
    def after(self) -> EstimateFigures:
        """Figures of the base as it is left."""
        return self.shrinks[self.shrink]


def train_estimate(
    base: Estimated, train: RenderedViews, val: RenderedViews, settings: EstimateTraining, *, seed: int
) -> EstimateReport:
    """Train a base, where it is, and leave it in evaluation mode.

    Args:
        base: the base, on any device.
        train: views to learn from.
        val: views of other scenes.
        settings: how it learns; the number of views is that of the views given.
        seed: of the batches and of what is dropped out. The same seed and machine give the same base.
    """
    statistics = _statistics(train)
    _start(base, train, statistics, headroom=settings.headroom)
    before = judge_estimates(base, val, shrinks=(0.0,))[0.0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _learn(base, train, statistics, settings)
    base.eval()
    known = () if settings.shrink is None else (settings.shrink,)
    tried = judge_estimates(base, val, shrinks=tuple(sorted({*SHRINKS, *known})))
    best = max(tried, key=lambda share: tried[share].psnr) if settings.shrink is None else settings.shrink
    _shrink(base, best)
    report = EstimateReport(before, tried, best)
    log.info("estimated base: mean curve: %s", report.before)
    for share, found in tried.items():
        log.info("estimated base: %g of its curve%s: %s", share, " (taken)" if share == best else "", found)
    return report


@torch.no_grad()
def judge_estimates(
    base: Estimated, views: RenderedViews, *, shrinks: tuple[float, ...] = (1.0,)
) -> dict[float, EstimateFigures]:
    """Measure a base on views.

    Args:
        base: in evaluation mode.
        views: those to judge.
        shrinks: shares of what it says of the curve.

    Returns:
        Figures by the share.
    """
    rows: dict[float, list[Tensor]] = {share: [] for share in shrinks}
    device = base.mean_curve.device
    for some in _chunks(views, CHUNK, device):
        photo = some.photo
        told = (base.answers(photo) + base.answers(photo.flip(-1))) / 2
        for share in shrinks:
            curve, rest = told.tensor_split((len(base.bends) + len(base.mean_chroma),), dim=1)
            shrunk = torch.cat([curve * share, rest], dim=1)
            rows[share].append(_figures(base, base.interpret(shrunk), _kept(photo), some.light))
    return {
        share: EstimateFigures(*(column.nanmean().item() for column in torch.cat(parts).T))
        for share, parts in rows.items()
    }


def _figures(base: Estimated, estimate: PhotoEstimate, photo: Tensor, light: Tensor) -> Tensor:
    """Return the figures of each photo ``[B, 4]``; NaN where there is none."""
    guess, seen = base.linearise(photo, estimate), _unclipped(photo)
    matched, truth = match_colours(guess, light, seen)
    psnr = -10 * (matched_error(matched, truth, seen) + 1e-5).log10()
    bias, _ = _moments(_ev(guess, light), _overexposed(photo))
    return torch.stack([psnr, departure(matched, truth, seen), level_error(guess, light, seen), bias], dim=1)


@torch.no_grad()
def _start(base: Estimated, views: RenderedViews, statistics: Tensor, *, headroom: bool) -> None:
    """Give the base what is usual among views: their mean curve, colours and headroom, and its spread."""
    base.eval()
    base.mean_curve.copy_(torch.from_numpy(curve_coordinates(views.curve.double().numpy()).mean(0)))
    base.mean_chroma.copy_(views.chroma.log().mean(0).exp())
    base.typical.copy_(statistics.mean(0))
    base.deviation.copy_(statistics.std(0, correction=0) + 0.02)
    answer = base.last.bias[None]
    answer[:, -2:] = NO_HEADROOM
    if not headroom:
        return
    moments = []
    for some in _chunks(views, CHUNK, base.mean_curve.device):
        kept = _kept(some.photo)
        bare = base.linearise(kept, base.interpret(answer.expand(len(kept), -1)))
        moments.append(torch.stack(_moments(-_ev(bare, some.light), _overexposed(kept))))
    mean, square = torch.cat(moments, dim=1).nanmean(1).tolist()
    if not math.isnan(mean):
        spread = math.sqrt(max(square - mean**2, 0.01))
        answer[:, -2:] = torch.tensor([math.log(math.expm1(value)) for value in (max(mean, 0.05), spread)])


def _learn(base: Estimated, views: RenderedViews, statistics: Tensor, settings: EstimateTraining) -> None:
    device, count = base.mean_curve.device, len(views.photo)
    optimizer = torch.optim.AdamW(base.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.steps))
    base.train()
    for step in range(settings.steps):
        chosen = torch.randint(count, (settings.batch_size,))
        batch = _ready(RenderedViews(*(part[chosen] for part in views)), device)
        if torch.rand(()) < 0.5:  # light is kept of evenly spaced pixels: of the same in the mirror image
            batch = batch._replace(photo=batch.photo.flip(-1), light=batch.light.flip(-1))
        told = base.answers(batch.photo, statistics[chosen].to(device))
        terms = _losses(base, base.interpret(told), batch)
        if not settings.headroom:
            del terms["headroom"]
        loss = sum((WEIGHTS[name] * value for name, value in terms.items()), start=told.new_zeros(()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(base.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        if (step + 1) % max(1, settings.steps // REPORTS) == 0:
            told_terms = ", ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
            log.info("estimated base: step %d of %d: %s", step + 1, settings.steps, told_terms)


def _losses(base: Estimated, estimate: PhotoEstimate, views: RenderedViews) -> dict[str, Tensor]:
    """Compare estimates with what is known of photos, at the pixels whose light is known."""
    photo, light = _kept(views.photo), views.light
    seen = _unclipped(photo)
    bare = base.linearise(photo, estimate._replace(headroom=torch.zeros_like(estimate.headroom)))
    matched, truth = match_colours(bare, light, seen)
    excess = -_ev(bare.detach(), light)
    return {
        "matched": (matched_error(matched, truth, seen) + LEAST_ERROR).log().mean(),
        "departure": departure(matched, truth, seen).mean(),
        "curve": curve_error(estimate.curve, views.curve).mean(),
        "chroma": (estimate.chroma / views.chroma).log().square().mean(),
        "level": level_error(bare, light, seen).mean(),
        "headroom": headroom_surprise(excess, estimate.headroom, estimate.spread, _overexposed(photo)).mean(),
    }


def _shrink(base: Estimated, share: float) -> None:
    """Draw what the base says of the curve and the chroma towards their means, for good."""
    answers = len(base.bends) + len(base.mean_chroma)
    with torch.no_grad():
        base.last.weight[:answers] *= share
        base.last.bias[:answers] *= share


def _rate(step: int, steps: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))
    return min(1.0, (step + 1) / WARMUP) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def _chunks(views: RenderedViews, size: int, device: Any) -> Iterator[RenderedViews]:
    """Yield some views after the other, as `_ready` makes them."""
    for parts in zip(*(part.split(size) for part in views), strict=True):
        yield _ready(RenderedViews(*parts), device)


def _ready(views: RenderedViews, device: Any) -> RenderedViews:
    """Return views as numbers to compute with, the photo in [0, 1]."""
    views = RenderedViews(*(part.to(device).float() for part in views))
    return views._replace(photo=views.photo / 255)


def _statistics(views: RenderedViews) -> Tensor:
    """Return the statistics of all photos, on the CPU."""
    return torch.cat([colour_statistics(some.photo) for some in _chunks(views, IN_CACHE, "cpu")])


def _kept(photo: Tensor) -> Tensor:
    """Return the pixels whose light is known."""
    return photo[..., STEP // 2 :: STEP, STEP // 2 :: STEP]


def _unclipped(photo: Tensor) -> Tensor:
    return (photo < CLIPPED).all(1, keepdim=True).float()


def _overexposed(photo: Tensor) -> Tensor:
    """Return the pixels to which the whole headroom is applied."""
    return (clipping(photo)[:, 3:] == 1).float()


def _moments(error: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the mean square over the pixels of each photo ``[B]``; NaN where they are few."""
    count = weight.sum((1, 2, 3))
    enough = torch.where(count >= OVEREXPOSED, count, math.nan)
    return (error * weight).sum((1, 2, 3)) / enough, (error.square() * weight).sum((1, 2, 3)) / enough


def _ev(light: Tensor, truth: Tensor) -> Tensor:
    """Return by how many EV the luminance exceeds the truth ``[B, 1, H, W]``."""
    return (luminance(light).clamp_min(1e-4) / luminance(truth).clamp_min(1e-4)).log2()
