"""Run one cell of a benchmark: train a model, score it, keep the results."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shutil
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from revisp.benchmark.cost import measure_cost
from revisp.benchmark.plan import Cell
from revisp.benchmark.results import CellResult, read_result, write_result, write_worst
from revisp.config import compose
from revisp.data.datamodule import PairDataModule
from revisp.data.memory import MemorySource
from revisp.errors import RevispError
from revisp.evaluation.score_model import ModelEvaluation, score_model
from revisp.evaluation.write_scores import write_scores
from revisp.io.atomic import write_text
from revisp.model_folder import save_pretrained
from revisp.training.build import Training, build_data, build_training
from revisp.training.run import fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from revisp.data.base import DataModule
    from revisp.pipeline import ReverseISP

__all__ = ["ERROR_ENDING", "run_cell"]

ERROR_ENDING = "error.txt"
"""Ending of the file with the reason of a failure: ``CELL.error.txt``, next to the folders of the cells."""

TOLD_PACKAGES = ("revisp", "torch", "pytorch-lightning", "numpy")

_KEPT_DATA: dict[str, PairDataModule] = {}
"""The data of the previous cell: making the pictures takes as long as a training."""


def run_cell(
    cell: Cell, root: str | Path, *, keep: int = 0, say: Callable[[str], None] = lambda line: None
) -> CellResult | None:
    """Train and score a cell, or read its results if any process has done it before.

    The folder of the cell appears when the cell is done. It holds the figures, the model folder, ``scores.json``
    and ``scores.csv``. If the cell fails, the reason is written next to the folder, and the next call tries again.

    Args:
        cell: the cell.
        root: folder of the benchmark.
        keep: number of pictures to keep for the report, the worst by PSNR.
        say: called with a line on the outcome.

    Returns:
        The results; None if the cell failed.

    Example:
        The second line is not run here, since it trains.

        >>> cell = Cell("unet", "embedded", 0, ("backbone=unet", "data=embedded", "+trainer.max_steps=64"))
        >>> run_cell(cell, "runs/benchmark", say=print)  # doctest: +SKIP
    """
    folder = cell.folder(root)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if (done := read_result(folder)) is not None:
            return done
        error = folder.with_name(f"{folder.name}.{ERROR_ENDING}")
        error.unlink(missing_ok=True)
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            result = _work(cell, part, keep)
            part.rename(folder)
        except RevispError as problem:
            reason = str(problem)
        except Exception:  # the other cells continue
            reason = traceback.format_exc()
        else:
            figures = f"PSNR {result.figures['psnr']:.2f} dB, OE {result.figures['psnr_oe']:.2f} dB"
            say(f"{cell.title}: {figures}, trained in {result.cost['training']:.0f} s")
            return result
        write_text(error, reason + "\n")
        shutil.rmtree(part, ignore_errors=True)
        say(f"{cell.title}: failed: {reason.strip().splitlines()[-1]}")
        return None


def _work(cell: Cell, folder: Path, keep: int) -> CellResult:
    cfg = compose([*cell.words, f"hydra.run.dir={folder}"])
    folder.mkdir(parents=True)
    logging.getLogger("revisp.training").setLevel(logging.WARNING)
    data = _data(cfg)
    data.setup("fit")  # before the seed is set: results must not depend on whether pictures had to be made
    training = build_training(cfg, data)
    started = time.monotonic()
    fit(training)
    seconds = time.monotonic() - started
    model = training.task.model.to(training.trainer.strategy.root_device).eval()
    scores = score_model(model, data, keep=keep)
    _keep_model(model, folder, scores, cell)
    write_scores(scores, folder)
    write_worst(scores.worst, folder)
    result = _result(cell, training, scores, seconds)
    write_result(result, folder)
    return result


def _result(cell: Cell, training: Training, scores: ModelEvaluation, seconds: float) -> CellResult:
    sample = training.data.validation_samples(1)[0]
    cost = measure_cost(training.task.model, sample.srgb)
    assert scores.brightness is not None
    return CellResult(
        method=cell.method,
        dataset=cell.dataset,
        seed=cell.seed,
        words=cell.words,
        figures=dict(scores.mean),
        cost={**cost._asdict(), "training": seconds},
        steps=training.trainer.global_step,
        images=len(scores.images),
        brightness={name: x.tolist() for name, x in scores.brightness._asdict().items()},
        worst=tuple((image.name, dict(image.scores)) for image in scores.worst),
        camera=training.data.profile.to_dict(),
        versions={name: importlib.metadata.version(name) for name in TOLD_PACKAGES},
    )


def _data(cfg: Any) -> DataModule:
    """Return the data of a configuration; reuse the pictures of the previous cell if they are the same."""
    key = json.dumps([str(cfg.data), str(cfg.demosaic)])
    if key in _KEPT_DATA:
        _KEPT_DATA[key].seed = cfg.seed
        return _KEPT_DATA[key]
    data = build_data(cfg)
    if isinstance(data, PairDataModule) and isinstance(data.source, MemorySource):
        _KEPT_DATA.clear()
        _KEPT_DATA[key] = data
    return data


def _keep_model(model: ReverseISP, folder: Path, scores: ModelEvaluation, cell: Cell) -> None:
    words = " ".join(cell.words)
    save_pretrained(
        model, folder / "model", card=f"Trained with `revisp-train {words}`.", metrics=dict(scores.mean)
    )
