"""Score a model on a data set."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from revisp.cfa import CFA, pack
from revisp.data.conditions import Conditions
from revisp.data.picture import Sample
from revisp.errors import ConfigError
from revisp.evaluation.frame_errors import FrameErrors, FrameErrorSums
from revisp.evaluation.groups import Group, group_images, labels_of
from revisp.evaluation.measures import DEFAULT_METRICS, choose_measures, notes_of
from revisp.evaluation.prediction import Predictor, fast_predictor
from revisp.evaluation.report.page import ReportImage
from revisp.evaluation.scores import Evaluation, Figures, ImageScores, score_pair
from revisp.mask import overexposure_mask
from revisp.metrics import BinErrors, BrightnessErrors

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.profile import CameraProfile
    from revisp.data.base import DataModule
    from revisp.pipeline import ReverseISP

__all__ = ["ModelEvaluation", "score_model", "score_sample"]


@dataclass(frozen=True)
class ModelEvaluation(Evaluation):
    """The figures of a model, and the data for its report.

    Attributes:
        profile: camera of the data.
        brightness: errors by brightness of the true RAW.
        worst: the pictures of lowest PSNR, the worst first.
        parameters: number of parameters of the model.
        frame: errors by place in the frame; None if the data do not know the places.

    Example:
        >>> found = ModelEvaluation((ImageScores("street", {"psnr": 31.5}),), parameters=1000)
        >>> found.mean, found.parameters
        ({'psnr': 31.5}, 1000)
    """

    profile: CameraProfile | None = None
    brightness: BinErrors | None = None
    worst: tuple[ReportImage, ...] = ()
    parameters: int = 0
    frame: FrameErrors | None = None

    @property
    def groups(self) -> list[Group]:
        """Means over pictures that were taken under like conditions, where the data know them."""
        return group_images(self.images)

    @property
    def summary(self) -> dict[str, float | int | str | None]:
        """As of any evaluation, with the figures of groups (``psnr/iso_200_to_400``) and of parts of the frame."""
        more = {f"{name}/{group.name}": value for group in self.groups for name, value in group.mean.items()}
        more |= {} if self.frame is None else self.frame.figures
        return super().summary | {name: value if math.isfinite(value) else None for name, value in more.items()}


def score_model(
    model: ReverseISP,
    data: DataModule,
    *,
    tile: int | None = None,
    keep: int = 0,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    progress: Callable[[int, int], None] | None = None,
) -> ModelEvaluation:
    """Score a model on all validation pictures of a data set, as the test at the end of a training does.

    If the data set cuts its pictures into tiles (``data.val_tile``), each tile counts as an image, as in the
    challenges, and its name gets a number.

    Args:
        model: the pipeline; it runs on its own device.
        data: a data module, as `revisp.data.create_data` returns it.
        tile: as for `revisp.evaluation.prediction.fast_predictor`.
        keep: number of pictures to keep for a report: the worst by PSNR, or the first if ``metrics`` has no PSNR.
        metrics: names of `revisp.evaluation.measures.METRICS`.
        progress: called with (pictures done, all pictures).

    Raises:
        ConfigError: model and data have different Bayer phases, or a metric is unknown.
        WeightsError: LPIPS is asked for, and its trunk is missing.
        DataError: the data set cannot be read.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from revisp import ReverseISP
        >>> from revisp.data import create_data
        >>> from revisp.io import write_png
        >>> from revisp.prepare import PrepareOptions, prepare
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("room", "street"):
        ...         write_png(f"{folder}/{name}.png", torch.rand(3, 64, 96))
        ...     options = PrepareOptions(demosaic="bilinear", val=("street",), workers=1)
        ...     _ = prepare([folder], f"{folder}/phone", options)
        ...     data = create_data("prepared", root=f"{folder}/phone")
        ...     model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=data.profile)
        ...     found = score_model(model, data)
        >>> found.images[0].name, found.parameters
        ('street', 3990)
    """
    cfa = model.cfa
    if data.profile.cfa is not cfa:
        raise ConfigError(f"the model predicts {cfa}, but the data are {data.profile.cfa}")
    if model.profile is not None and model.profile.name != data.profile.name:
        warnings.warn(
            f"the model is made for {model.profile.name}, the data are of {data.profile.name}; "
            "--blind scores what can be known of an unknown camera",
            stacklevel=2,
        )
    measures = choose_measures(metrics, data.profile)
    data.setup("test")
    loader = data.test_dataloader()
    run, figures = fast_predictor(model, tile=tile), [measure.figures for measure in measures]
    total = len(loader)
    found: list[tuple[str, dict[str, float]]] = []
    brightness, frame = BrightnessErrors(cfa=cfa), FrameErrorSums()
    worst: list[tuple[int, ReportImage]] = []
    for index, batch in enumerate(loader):
        sample = Sample(*(each[0] for each in batch))
        bayer, scores = score_sample(run, sample, cfa=cfa, figures=figures)
        found.append((sample.name, scores))
        brightness.update(bayer[None], batch.bayer, batch.valid)
        if sample.place.numel():
            frame.update(bayer, sample.bayer, sample.valid, sample.place)
        if keep:
            mask = overexposure_mask(sample.srgb)
            image = ReportImage(sample.name, sample.srgb, mask, bayer, sample.bayer, scores)
            worst = sorted([*worst, (index, image)], key=_psnr)[:keep]
        if progress is not None:
            progress(len(found), total)
    images = _numbered(found, data.conditions)
    return ModelEvaluation(
        tuple(images),
        notes_of(measures),
        profile=data.profile,
        brightness=brightness.compute(),
        worst=tuple(dataclasses.replace(image, name=images[index].name) for index, image in worst),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        frame=frame.compute(),
    )


def score_sample(
    run: Predictor, sample: Sample, *, cfa: CFA, figures: Sequence[Figures] = ()
) -> tuple[Tensor, dict[str, float]]:
    """Predict one picture of a data set and score it.

    Args:
        run: what predicts the picture.
        sample: the picture, without batch axis.
        cfa: phase of what it predicts.
        figures: as for `revisp.evaluation.scores.score_pair`.

    Returns:
        The mosaic ``[1, H, W]`` in [0, 1], and the figures by name.
    """
    place = sample.place if sample.place.numel() else None
    bayer = run(sample.srgb, place=place).bayer.clamp(0, 1)
    planes, truth = (pack(x, cfa) for x in (bayer, sample.bayer))
    scores = score_pair(planes, truth, sample.srgb, cfa=cfa, valid=sample.valid, figures=figures)
    return bayer, scores


def _psnr(entry: tuple[int, ReportImage]) -> float:
    value = entry[1].scores.get("psnr", math.nan)
    return math.inf if math.isnan(value) else value


def _numbered(
    found: list[tuple[str, dict[str, float]]], conditions: Mapping[str, Conditions]
) -> list[ImageScores]:
    """Add a number to the name of each tile if its picture has several tiles, and what is known of the picture."""
    tiles = Counter(name for name, _ in found)
    seen: Counter[str] = Counter()
    images = []
    for name, scores in found:
        labels = labels_of(conditions.get(name, Conditions()))
        images.append(ImageScores(f"{name}_{seen[name]}" if tiles[name] > 1 else name, scores, labels))
        seen[name] += 1
    return images
