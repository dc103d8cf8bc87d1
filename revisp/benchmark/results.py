"""The results of a cell on disk: ``cell.json`` and its worst pictures, next to the model folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from revisp.evaluation.report.page import ReportImage
from revisp.mask import overexposure_mask
from revisp.metrics import BinErrors

__all__ = ["RESULT_FILE", "CellResult", "read_result", "read_worst", "write_result", "write_worst"]

RESULT_FILE, PICTURES_FILE = "cell.json", "worst.safetensors"


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

    method: str
    dataset: str
    seed: int
    words: Sequence[str]
    figures: Mapping[str, float]
    cost: Mapping[str, float]
    steps: int
    images: int
    brightness: Mapping[str, list[Any]]
    worst: Sequence[tuple[str, Mapping[str, float]]]
    camera: Mapping[str, Any]
    versions: Mapping[str, str]
    folder: Path | None = None

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

    Example:
        >>> read_result(Path("cells", "never_run")) is None
        True
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        return None
    return replace(CellResult(**_with_nan(json.loads(path.read_text()))), folder=folder)


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


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
