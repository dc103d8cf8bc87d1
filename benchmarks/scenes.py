"""Judge blind inverses on views of scenes that none has learnt, whose light above the photo's white is known.

    python benchmarks/scenes.py SCENES [--model FOLDER ...] [--branches] [--cache FOLDER] [--views 4] [--json OUT]

SCENES is a folder of scenes, or its data set by revisp-prepare; its test scenes are shown. Each view is rendered
in the same eight random renderings. Every method gets the 3x3 matrix that fits best where nothing is clipped (E3
of docs/how-to/blind.md), so the colours in which it answers do not matter. Beside the models stand the inverse of
the sRGB curve, UPI's, and the classical inverse (one curve, matrix and headroom), fitted to views of the training
scenes in random renderings. With --branches, each branch of a model also answers alone, so that one sees what
their fusion gains.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from _report import keep, to_table
from torch import Tensor

import revisp
from revisp.camera.canonical import canonical_profile, sensor_reading
from revisp.camera.draw import generator_of
from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.isp import apply_gains
from revisp.camera.renderings import random_rendering
from revisp.data.scene_pairs import rendered_pair
from revisp.data.scene_views import SceneLibrary, random_view, view_any
from revisp.evaluation.score_blind import BASELINES, Method, model_method
from revisp.metrics.blind import CLIPPED, bin_picture, fit_colour, green_stops
from revisp.pipeline import ReverseISP

SIZE = 256
"""Side of a view in pixels."""

RENDERINGS = 8
FITTED = 64
"""Views that the classical inverse is fitted to."""

VIEW_SEED, RENDERING_SEED, FIT_SEED = 11, 12, 13
LEAST_OE = 50
"""Overexposed pixels that a photo needs for their level to count."""

UNIT = 0.999
"""Quantile of the brightest channel of the light that counts as white in the PSNR."""

COLUMNS = ("psnr", "psnr_oe", "psnr_noe", "ev", "ev_oe", "known_oe", "ev_noe", "bias_oe")

Figures = dict[str, float]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[], help="model folder to judge as well")
    parser.add_argument("--branches", action="store_true", help="judge each branch alone as well")
    parser.add_argument("--cache", type=Path, help="folder that keeps decoded scenes")
    parser.add_argument("--views", type=int, default=4, help="views of each scene")
    parser.add_argument("--json", type=Path, help="keep all figures")
    arguments = parser.parse_args()
    library = SceneLibrary(arguments.scenes, cache=arguments.cache)
    methods: dict[str, Method] = {**BASELINES, "classical": classical(library)}
    for name, folder in {"default": None, **{folder.name: folder for folder in arguments.model}}.items():
        model = revisp.from_pretrained(folder)
        methods[name] = model_method(model)
        if arguments.branches and not model.plain:
            methods |= {f"{name}, {branch} alone": branch_method(model, branch) for branch in ("oe", "noe")}
    found: dict[str, dict[str, list[Figures]]] = {name: {} for name in methods}
    for number, scene in enumerate(library.parts["test"]):
        print(f"{scene.name} ({scene.kind})", flush=True)
        for view in range(arguments.views):
            light = random_view(scene, SIZE, generator_of(VIEW_SEED, number, view)).light
            for rendering, (photo, truth) in enumerate(photos(light), 1):
                for name, figures in judge(methods, photo, truth).items():
                    found[name].setdefault(scene.name, []).append({**figures, "rendering": rendering})
    keep(arguments.json, "\n\n".join(report(found)), found)


def branch_method(model: ReverseISP, branch: str) -> Method:
    """Return a branch alone as a method: white-balanced demosaiced RAW."""
    gains = canonical_profile().gains if model.profile is None else model.profile.gains
    return lambda srgb: apply_gains(getattr(revisp.predict(model, srgb, branches=True), branch), gains)


def classical(library: SceneLibrary) -> Method:
    """Fit the classical inverse to views of the training scenes."""
    pairs = []
    for number in range(FITTED):
        generator = generator_of(FIT_SEED, number)
        photo, raw_rgb, _ = rendered_pair(view_any(library.parts["train"], SIZE, generator), generator)
        pairs.append(FitPair(photo, raw_rgb))
    return fit_camera(pairs, shading=False).unprocess


def photos(light: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Yield the photo and the canonical sensor's white-balanced RAW of a view, in each rendering."""
    for number in range(RENDERINGS):
        rendering = random_rendering(generator_of(RENDERING_SEED, number))
        gain = rendering.meter(light)
        raw_rgb = sensor_reading(rendering, light, gain)
        photo = rendering.render(light, gain, generator=generator_of(RENDERING_SEED, number, 1))
        yield photo, apply_gains(raw_rgb, canonical_profile().gains)


@torch.inference_mode()
def judge(methods: Mapping[str, Method], photo: Tensor, truth: Tensor) -> dict[str, Figures]:
    """Score all methods on a photo; without pixels to fit to, it counts for none."""
    seen, true = bin_picture(photo), bin_picture(truth).double()
    clipped = (seen >= CLIPPED).sum(0)
    usable = clipped == 0
    if usable.float().mean() < 0.05:
        return {}
    true = true / true.amax(0).flatten().quantile(UNIT)
    regions = {"": torch.ones_like(usable), "_oe": clipped == 3, "_noe": usable}
    scores = {}
    for name, method in methods.items():
        given = bin_picture(method(photo)).double()
        matched = torch.einsum("ij,jhw->ihw", fit_colour(given[:, usable], true[:, usable]), given)
        error, stops = (matched - true).square().mean(0), green_stops(matched) - green_stops(true)
        scores[name] = {
            f"{figure}{suffix}": value
            for suffix, region in regions.items()
            if int(region.sum()) >= LEAST_OE
            for figure, value in (
                ("psnr", -10 * (error[region].mean() + 1e-12).log10().item()),
                ("ev", stops[region].abs().median().item()),
                ("bias", stops[region].mean().item()),
                ("known", (stops[region] - stops[region].mean()).abs().median().item()),
            )
        }
    return scores


def report(found: Mapping[str, Mapping[str, list[Figures]]]) -> Iterable[str]:
    """Yield the table of means over scenes with their deviation, that by rendering, and what they mean."""
    yield to_table(
        ("method", *COLUMNS),
        [(name, *(cell(over_scenes(scenes, column)) for column in COLUMNS)) for name, scenes in found.items()],
    )
    numbers = range(1, RENDERINGS + 1)
    yield to_table(
        ("psnr_noe by rendering", *map(str, numbers)),
        [
            (name, *(f"{statistics.mean(over_scenes(scenes, 'psnr_noe', number)):.2f}" for number in numbers))
            for name, scenes in found.items()
        ],
    )
    scenes = next(iter(found.values()))
    yield (
        f"Means over {len(scenes)} scenes of {sum(map(len, scenes.values()))} photos, ± deviation between scenes. "
        "PSNR in dB, white is the 99.9th percentile of the light; ev: median absolute error of green in EV; "
        "bias: mean error in EV; known: ev if the bias of each photo were known; oe: all channels clipped; noe: "
        "none."
    )


def over_scenes(scenes: Mapping[str, list[Figures]], column: str, rendering: int | None = None) -> list[float]:
    """Return the mean of a figure in each scene that has it, over all renderings or in one."""
    rows = (
        [row[column] for row in figures if column in row and rendering in (None, row["rendering"])]
        for figures in scenes.values()
    )
    return [statistics.mean(values) for values in rows if values]


def cell(means: list[float]) -> str:
    """Return mean and deviation as text; a dash where there are too few."""
    return f"{statistics.mean(means):.2f} ± {statistics.stdev(means):.2f}" if len(means) > 1 else "-"


if __name__ == "__main__":
    main()
