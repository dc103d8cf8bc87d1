"""The judge for unknown cameras: a blind inverse on photos of cameras that it has not learnt.

The protocol is in `revisp.metrics.blind` and the modules beside it: the ladder E0 to E3, linearity, highlights by
clipped channels, consistency over gradings, and six edits. Two baselines that cost nothing stand beside every
method: the inverse of the sRGB curve, and UPI's (arXiv 1811.11127), which undoes a smoothstep before it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from revisp.camera.grading import random_grading
from revisp.camera.isp import apply_gains, inverse_tone_curve, srgb_to_linear
from revisp.errors import DataError, ShapeError
from revisp.evaluation.blind_pairs import BlindPair, Split, blind_pictures, read_blind_pair
from revisp.evaluation.paired import Difference, camera_mean, paired_difference
from revisp.evaluation.prediction import fast_predictor
from revisp.evaluation.scores import Evaluation, ImageScores
from revisp.metrics.blind import BlindTruth, bin_picture, green_stops, in_units_of_truth, ladder
from revisp.metrics.edits import edit_errors
from revisp.metrics.highlights import HighlightErrors, highlight_errors, oracle_constant
from revisp.metrics.linearity import linearity
from revisp.metrics.styles import style_consistency
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.data.base import DataModule
    from revisp.pipeline import ReverseISP

__all__ = ["BASELINES", "HEADLINE", "BlindEvaluation", "Method", "model_method", "score_blind", "score_methods"]

Method = Callable[[Tensor], Tensor]
"""A photo ``[3, H, W]``, sRGB in [0, 1], to linear RGB of the same size, in any unit and with any primaries."""

BASELINES: Mapping[str, Method] = {
    "srgb": srgb_to_linear,
    "upi": lambda photo: srgb_to_linear(inverse_tone_curve(photo, 1.0)),
}
"""The fixed baselines by name."""

HEADLINE = "psnr_e3"
"""The figure that does not depend on the colour space in which a method answers."""

COMPARED_FIGURES = (HEADLINE, "nonlin", "edit_psnr")
"""Figures whose differences to the baselines are given."""

MEANS_NOTE = "Means over the pictures of a camera, then over cameras."

STYLE_SIDE = 1024
"""Longest side in pixels of the photos that are graded."""

WHITE_QUANTILE = 0.999
"""Quantile of the light that a grading develops to display white."""


@dataclass(frozen=True)
class BlindEvaluation(Evaluation):
    """The figures of one method and of the baselines, whose names begin with theirs.

    Attributes:
        methods: names of the methods; figures of the first have no prefix.

    Example:
        >>> images = [
        ...     ImageScores(name, {"psnr_e3": psnr}, {"camera": camera, "exposure": name})
        ...     for name, psnr, camera in (("room", 30.0, "A"), ("street", 34.0, "A"), ("lamp", 40.0, "B"))
        ... ]
        >>> found = BlindEvaluation(tuple(images), methods=("model",))
        >>> found.mean  # over the pictures of a camera, then over cameras
        {'psnr_e3': 36.0}
    """

    methods: tuple[str, ...] = ()

    @property
    def cameras(self) -> list[str]:
        """The camera of each picture."""
        return [image.labels["camera"] for image in self.images]

    @property
    def exposures(self) -> list[str]:
        """The exposure of each picture: pictures of one are renderings of one RAW."""
        return [image.labels["exposure"] for image in self.images]

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each figure over the pictures of a camera, then over cameras; NaN where none has it."""
        return {name: camera_mean(self.figure(name), self.cameras) for name in self.names}

    @property
    def summary(self) -> dict[str, float | int | str | None]:
        """The means, the number of cameras, and the differences to the baselines with their 95 % intervals."""
        values = {**super().summary, "cameras": len(set(self.cameras))}
        for baseline in self.methods[1:]:
            for name in COMPARED_FIGURES:
                found = self.difference(name, baseline)
                for end, value in (("", found.mean), ("_low", found.low), ("_high", found.high)):
                    values[f"{name}_over_{baseline}{end}"] = None if math.isnan(value) else value
        return values

    def figure(self, name: str) -> list[float]:
        """Return a figure of each picture; NaN where it has none."""
        return [image.scores.get(name, math.nan) for image in self.images]

    def of_camera(self, camera: str) -> BlindEvaluation:
        """Return the figures of a camera's pictures."""
        return replace(self, images=tuple(image for image in self.images if image.labels["camera"] == camera))

    def difference(self, name: str, baseline: str) -> Difference:
        """Return by how much a figure of the first method differs from that of a baseline."""
        return paired_difference(
            self.figure(name), self.figure(f"{baseline}_{name}"), self.cameras, self.exposures
        )


def score_blind(
    method: Method,
    data: DataModule,
    *,
    name: str = "model",
    split: Split = "val",
    styles: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> BlindEvaluation:
    """Judge a method and the baselines on the pictures of a data set whose cameras it has not learnt.

    Args:
        method: what is judged (`model_method` makes one of a model).
        data: a module of `revisp.data.create_data` with whole pictures.
        name: what to call the method; that of a baseline leaves out this baseline.
        split: the pictures that were set apart, or all.
        styles: gradings of each picture for the consistency of styles; 0 leaves it out.
        progress: called with (pictures done, all pictures).

    Raises:
        ConfigError: data that have no whole pictures.
        DataError: the data set cannot be read, or none of its pictures can be judged by.

    Example:
        >>> import tempfile
        >>> from revisp.data import create_data
        >>> from revisp.io import write_png
        >>> from revisp.prepare import PrepareOptions, prepare
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("room", "street"):
        ...         write_png(f"{folder}/{name}.png", torch.rand(3, 64, 96))
        ...     _ = prepare([folder], f"{folder}/phone", PrepareOptions(demosaic="bilinear", workers=1))
        ...     data = create_data("prepared", root=f"{folder}/phone")
        ...     found = score_blind(BASELINES["srgb"], data, name="srgb", split="all", styles=0)
        >>> found.methods, sorted(image.name for image in found.images)
        (('srgb', 'upi'), ['room', 'street'])
    """
    pictures = blind_pictures(data, split)
    methods = {name: method, **{other: BASELINES[other] for other in BASELINES if other != name}}
    images = []
    for done, picture in enumerate(pictures, start=1):
        try:
            pair = read_blind_pair(picture, data.profile)
            scores = score_methods(methods, pair, styles=styles)
            images.append(ImageScores(pair.name, scores, {"camera": pair.camera, "exposure": pair.exposure}))
        except (DataError, ShapeError) as error:
            warnings.warn(f"{picture.name} is left out: {error}", stacklevel=2)
        if progress is not None:
            progress(done, len(pictures))
    if not images:
        raise DataError(f"of {counted(len(pictures), 'picture')} none can be judged by")
    return BlindEvaluation(tuple(images), (MEANS_NOTE,), tuple(methods))


def model_method(model: ReverseISP, *, tile: int | None = None) -> Method:
    """Make a method of a pipeline: its demosaiced RAW, balanced as its profile says.

    Args:
        model: the pipeline; runs on the device it is on.
        tile: as for `revisp.evaluation.prediction.fast_predictor`.

    Example:
        >>> from revisp.pipeline import ReverseISP
        >>> method = model_method(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}))
        >>> method(torch.rand(3, 32, 48)).shape
        torch.Size([3, 32, 48])
    """
    gains = (1.0, 1.0, 1.0) if model.profile is None else model.profile.gains
    run = fast_predictor(model, tile=tile)
    return lambda photo: apply_gains(run(photo).raw_rgb, gains)


def score_methods(methods: Mapping[str, Method], pair: BlindPair, *, styles: int = 8) -> dict[str, float]:
    """Judge methods on one pair.

    Args:
        methods: by name; the figures of all but the first begin with their method's name.
        pair: the photo and its light.
        styles: gradings for the consistency of styles; 0 leaves it out.

    Returns:
        Figures by name (docs/how-to/blind.md explains each); NaN where a picture says nothing.

    Raises:
        ShapeError: the pair cannot be judged by, or a method answers with another size, black or NaN.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> photo = torch.rand(3, 128, 192, generator=torch.Generator().manual_seed(0))
        >>> none = torch.zeros(64, 96, dtype=torch.bool)
        >>> light = bin_picture(srgb_to_linear(photo)) / 4
        >>> pair = BlindPair("room", "A", "room", photo, light, SIMULATED.profile, none, ~none)
        >>> scores = score_methods(BASELINES, pair, styles=0)
        >>> scores["psnr_e3"] > scores["upi_psnr_e3"]  # no tone curve but that of sRGB
        True
    """
    truth = pair.truth()
    graded = _graded(pair, styles) if styles else []
    figures: dict[str, float] = {}
    for name, method in methods.items():
        prefix = f"{name}_" if figures else ""
        prediction = in_units_of_truth(bin_picture(method(pair.photo)), truth)
        found = _figures(prediction, truth, pair) | _consistency(method, graded)
        figures |= {f"{prefix}{key}": value for key, value in found.items()}
    constant = {f"constant_{key}": value for key, value in _highlights(oracle_constant(truth)).items()}
    shares = {f"h{n}_share": (truth.clipped == n).double().mean().item() for n in (1, 2, 3)}
    return figures | constant | shares


def _figures(prediction: Tensor, truth: BlindTruth, pair: BlindPair) -> dict[str, float]:
    levels, matched = ladder(prediction, truth)
    straight = linearity(*(green_stops(x[:, truth.usable]) for x in (matched, truth.light)))
    edits = edit_errors(matched, truth.light, truth.usable, pair.profile.camera_to_srgb)
    return {
        **{f"psnr_{name}": level.psnr for name, level in levels.items()},
        **{f"stops_{name}": levels[name].stops for name in ("e1", "e3")},
        **{f"angle_{name}": levels[name].angle for name in ("e1", "e3")},
        "slope": straight.slope,
        "nonlin": straight.departure,
        "shadow_highlight": straight.shadow_highlight,
        "edit_psnr": math.fsum(edit.psnr for edit in edits.values()) / len(edits),
        "edit_delta_e": math.fsum(edit.delta_e for edit in edits.values()) / len(edits),
        **{f"edit_psnr_{name}": edit.psnr for name, edit in edits.items()},
        **{f"edit_delta_e_{name}": edit.delta_e for name, edit in edits.items()},
        **_highlights(highlight_errors(prediction, truth)),
    }


def _highlights(errors: Mapping[int, HighlightErrors]) -> dict[str, float]:
    names = ("bias", "mae", "texture", "near", "rank")
    return {f"h{n}_{name}": getattr(found, name) for n, found in errors.items() for name in names}


def _consistency(method: Method, graded: Sequence[tuple[Tensor, BlindTruth]]) -> dict[str, float]:
    if not graded:
        return {}
    truths = [truth for _, truth in graded]
    found = style_consistency([in_units_of_truth(method(photo), truth) for photo, truth in graded], truths)
    return {"style_cross": found.cross, "style_drop": found.drop}


def _graded(pair: BlindPair, styles: int) -> list[tuple[Tensor, BlindTruth]]:
    """Develop the binned RAW in gradings, the same for every picture: photos of 8 bits, and their truths."""
    pair = pair.reduced(STYLE_SIDE)
    light = apply_gains(pair.raw_rgb, pair.profile.gains)
    light = light / torch.quantile(light.amax(0), WHITE_QUANTILE).clamp_min(torch.finfo(light.dtype).tiny)
    generator = torch.Generator().manual_seed(0)
    graded = []
    for _ in range(styles):
        photo = random_grading(generator).develop(light, pair.profile.camera_to_srgb)
        photo = (photo * 255).round() / 255
        graded.append((photo, pair.truth_of(photo)))
    return graded
