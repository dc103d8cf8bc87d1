"""Measure the level of overexposed pixels with and without a gain map, on views of scenes that were held out.

    python benchmarks/gain_levels.py SCENES [--model FOLDER] [--cache FOLDER] [--views 4] [--size 512] [--json OUT]

The scenes, the eight random renderings of a view and the truth are those of ``benchmarks/scenes.py``. Views are
larger, since the maps of cameras' photos have hundreds of pixels at a quarter of the width. Nothing is fitted:
the scale is that of the canonical sensor, on which mid grey is known. A map is ideal: that of the light which the
sensor read; or the same in 8 bits at a quarter of the width; or, stored so, that of a rendition as phones make it:
nowhere darker than the photo, ending 3 EV above white, and linear to the light, or 1.25 times as steep above mid
grey. The page ``docs/how-to/own-photos.md`` quotes the table.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch
from _report import keep, to_table
from scenes import LEAST_OE, VIEW_SEED, photos
from torch import Tensor

import revisp
from revisp.camera.canonical import canonical_profile, raw_to_light
from revisp.camera.draw import generator_of
from revisp.camera.hdr_rendition import HDRRendition
from revisp.camera.isp import apply_gains
from revisp.data.scene_views import SceneLibrary, random_view
from revisp.metrics.blind import CLIPPED, bin_picture, green_stops
from revisp.pipeline import ReverseISP

MAPS = {
    "none": None,
    "ideal": HDRRendition(),
    "ideal, 8 bits, a quarter": HDRRendition(smaller=4, eight_bits=True),
    "as of a phone": HDRRendition(headroom=3.0, least=0.0, smaller=4, eight_bits=True),
    "as of a phone, exaggerated": HDRRendition(contrast=1.25, headroom=3.0, least=0.0, smaller=4, eight_bits=True),
}

Figures = dict[str, float]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--model", type=Path, help="model folder in place of the default model")
    parser.add_argument("--cache", type=Path, help="folder that keeps decoded scenes")
    parser.add_argument("--views", type=int, default=4, help="views of each scene")
    parser.add_argument("--size", type=int, default=512, help="side of a view in pixels")
    parser.add_argument("--json", type=Path, help="keep all figures")
    arguments = parser.parse_args()
    model = revisp.from_pretrained(arguments.model)
    library = SceneLibrary(arguments.scenes, cache=arguments.cache)
    found: dict[str, list[Figures]] = {kind: [] for kind in MAPS}
    for number, scene in enumerate(library.parts["test"]):
        for view in range(arguments.views):
            light = random_view(scene, arguments.size, generator_of(VIEW_SEED, number, view)).light
            for photo, truth in photos(light):
                for kind, figures in judge(model, photo, truth).items():
                    found[kind].append(figures)
    keep(arguments.json, report(found), found)


@torch.inference_mode()
def judge(model: ReverseISP, photo: Tensor, truth: Tensor) -> dict[str, Figures]:
    """Return the errors of overexposed pixels with each map; none of a photo that has few such pixels.

    Args:
        model: a model that sees gain maps.
        photo: ``[3, H, W]``.
        truth: the canonical sensor's white-balanced RAW.
    """
    seen, true = bin_picture(photo), bin_picture(truth).double()
    clipped = (seen >= CLIPPED).sum(0)
    usable, overexposed = clipped == 0, clipped == 3
    if usable.float().mean() < 0.05 or overexposed.sum() < LEAST_OE:
        return {}
    gains = canonical_profile().gains
    light = raw_to_light(apply_gains(truth, [1 / gain for gain in gains]))
    scores = {}
    for kind, rendition in MAPS.items():
        gain = None if rendition is None else rendition.above_mid_grey(light, photo)
        given = bin_picture(apply_gains(revisp.predict(model, photo, gain=gain).raw_rgb, gains)).double()
        stops = green_stops(given) - green_stops(true)
        inside = stops[overexposed]
        scores[kind] = {
            "bias": inside.mean().item(),
            "spread": inside.std().item(),
            "error": inside.abs().mean().item(),
            "unclipped": stops[usable].abs().mean().item(),
        }
    return scores


def report(found: dict[str, list[Figures]]) -> str:
    """Return the table of means over photos."""
    rows = []
    none = statistics.mean(row["error"] for row in found["none"])
    for kind, figures in found.items():
        bias, spread, error, unclipped = (
            [row[column] for row in figures] for column in ("bias", "spread", "error", "unclipped")
        )
        between = statistics.mean(abs(value) for value in bias)
        rows.append(
            (
                kind,
                f"{statistics.mean(bias):+.2f}",
                *(f"{value:.2f}" for value in (between, statistics.mean(spread), statistics.mean(error))),
                f"{none / statistics.mean(error):.1f}",
                f"{statistics.mean(unclipped):.2f}",
            )
        )
    head = ("map", "bias", "bias of a photo", "spread in a photo", "mean error", "times smaller", "unclipped")
    return f"{to_table(head, rows)}\n\nMeans over {len(found['none'])} photos, in EV of green."


if __name__ == "__main__":
    main()
