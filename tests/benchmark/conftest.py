"""Settings of a benchmark, and results of cells that were never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from revisp.benchmark.plan import Cell
from revisp.benchmark.results import CellResult, write_result, write_worst
from revisp.camera.simulate import SIMULATED
from revisp.config import as_dict, compose
from revisp.evaluation.report.page import ReportImage


@pytest.fixture
def settings() -> Callable[..., dict[str, Any]]:
    """Return the settings of a command line."""

    def call(*words: str) -> dict[str, Any]:
        return as_dict(compose(words, "benchmark"))

    return call


@pytest.fixture
def finish() -> Callable[..., None]:
    """Leave what a cell would leave."""

    def call(cell: Cell, root: Path, psnr: float, oe: float, *, parameters: int = 100, pictures: int = 0) -> None:
        folder = cell.folder(root)
        folder.mkdir(parents=True)
        generator = torch.Generator().manual_seed(0)
        images = [
            ReportImage(
                f"photo {n}",
                *(torch.rand(c, 16, 24, generator=generator) for c in (3, 1, 1, 1)),
                {"psnr": 9.0 + n},
            )
            for n in range(pictures)
        ]
        write_worst(images, folder)
        bins = {
            "edges": [0.0, 0.5, 1.0],
            "weight": [[1.0, 1.0]] * 5,
            "bias": [[0.0, 0.1]] * 5,
            "rmse": [[0.1, 0.2]] * 5,
        }
        write_result(
            CellResult(
                method=cell.method,
                dataset=cell.dataset,
                seed=cell.seed,
                words=cell.words,
                figures={"psnr": psnr, "psnr_oe": oe, "psnr_noe": psnr + 1, "ssim": 0.5},
                cost={"parameters": parameters, "gmac": 2.5, "seconds": 0.25, "training": 12.0},
                steps=7,
                images=3,
                brightness={"edges": [0.0, 0.5, 1.0], **bins},
                worst=[(image.name, image.scores) for image in images],
                camera=SIMULATED.profile.to_dict(),
                versions={"revisp": "0"},
            ),
            folder,
        )

    return call
