"""The results of a cell on disk: ``cell.json`` and its worst pictures, next to the model folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from safetensors.torch import load_file, save_file

from revisp.errors import DataError
from revisp.evaluation.report.page import ReportImage
from revisp.io.boundary import decoding
from revisp.mask import overexposure_mask
from revisp.metrics import BinErrors
from revisp.schema import Figure, Json, Text, Whole, build, check_fields, parse_file

__all__ = ["RESULT_FILE", "CellResult", "read_result", "read_worst", "write_result", "write_worst"]

RESULT_FILE, PICTURES_FILE = "cell.json", "worst.safetensors"


COSTS = ("parameters", "gmac", "seconds", "training")
"""Figures that `CellResult.cost` has."""


def _all_costs(cost: Mapping[str, float]) -> Mapping[str, float]:
    if missing := [name for name in COSTS if name not in cost]:
        raise ValueError(f"must have {missing[0]}")
    return cost


Figures = Annotated[Mapping[Text, Figure], Field(max_length=10_000)]


@dataclass(frozen=True)
class CellResult:
    """The figures of a cell.

    Attributes:
        method: name of the method.
        dataset: name of the data set.
        seed: seed of the training.
        words: command-line words of ``revisp-train`` that define the training.
        figures: mean figures by name, as in `revisp.evaluation.scores.Evaluation.mean`; NaN for a missing figure.
        cost: ``parameters``, ``gmac``, ``seconds`` (`revisp.benchmark.cost.Cost`) and ``training``, in seconds.
        steps: number of optimizer steps.
        images: number of scored pictures.
        brightness: errors by brightness, as the lists of `revisp.metrics.BinErrors`.
        worst: names and figures of the pictures in `PICTURES_FILE`.
        camera: profile of the camera of the data.
        versions: versions of programs by name.
        folder: folder that the results were read from.

    Example:
        >>> costs = {"parameters": 1000, "gmac": 2.5, "seconds": 0.25, "training": 60.0}
        >>> result = CellResult("unet", "embedded", 0, (), {"psnr": 31.5}, costs, 256, 8, {}, [], {}, {})
        >>> result.figures["psnr"], result.cost["training"]
        (31.5, 60.0)
    """

    method: Text
    dataset: Text
    seed: Annotated[int, Field(strict=True)]
    words: Annotated[tuple[Text, ...], Field(max_length=10_000)]
    figures: Figures
    cost: Annotated[Figures, AfterValidator(_all_costs)]
    steps: Whole
    images: Whole
    brightness: Mapping[Text, list[Figure] | list[list[Figure]]]
    worst: Annotated[tuple[tuple[Text, Figures], ...], Field(max_length=10_000)]
    camera: Mapping[Text, Json]
    versions: Mapping[Text, Text]
    folder: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self, "", DataError)

    @property
    def bins(self) -> BinErrors:
        """The errors by brightness."""
        return BinErrors(**{name: torch.tensor(x, dtype=torch.float64) for name, x in self.brightness.items()})


def write_result(result: CellResult, folder: Path) -> None:
    """Write the figures of a cell. A figure that could not be computed is written as null."""
    values = _without_nan(asdict(result))
    del values["folder"]
    (folder / RESULT_FILE).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")


def read_result(folder: Path) -> CellResult | None:
    """Return the results of a cell; None if it is not done.

    Raises:
        DataError: the file is damaged.

    Example:
        >>> read_result(Path("cells", "never_run")) is None
        True
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        return None
    with decoding(path, "damaged: remove its folder to run the cell anew", DataError):
        values = parse_file(path)
        if isinstance(values, dict) and "folder" in values:
            raise ValueError("names a folder")
        result = replace(build(CellResult, values, str(path), DataError), folder=folder)
        _ = result.bins if result.brightness else None  # refuses rows of different lengths
        return result


def write_worst(images: Sequence[ReportImage], folder: Path) -> None:
    """Write pictures: photos with 8 bits, RAW as 16-bit floats."""
    tensors = {}
    for number, image in enumerate(images):
        tensors[f"{number}.srgb"] = (image.srgb * 255).round().byte().cpu().contiguous()
        for name in ("prediction", "truth"):
            tensors[f"{number}.{name}"] = getattr(image, name).half().cpu().contiguous()
    save_file(tensors, folder / PICTURES_FILE)


def read_worst(result: CellResult) -> list[ReportImage]:
    """Return the pictures that a cell kept; ``result`` must have been read from a folder."""
    if not result.worst or result.folder is None:
        return []
    kept, images = load_file(result.folder / PICTURES_FILE), []
    for number, (name, scores) in enumerate(result.worst):
        srgb, prediction, truth = (kept[f"{number}.{part}"].float() for part in ("srgb", "prediction", "truth"))
        srgb = srgb / 255
        images.append(ReportImage(name, srgb, overexposure_mask(srgb[None])[0], prediction, truth, scores))
    return images


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
