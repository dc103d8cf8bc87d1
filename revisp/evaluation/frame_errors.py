"""Errors of RAW by the place in the frame, so that shading and blur of the corners show."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from revisp.io.atomic import write_text

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FRAME_FILE", "FrameErrorSums", "FrameErrors", "write_frame_errors"]

ROWS, COLUMNS = 9, 12
"""Cells of the frame."""

FRAME_FILE = "frame.csv"
"""Name of the file with a row for each cell of the frame."""

CORNER_RADIUS, MIDDLE_RADIUS = 0.8, 0.4
"""Distance from the middle, 1 in the corners, from which a cell is in the corners, and to which in the middle."""


class FrameErrors(NamedTuple):
    """Errors by place in the frame, over all planes; float64 ``[rows, columns]``, NaN where nothing was scored.

    Attributes:
        samples: number of samples.
        rmse: root of the mean squared error, white 1.
        bias_ev: by how many EV the mean of the prediction is above that of the truth.

    Example:
        >>> from revisp.camera.place import place_map
        >>> sums = FrameErrorSums()
        >>> truth = torch.full((1, 18, 24), 0.25)
        >>> sums.update(2 * truth, truth, torch.ones_like(truth), place_map(18, 24))
        >>> found = sums.compute()
        >>> found.rmse.shape, float(found.bias_ev[0, 0])
        (torch.Size([9, 12]), 1.0)
    """

    samples: Tensor
    rmse: Tensor
    bias_ev: Tensor

    @property
    def figures(self) -> dict[str, float]:
        """The errors of the middle and of the corners, by name."""
        rows, columns = self.samples.shape
        y = (torch.arange(rows) + 0.5)[:, None] * 2 / rows - 1
        x = (torch.arange(columns) + 0.5)[None, :] * 2 / columns - 1
        radius = ((x.square() + y.square()) / 2).sqrt()  # as if the frame were square: corners of any format are 1
        parts = {"middle": radius <= MIDDLE_RADIUS, "corners": radius >= CORNER_RADIUS}
        found = {}
        for name, cells in parts.items():
            for figure, values in (("rmse", self.rmse.square()), ("bias_ev", self.bias_ev)):
                weight = torch.where(cells & ~values.isnan(), self.samples, 0)
                mean = (torch.nan_to_num(values) * weight).sum() / weight.sum()
                found[f"{figure}/{name}"] = float(mean.sqrt() if figure == "rmse" else mean)
        return found


class FrameErrorSums:
    """Sums over pictures of the errors in each cell of the frame."""

    def __init__(self) -> None:
        self._sums = torch.zeros(4, ROWS * COLUMNS, dtype=torch.float64)

    def update(self, prediction: Tensor, truth: Tensor, valid: Tensor, place: Tensor) -> None:
        """Add a picture.

        Args:
            prediction: mosaic ``[1, H, W]``, white 1.
            truth: the true mosaic.
            valid: 0 for a pixel that does not count.
            place: coordinates of the pixels in their photo, ``[3, H, W]`` (`revisp.camera.place.place_map`).
        """
        column, row = (
            ((place[axis] + 1) / 2 * count).long().clamp(0, count - 1) for axis, count in ((0, COLUMNS), (1, ROWS))
        )
        cell = (row * COLUMNS + column).flatten()
        cell = cell.to(self._sums.device)
        predicted, true, counts = (x[0].to(self._sums).flatten() for x in (prediction, truth, valid))
        quantities = (counts, (predicted - true).square() * counts, predicted * counts, true * counts)
        for sums, quantity in zip(self._sums, quantities, strict=True):
            sums.index_add_(0, cell, quantity)

    def compute(self) -> FrameErrors | None:
        """Return the errors; None if no picture was added."""
        samples, squares, predicted, true = self._sums.unflatten(1, (ROWS, COLUMNS))
        if not samples.any():
            return None
        bias = torch.where((predicted > 0) & (true > 0), (predicted / true).log2(), torch.nan)
        return FrameErrors(samples, (squares / samples).sqrt(), bias)


def write_frame_errors(errors: FrameErrors, folder: str | Path) -> Path:
    """Write `FRAME_FILE`: row and column from the upper left, samples, errors; a missing figure is an empty cell.

    Returns:
        The path of the file.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["row", "column", *errors._fields])
    values: np.ndarray = torch.stack(errors).numpy()
    for row, column in torch.cartesian_prod(*map(torch.arange, errors.samples.shape)).tolist():
        samples, *figures = values[:, row, column].tolist()
        rows.writerow([row, column, int(samples), *("" if value != value else repr(value) for value in figures)])
    path = Path(folder) / FRAME_FILE
    write_text(path, text.getvalue())
    return path
