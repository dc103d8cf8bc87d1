"""Write figures for readers and for programs: a table, ``scores.json`` and ``scores.csv``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from revisp.evaluation.scores import Evaluation
from revisp.io.atomic import write_text
from revisp.io.locking import begin_folder

__all__ = ["CSV_FILE", "JSON_FILE", "in_columns", "score_table", "write_scores"]

JSON_FILE = "scores.json"
"""Name of the file of mean figures: one flat object of names and numbers, ``images``, and ``note``.

A figure that could not be computed is null.
"""

CSV_FILE = "scores.csv"
"""Name of the file with a row for each picture: ``image``, labels, figures; a missing figure is an empty cell."""

_SMALL_FIGURES = ("lpips", "noise_ratio")  # figures near 0 or 1, like SSIM

MOST_ROWS = 20
"""Most pictures that the table shows."""


def write_scores(evaluation: Evaluation, folder: str | Path) -> tuple[Path, Path]:
    """Write `JSON_FILE` and `CSV_FILE` into a folder, which is made. Each file appears only when it is complete.

    Returns:
        The paths of the two files.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from revisp.evaluation.scores import ImageScores
        >>> found = Evaluation((ImageScores("street", {"psnr": 31.5}, {"camera": "A"}),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _, rows = write_scores(found, folder)
        ...     print(rows.read_text().strip())
        image,camera,psnr
        street,A,31.5
    """
    folder = Path(folder)
    begin_folder(folder)
    write_text(folder / JSON_FILE, json.dumps(evaluation.summary, indent=2, allow_nan=False) + "\n")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    labels = tuple(dict.fromkeys(label for image in evaluation.images for label in image.labels))
    rows.writerow(["image", *labels, *evaluation.names])
    for image in evaluation.images:
        said = (image.labels.get(label, "") for label in labels)
        figures = (image.scores.get(name, math.nan) for name in evaluation.names)
        rows.writerow([image.name, *said, *("" if math.isnan(value) else repr(value) for value in figures)])
    write_text(folder / CSV_FILE, text.getvalue())
    return folder / JSON_FILE, folder / CSV_FILE


def score_table(evaluation: Evaluation) -> str:
    """Return the figures as text: a row for each of the first pictures, the mean, and the notes.

    Example:
        >>> from revisp.evaluation.scores import ImageScores
        >>> found = Evaluation((ImageScores("a", {"psnr": 30.0, "ssim": 0.9}), ImageScores("b", {"psnr": 40.0})))
        >>> print(score_table(found))
                     psnr    ssim
        a          30.000  0.9000
        b          40.000       -
        mean of 2  35.000  0.9000
    """
    names = evaluation.names
    shown = evaluation.images[:MOST_ROWS] if len(evaluation.images) > 1 else ()
    count = len(evaluation.images)
    rows = [("", *names), *((image.name, *_cells(dict(image.scores), names)) for image in shown)]
    if 0 < len(shown) < count:
        rows.append((f"... {count - len(shown)} more", *("" for _ in names)))
    mean = evaluation.images[0].name if count == 1 else f"mean of {count}"
    rows.append((mean, *_cells(evaluation.mean, names)))
    return "\n".join([*in_columns(rows), *evaluation.notes])


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of equal length as aligned lines: the first cell to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _cells(scores: dict[str, float], names: tuple[str, ...]) -> list[str]:
    return [_cell(name, scores.get(name, math.nan)) for name in names]


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if name in _SMALL_FIGURES or "ssim" in name else f"{value:.3f}"
