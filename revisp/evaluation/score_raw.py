"""Score a RAW file against another, such as a predicted DNG against that of the camera."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from revisp.cfa import pack
from revisp.errors import DataError
from revisp.evaluation.measures import DEFAULT_METRICS, choose_measures, notes_of
from revisp.evaluation.scores import Evaluation, ImageScores, score_pair
from revisp.io.dng.provenance import read_provenance
from revisp.io.photo import read_srgb
from revisp.io.raw.rawimage import RawImage
from revisp.io.raw.read import read_raw

__all__ = ["score_raw_files"]


def score_raw_files(
    prediction: str | Path,
    truth: str | Path,
    photo: str | Path | None = None,
    *,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
) -> Evaluation:
    """Score a RAW file against another. Each is turned upright and normalised by its own black and white level.

    Values are clipped to [0, 1]: samples above white count as white, samples below black as black. A predicted DNG
    may have been brightened before it was stored (`revisp.io.dng.Provenance.gain`); that is undone.

    Args:
        prediction: a DNG, or any RAW that `revisp.io.read_raw` reads.
        truth: a RAW file of the same size and Bayer phase.
        photo: the photo, of the size of the mosaic, for figures by region; None: no figures by region.
        metrics: names of `revisp.evaluation.measures.METRICS`; the camera is that of the true file.

    Raises:
        ImageError: a file cannot be read.
        DataError: sizes or phases differ, or the photo has another size.
        ConfigError: a metric is unknown.
        WeightsError: LPIPS is asked for, and its trunk is missing.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import write_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, level in (("predicted", 0.6), ("true", 0.5)):
        ...         write_dng(f"{folder}/{name}.dng", torch.full((1, 32, 48), level), SIMULATED.profile)
        ...     found = score_raw_files(f"{folder}/predicted.dng", f"{folder}/true.dng")
        >>> found.images[0].name, round(found.mean["psnr"])
        ('predicted', 20)
    """
    given, true = (read_raw(path).upright() for path in (prediction, truth))
    if given.mosaic.shape != true.mosaic.shape or given.profile.cfa is not true.profile.cfa:
        raise DataError(
            f"{prediction} is {_describe(given)}, but {truth} is {_describe(true)}: they do not compare"
        )
    height, width = (size // 2 * 2 for size in true.mosaic.shape)
    if (height, width) != true.mosaic.shape:
        warnings.warn(f"{truth}: its last odd row or column is not scored", stacklevel=2)
    srgb = None
    if photo is not None:
        srgb = read_srgb(photo)
        if srgb.shape[-2:] != true.mosaic.shape:
            rows, columns = srgb.shape[-2:]
            raise DataError(f"{photo} is {rows}x{columns}, but {truth} is {_describe(true)}")
        srgb = srgb[:, :height, :width]
    note = read_provenance(prediction)
    predicted = _planes(given, height, width) * 2.0 ** -(note.gain if note else 0.0)
    planes = predicted, _planes(true, height, width)
    measures = choose_measures(metrics, true.profile)
    figures = [measure.figures for measure in measures]
    scores = score_pair(planes[0], planes[1], srgb, cfa=true.profile.cfa, figures=figures)
    return Evaluation((ImageScores(Path(prediction).stem, scores),), notes_of(measures))


def _planes(raw: RawImage, height: int, width: int) -> Tensor:
    mosaic = torch.from_numpy(raw.normalised()[None, :height, :width]).clamp(0, 1)
    return pack(mosaic, raw.profile.cfa)


def _describe(raw: RawImage) -> str:
    return f"{raw.mosaic.shape[0]}x{raw.mosaic.shape[1]} {raw.profile.cfa}"
