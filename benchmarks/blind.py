"""Judge blind inverses on real cameras that none has learnt, and print their figures (docs/how-to/blind.md).

    python benchmarks/blind.py pairs  [FILES] [--model FOLDER ...] [--json OUT]  # camera JPEGs against their RAWs
    python benchmarks/blind.py pushed [FILES] [--model FOLDER ...] [--json OUT]  # RAWs developed too brightly

FILES (default: raw_samples/ in the folder that REVISP_TEST_DATA names) holds gopro_hero7/, canon_s40/ and
canon_d30/, for ``pushed`` also gopro_hero6/, gopro_hero8/ and gopro_fusion/: the samples of
thorsted/digicam_corpus (CC0), evanoberholster/imagemeta and gopro/gpr (MIT) on GitHub.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from _report import keep, to_table

import revisp
from revisp.align import Alignment, align
from revisp.evaluation.blind_pairs import BlindPair
from revisp.evaluation.paired import camera_mean, paired_difference
from revisp.evaluation.pushed import pushed_pair
from revisp.evaluation.score_blind import BASELINES, Method, model_method, score_methods
from revisp.io.photo import read_srgb
from revisp.io.raw import read_raw
from revisp.io.raw.rawimage import RawImage
from revisp.metrics.blind import CLIPPED, bin_mosaic, bin_picture
from revisp.prepare.frame import Frame

PAIRS = (
    *(("gopro_hero7", f"{name}.GPR", f"{name}.JPG") for name in ("GOPR8508", "GOPR8514")),
    *(
        ("canon_s40", f"CRW_{number}.CRW", f"CRW_{number}_camera640.jpg")
        for number in ("0101", "0105", "0113", "0117", "0118", "0119")
    ),
    ("canon_d30", "canon_d30_tree.CRW", "canon_d30_tree_camera1440.jpg"),
)
"""Folder, RAW and camera JPEG of each exposure. Those of the S40 and the D30 are embedded previews."""

WHITE = {"canon_d30_tree.CRW": 3800.0}
"""Level at which the sensor saturates, where LibRaw says more and nothing would count as clipped."""

SATURATED_SHARE = 0.02
"""Share of a reduced pixel's area from which saturated samples spoil it: half of one sample of the S40."""

DIM = (
    *("gopro_hero7/GOPR8508.GPR", "gopro_hero7/GOPR8514.GPR", "gopro_hero7/GOPR9231.GPR"),
    *("gopro_hero6/gopro_hero6_passage.GPR", "gopro_hero8/gopro_hero8_church.GPR"),
    *("gopro_fusion/GPBK7066.GPR", "gopro_fusion/GPFR7066.GPR"),
    *(f"canon_s40/CRW_{number}.CRW" for number in ("0101", "0105", "0113", "0117", "0118", "0119")),
)
"""RAWs that may be pushed."""

LONGEST = 3000
"""Longest side of a pushed photo in pixels: larger ones are halved."""

LADDER = ("psnr_e0", "psnr_e1", "psnr_e2", "psnr_e3", "stops_e3", "angle_e3", "slope", "nonlin")
OTHERS = ("shadow_highlight", "style_cross", "style_drop", "edit_psnr", "edit_delta_e", "h1_bias", "h3_bias")
HIGHLIGHTS = tuple(f"h{n}_{what}" for n in (1, 2, 3) for what in ("bias", "mae", "texture"))
RIVALS = ("upi", "default")
"""Methods that every later one is compared with."""

Figures = dict[str, float]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pairs", "pushed"))
    parser.add_argument("files", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, action="append", default=[], help="model folder to judge as well")
    parser.add_argument("--styles", type=int, default=8, help="gradings for the consistency of styles")
    parser.add_argument("--json", type=Path, help="keep all figures")
    arguments = parser.parse_args()
    files = arguments.files or Path(os.environ["REVISP_TEST_DATA"]) / "raw_samples"
    methods = {**BASELINES, "default": model_method(revisp.from_pretrained())}
    methods |= {folder.name: model_method(revisp.from_pretrained(folder)) for folder in arguments.model}
    pushed = arguments.what == "pushed"
    pairs = pushed_pairs(files) if pushed else real_pairs(files)
    found = judge(methods, pairs, styles=0 if pushed else arguments.styles)
    text = "\n\n".join(report(found, HIGHLIGHTS if pushed else (*LADDER, *OTHERS)))
    keep(arguments.json, text, {name: vars(judged) for name, judged in found.items()}, "rawpy")


def real_pairs(files: Path) -> Iterator[BlindPair]:
    """Register each camera JPEG to its RAW, and bring both to one grid."""
    for folder, source, photo in PAIRS:
        raw = read_raw(files / folder / source).upright()
        if source in WHITE:
            raw = replace(raw, profile=raw.profile.replace(white_level=WHITE[source]))
        srgb = read_srgb(files / folder / photo)
        found = align(srgb, Frame(raw).reference, window=raw.crop)
        camera = raw.profile.name
        yield (reduced_pair if found.is_reduced else full_pair)(Path(source).stem, camera, raw, srgb, found)


def full_pair(name: str, camera: str, raw: RawImage, srgb: torch.Tensor, found: Alignment) -> BlindPair:
    """Lay the photo on the RAW's grid, whose quads are binned."""
    raw_rgb = binned(raw)
    height, width = raw.mosaic.shape
    valid = bin_picture(found.valid(height, width))[0] > 0.9
    photo = found.warp(srgb, height, width)
    return BlindPair(name, camera, name, photo, raw_rgb, raw.profile, raw_rgb.amax(0) >= CLIPPED, valid)


def reduced_pair(name: str, camera: str, raw: RawImage, srgb: torch.Tensor, found: Alignment) -> BlindPair:
    """Average the binned RAW over the pixels of the photo, whose quads are binned then."""
    raw_rgb = binned(raw)
    saturated = (raw_rgb.amax(0, keepdim=True) >= CLIPPED).float()
    light, spoilt, valid = (
        bin_picture(found.reduced(x))
        for x in (doubled(raw_rgb), doubled(saturated), found.valid(*raw.mosaic.shape))
    )
    photo = found.cropped(srgb)
    return BlindPair(name, camera, name, photo, light, raw.profile, spoilt[0] > SATURATED_SHARE, valid[0] > 0.9)


def binned(raw: RawImage) -> torch.Tensor:
    """Return camera RGB of half size."""
    return bin_mosaic(torch.from_numpy(raw.normalised())[None], raw.profile.cfa)


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Repeat each pixel, to the size of the mosaic."""
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def pushed_pairs(files: Path) -> Iterator[BlindPair]:
    """Push what is there and dim enough."""
    for source in DIM:
        if (files / source).is_file():
            pair = pushed_pair(read_raw(files / source), Path(source).stem)
            if pair is not None:
                yield halved(pair) if max(pair.photo.shape) > LONGEST else pair


def halved(pair: BlindPair) -> BlindPair:
    """Return the pair at half its size, for time."""
    light = pair.reduced(max(pair.raw_rgb.shape) // 2)
    return replace(light, photo=bin_picture(pair.photo))


@dataclass
class Judged:
    """The figures of a method on all pairs, in their order."""

    names: list[str] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    rows: list[Figures] = field(default_factory=list)

    def add(self, pair: BlindPair, figures: Figures) -> None:
        """Add a pair's."""
        self.names.append(pair.name)
        self.cameras.append(pair.camera)
        self.rows.append(figures)

    def column(self, name: str) -> list[float]:
        """Return one figure of each pair; NaN where there is none."""
        return [row.get(name, math.nan) for row in self.rows]

    def mean(self, name: str) -> str:
        """Return the mean over cameras of a figure."""
        return cell(camera_mean(self.column(name), self.cameras))


def judge(methods: Mapping[str, Method], pairs: Iterable[BlindPair], *, styles: int) -> dict[str, Judged]:
    """Judge all methods on each pair."""
    found = {name: Judged() for name in methods}
    for pair in pairs:
        for name, method in methods.items():
            figures = score_methods({name: method}, pair, styles=styles)
            print(f"{pair.name} {name}: {figures['psnr_e3']:.2f} dB", flush=True)
            found[name].add(pair, figures)
    return found


def report(found: dict[str, Judged], columns: tuple[str, ...]) -> Iterator[str]:
    """Yield a table of each photo, one of the means, and the differences to the rivals."""
    first = next(iter(found.values()))
    rows = [
        (photo, method, *(cell(judged.column(column)[at]) for column in columns))
        for at, photo in enumerate(first.names)
        for method, judged in found.items()
    ]
    yield to_table(("photo", "method", *columns), rows)
    means = [(method, *(judged.mean(column) for column in columns)) for method, judged in found.items()]
    means.append(("oracle constant", *(first.mean(f"constant_{column}") for column in columns)))
    yield f"Means over the photos of a camera, then over {len(set(first.cameras))} cameras:"
    yield to_table(("method", *columns), means)
    order = list(found)
    for rival in RIVALS:
        for method in order[order.index(rival) + 1 :]:
            yield compare(found, method, rival, "psnr_e3" if "psnr_e3" in columns else "h3_bias")


def compare(found: dict[str, Judged], method: str, rival: str, column: str) -> str:
    """Say by how much a method differs from another one."""
    one, other = found[method], found[rival]
    difference = paired_difference(one.column(column), other.column(column), one.cameras, one.names)
    return (
        f"{column}, {method} less {rival}: {difference.mean:+.2f} (95 %: {difference.low:+.2f} to "
        f"{difference.high:+.2f}), above on {difference.above} of {difference.exposures} exposures"
    )


def cell(value: float) -> str:
    """Return a figure as text; a dash where a photo says nothing."""
    return "-" if math.isnan(value) else f"{value:.2f}"


if __name__ == "__main__":
    main()
