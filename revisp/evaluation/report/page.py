"""The report: one HTML file, complete in itself, that shows how good a reconstruction is and where it is wrong.

It needs no network: style, script and pictures are in it. Pictures are compared under a wipe slider, with zoom, by
mouse, keyboard or touch; without a script, and on paper, they stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from revisp.camera.profile import CameraProfile
from revisp.evaluation.frame_errors import FrameErrors
from revisp.evaluation.groups import Group
from revisp.evaluation.report.axis import Axis
from revisp.evaluation.report.frame_map import frame_section, group_section
from revisp.evaluation.report.markup import amount, best_of, facts, figure_cell, html_table, row, small, words
from revisp.evaluation.report.pictures import ReportImage, picture_sections
from revisp.evaluation.report.plots import Point, Series, key, line_plot, pareto_plot
from revisp.io.atomic import write_text
from revisp.metrics import BinErrors
from revisp.wording import counted

__all__ = ["ReportImage", "ReportRow", "write_report"]


@dataclass(frozen=True)
class ReportRow:
    """A row of the summary: a method, its quality, and its cost.

    Attributes:
        method: name of the method.
        figures: figures by name, as in `revisp.evaluation.scores.Evaluation.mean`; NaN for a missing figure.
        cost: costs by name, such as ``parameters``, ``gmac``, ``seconds``; less is better.

    Example:
        >>> row = ReportRow("U-Net", {"psnr": 31.5}, {"parameters": 1000})
        >>> row.cost["parameters"]
        1000
    """

    method: str
    figures: Mapping[str, float]
    cost: Mapping[str, float] = field(default_factory=dict)


def write_report(
    path: str | Path,
    *,
    title: str,
    rows: Sequence[ReportRow],
    images: Sequence[ReportImage],
    profile: CameraProfile,
    configuration: str = "",
    versions: Mapping[str, str] | None = None,
    brightness: Mapping[str, BinErrors] | None = None,
    frame: FrameErrors | None = None,
    groups: Sequence[Group] = (),
    notes: Sequence[str] = (),
    quality: str = "psnr",
) -> Path:
    """Write a report: summary, plots, pictures (the worst first), configuration and versions.

    All RAW is developed by the same forward ISP, `revisp.camera.develop.develop`; prediction and truth have the
    same exposure. Quality is plotted against each cost that at least two methods have.

    Args:
        path: the HTML file; it appears only when it is complete.
        title: title of the page.
        rows: the summary, one row for each method.
        images: pictures to show. All are embedded in the file, one or two megabytes each.
        profile: the camera of the RAW.
        configuration: the full configuration as text.
        versions: versions of programs by name, and other facts about the run.
        brightness: errors by brightness of each method, as `revisp.metrics.bin_errors` gives them.
        frame: errors by place in the frame, of a report of one method; None: not known.
        groups: means over pictures that were taken under like conditions.
        notes: explanations of the figures, one sentence each.
        quality: name of the figure that is plotted and that sorts the pictures; higher is better.

    Returns:
        The path of the page.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> rows = [ReportRow("U-Net", {"psnr": 31.5}), ReportRow("baseline", {"psnr": 28.0})]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_report(
        ...         f"{folder}/report.html", title="Two methods", rows=rows, images=[], profile=SIMULATED.profile
        ...     )
        ...     "U-Net" in path.read_text("utf-8")
        True
    """
    path = Path(path)
    worst = sorted(images, key=lambda image: _rank(image.scores.get(quality, math.nan)))
    page = Template(
        resources.files("revisp.evaluation.report").joinpath("report.html").read_text("utf-8")
    ).substitute(
        title=escape(title),
        summary=_summary(rows, notes),
        pareto=_pareto(rows, quality),
        brightness=_brightness(brightness or {}),
        frame="" if frame is None else frame_section(frame),
        groups=group_section(groups),
        pictures=picture_sections(worst, profile, quality),
        run=_run(configuration, versions or {}),
    )
    write_text(path, page)
    return path


def _rank(quality: float) -> float:
    return math.inf if math.isnan(quality) else quality


def _summary(rows: Sequence[ReportRow], notes: Sequence[str]) -> str:
    figures = list(dict.fromkeys(name for one in rows for name in one.figures))
    costs = list(dict.fromkeys(name for one in rows for name in one.cost))
    best = {name: best_of(name, (one.figures.get(name, math.nan) for one in rows)) for name in figures}
    lines = []
    for one in rows:
        cells = [figure_cell(x, one.figures.get(x, math.nan), best[x] if len(rows) > 1 else None) for x in figures]
        cells += [f"<td>{amount(one.cost.get(name, math.nan))}</td>" for name in costs]
        lines.append(row(escape(one.method), cells))
    remarks = list(notes)
    if any("_oe" in name for name in figures):
        remarks.append("OE: overexposed pixels of the photos; NOE: all others.")
    if len(rows) > 1 and any(value is not None for value in best.values()):
        remarks.append("The best PSNR and SSIM are in bold.")
    caption = "Mean figures of each method" + (", and its cost" if costs else "")
    heads = ["Method", *map(words, figures), *map(words, costs)]
    return html_table(caption, heads, lines) + "".join(f"<p>{escape(remark)}</p>" for remark in remarks)


def _pareto(rows: Sequence[ReportRow], quality: str) -> str:
    plots = []
    for number, cost in enumerate(dict.fromkeys(name for one in rows for name in one.cost)):
        pairs = ((one.method, one.cost.get(cost, math.nan), one.figures.get(quality, math.nan)) for one in rows)
        points = [Point(name, x, y) for name, x, y in pairs if math.isfinite(x) and math.isfinite(y) and x >= 0]
        if len(points) > 1:
            plots.append(pareto_plot(f"pareto-{number}", points, cost=words(cost), quality=words(quality)))
    if not plots:
        return ""
    text = "Filled points: no other method is as cheap and better. The numbers are those of the summary."
    return f"<section><h2>Quality against cost</h2><p>{text}</p>{_plots(plots)}</section>"


def _brightness(errors: Mapping[str, BinErrors]) -> str:
    if not errors:
        return ""
    edges = next(iter(errors.values())).edges
    # Bins of equal width on a linear scale, bins of a stop on a logarithmic one.
    log = len(edges) > 2 and bool((edges.diff().max() > 1.5 * edges.diff().min()).item())
    x_axis = Axis("True RAW, black 0 to white 1", float(edges[1]) / 2 if log else 0.0, 1.0, log)
    plots = []
    for kind, label in (("rmse", "Root mean square error"), ("bias", "Bias: prediction − truth")):
        lines = [Series(name, _centres(e, log), getattr(e, kind)[-1].tolist()) for name, e in errors.items()]
        values = [value for line in lines for value in line.y if math.isfinite(value)]
        title = f"{label} by brightness of the true RAW"
        drawn = f"{counted(len(lines), 'line')} over {counted(len(edges) - 1, 'range')} of brightness"
        text = f"{drawn}; the table below has the numbers."
        y_axis = Axis.around(label, [*values, 0.0], log=False)
        plots.append(line_plot(f"brightness-{kind}", lines, x_axis, y_axis, title=title, description=text))
    legend = "".join(f"<li>{key(index)} {escape(name)}</li>" for index, name in enumerate(errors))
    numbers = f"<details><summary>Errors by brightness as a table</summary>{_brightness_table(errors)}</details>"
    return (
        f'<section><h2>Error by brightness</h2><ul class="legend">{legend}</ul>{_plots(plots)}{numbers}</section>'
    )


def _centres(errors: BinErrors, log: bool) -> list[float]:
    low, high = errors.edges[:-1], errors.edges[1:]
    return ((low.clamp(min=float(high[0]) / 2) * high).sqrt() if log else (low + high) / 2).tolist()


def _brightness_table(errors: Mapping[str, BinErrors]) -> str:
    lines = []
    for name, e in errors.items():
        for index, (low, high) in enumerate(zip(e.edges[:-1].tolist(), e.edges[1:].tolist(), strict=True)):
            samples, rmse, bias = (x[-1, index].item() for x in (e.weight, e.rmse, e.bias))
            cells = (f"{low:.4g} to {high:.4g}", f"{samples:.0f}", small(rmse), small(bias))
            lines.append(row(escape(name), (f"<td>{cell}</td>" for cell in cells)))
    heads = ["Method", "True RAW", "Samples", "RMS error", "Bias"]
    return html_table("Errors of all samples by brightness of the true RAW", heads, lines)


def _plots(plots: Sequence[str]) -> str:
    return f'<div class="plots">{"".join(plots)}</div>'


def _run(configuration: str, versions: Mapping[str, str]) -> str:
    parts = []
    if versions:
        parts.append(f"<details><summary>Versions</summary><dl>{facts(versions)}</dl></details>")
    if configuration:
        text = f'<pre tabindex="0" aria-label="Configuration">{escape(configuration)}</pre>'
        parts.append(f"<details><summary>Full configuration</summary>{text}</details>")
    return f"<section><h2>Configuration and versions</h2>{''.join(parts)}</section>" if parts else ""
