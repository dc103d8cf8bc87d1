"""Write the leaderboard of a benchmark: Markdown, CSV, and a page with plots and pictures for each data set."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisp.benchmark.cell import ERROR_ENDING
from revisp.benchmark.plan import Cell
from revisp.benchmark.results import CellResult, read_result, read_worst
from revisp.camera.profile import CameraProfile
from revisp.errors import DataError
from revisp.evaluation.report.page import ReportRow, write_report
from revisp.io.atomic import write_text
from revisp.io.locking import begin_folder
from revisp.wording import counted

__all__ = ["FIGURES", "Row", "leaderboard", "write_leaderboard"]

FIGURES = ("psnr", "psnr_oe", "psnr_noe", "ssim")
"""Figures in the tables."""

GAIN_FIGURES = FIGURES[:3]
"""Figures whose gains are in the tables."""

COSTS = {
    "parameters": "parameters",
    "gmac": "gmac_per_megapixel",
    "seconds": "seconds_per_megapixel",
    "training": "seconds_of_training",
}
"""Costs in the tables, and their names in the page."""

MOST_LINES = 6
"""Most methods in the plots of errors by brightness."""


@dataclass(frozen=True)
class Row:
    """The results of a method on a data set.

    Attributes:
        method: name of the method.
        results: results of its finished cells, in the order of the seeds.
        failed: reasons of the failure of other cells.
        gains: for each figure, the differences to the compared method, seed by seed; empty without such a method.

    Example:
        >>> costs = {"parameters": 1000, "gmac": 2.5, "seconds": 0.25, "training": 60.0}
        >>> results = [
        ...     CellResult("unet", "embedded", seed, (), {"psnr": psnr}, costs, 256, 8, {}, [], {}, {})
        ...     for seed, psnr in ((0, 31.0), (1, 32.0))
        ... ]
        >>> row = Row("unet", tuple(results), (), {})
        >>> row.mean("psnr"), row.cost("parameters")
        (31.5, 1000.0)
    """

    method: str
    results: tuple[CellResult, ...]
    failed: tuple[str, ...]
    gains: Mapping[str, tuple[float, ...]]

    def values(self, figure: str) -> list[float]:
        """Return a figure for each seed."""
        return [result.figures.get(figure, math.nan) for result in self.results]

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over the seeds; NaN without results."""
        return statistics.mean(self.values(figure)) if self.results else math.nan

    def cost(self, name: str) -> float:
        """Return the median of a cost over the seeds; NaN without results."""
        return statistics.median(result.cost[name] for result in self.results) if self.results else math.nan


def leaderboard(cells: Sequence[Cell], root: str | Path) -> dict[str, list[Row]]:
    """Read the results of cells.

    Returns:
        The rows of each data set, by falling PSNR. If methods are compared with others, they keep their order.

    Example:
        >>> cell = Cell("unet", "embedded", 0, ("backbone=unet", "data=embedded"))
        >>> (row,) = leaderboard([cell], "runs/never_run")["embedded"]
        >>> row.method, row.failed
        ('unet', ('not done',))
    """
    tables: dict[str, list[Row]] = {}
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        found: dict[str, dict[int, CellResult | str]] = {}
        bases = {}
        for cell in (cell for cell in cells if cell.dataset == dataset):
            bases[cell.method] = cell.base
            found.setdefault(cell.method, {})[cell.seed] = _read(cell.folder(root))
        rows = [_row(method, found, bases[method]) for method in found]
        ordered = any(bases.values())
        tables[dataset] = rows if ordered else sorted(rows, key=_falling)
    return tables


def write_leaderboard(
    tables: Mapping[str, Sequence[Row]], root: str | Path, *, configuration: str = "", photos: int = 4
) -> tuple[Path, ...]:
    """Write ``leaderboard.md``, ``leaderboard.csv``, and a page for each data set.

    Args:
        tables: the result of `leaderboard`.
        root: folder of the benchmark.
        configuration: configuration of the benchmark, for the page.
        photos: most pictures in a page.

    Returns:
        The paths of the files.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> tables = {"embedded": [Row("unet", (), ("not done",), {})]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_leaderboard(tables, folder)]  # no page: no cell is done
        ['leaderboard.md', 'leaderboard.csv']
    """
    root = Path(root)
    begin_folder(root)
    paths = [root / "leaderboard.md", root / "leaderboard.csv"]
    for path, text in zip(paths, (markdown(tables), _csv(tables)), strict=True):
        write_text(path, text)
    for dataset, rows in tables.items():
        name = "" if len(tables) == 1 else "_" + re.sub(r"[^\w.-]+", "-", dataset)
        if any(row.results for row in rows):
            paths.append(_page(root / f"leaderboard{name}.html", dataset, rows, configuration, photos))
    return tuple(paths)


def markdown(tables: Mapping[str, Sequence[Row]]) -> str:
    """Return the tables as Markdown: means and standard deviations over the seeds."""
    parts = []
    for dataset, rows in tables.items():
        gains = any(row.gains for row in rows)
        heads = ["method", "parameters", "GMAC/MP", "s/MP", "training, s", "PSNR", "OE", "NOE", "SSIM"]
        heads += ["gain", "OE", "NOE"] if gains else []
        lines = [f"## {dataset}", "", f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
        lines += [f"| {' | '.join(_cells(row, gains=gains))} |" for row in rows]
        reasons = [f"- {row.method}: {reason}" for row in rows for reason in dict.fromkeys(row.failed)]
        parts.append("\n".join([*lines, *(["", "Failed:", "", *reasons] if reasons else []), "", _note(rows)]))
    return "\n\n".join(parts) + "\n"


def _cells(row: Row, *, gains: bool) -> list[str]:
    if not row.results:
        return [row.method, *([""] * 4), "failed", *([""] * (6 if gains else 3))]
    cost = {name: row.cost(name) for name in COSTS}
    shown = [
        f"{cost['parameters']:,.0f}",
        f"{cost['gmac']:.1f}",
        f"{cost['seconds']:.2f}",
        f"{cost['training']:.0f}",
    ]
    shown += [_spread(row.values(name), 2 if "psnr" in name else 3) for name in FIGURES]
    shown += [_spread(row.gains.get(name, ()), 2, "+") for name in GAIN_FIGURES] if gains else []
    return [row.method, *shown]


def _note(rows: Sequence[Row]) -> str:
    done = [result for row in rows for result in row.results]
    missing = sum(len(row.failed) for row in rows)
    failures = f"{counted(missing, 'cell')} failed." if missing else ""
    if not done:
        return failures or "Nothing is done."
    seeds = sorted({result.seed for result in done})
    steps = sorted({result.steps for result in done})
    versions = sorted({", ".join(f"{name} {version}" for name, version in r.versions.items()) for r in done})
    spread = "Mean and standard deviation over" if len(seeds) > 1 else "Of"
    pictures = counted(done[0].images, "picture")
    limits = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    return (
        f"{spread} seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}; {pictures}, by the "
        f"definitions of AIM 2022; {limits} steps of training. Times are of the machine that trained, with what "
        f"else it did. {'; '.join(versions)}. {failures}"
    ).rstrip()


def _csv(tables: Mapping[str, Sequence[Row]]) -> str:
    """Return a line for each cell."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    done = [result for rows in tables.values() for row in rows for result in row.results]
    figures = list(dict.fromkeys(name for result in done for name in result.figures))
    lines.writerow(["dataset", "method", "seed", "steps", *COSTS, *figures])
    for result in done:
        values = [*(result.cost[name] for name in COSTS), *(result.figures.get(x, math.nan) for x in figures)]
        shown = ["" if math.isnan(value) else repr(value) for value in values]
        lines.writerow([result.dataset, result.method, result.seed, result.steps, *shown])
    return text.getvalue()


def _page(path: Path, dataset: str, rows: Sequence[Row], configuration: str, photos: int) -> Path:
    done = sorted((row for row in rows if row.results), key=_falling)
    best = done[0].results[0]
    compared = any(row.gains for row in rows)
    table = [_report_row(row, compared=compared) for row in (rows if compared else done) if row.results]
    notes = [_note(rows)]
    if len(done) > MOST_LINES:
        notes.append(f"The plots of errors by brightness show the {MOST_LINES} methods of highest PSNR.")
    return write_report(
        path,
        title=f"Benchmark on {dataset}",
        rows=table,
        images=read_worst(best)[:photos],
        profile=CameraProfile.from_dict(dict(best.camera)),
        configuration=configuration,
        versions=best.versions,
        brightness={row.method: row.results[0].bins for row in done[:MOST_LINES]},
        notes=[*notes, f"Pictures are those of {best.method}, seed {best.seed}, the worst of it."],
    )


def _report_row(row: Row, *, compared: bool) -> ReportRow:
    figures = {name: row.mean(name) for name in row.results[0].figures}
    if compared:
        gains = [value for value in row.gains.get("psnr", ()) if math.isfinite(value)]
        figures["psnr_gain"] = statistics.mean(gains) if gains else math.nan
    return ReportRow(row.method, figures, {COSTS[name]: row.cost(name) for name in COSTS})


def _read(folder: Path) -> CellResult | str:
    """Return the results of a cell, or the reason why it has none."""
    try:
        result = read_result(folder)
    except DataError as error:
        return str(error)
    if result is not None:
        return result
    failed = folder.with_name(f"{folder.name}.{ERROR_ENDING}")
    return failed.read_text().strip().splitlines()[-1] if failed.is_file() else "not done"


def _row(method: str, found: Mapping[str, Mapping[int, CellResult | str]], base: str | None) -> Row:
    mine = {seed: result for seed, result in found[method].items() if isinstance(result, CellResult)}
    failed = [result for result in found[method].values() if isinstance(result, str)]
    pairs = [(mine[seed], other) for seed, other in found.get(base or "", {}).items() if seed in mine]
    gains = {
        name: tuple(a.figures[name] - b.figures[name] for a, b in pairs if isinstance(b, CellResult))
        for name in (GAIN_FIGURES if base else ())
    }
    return Row(method, tuple(mine.values()), tuple(failed), gains)


def _falling(row: Row) -> float:
    value = row.mean("psnr")
    return math.inf if math.isnan(value) else -value


def _spread(values: Sequence[float], digits: int, sign: str = "") -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return ""
    mean = f"{statistics.mean(known):{sign}.{digits}f}".replace("-", "−")
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.{digits}f}"
