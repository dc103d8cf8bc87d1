"""The errors over the frame as two maps in the report, and the figures of groups of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from torch import Tensor

from revisp.evaluation.frame_errors import FrameErrors
from revisp.evaluation.groups import Group
from revisp.evaluation.report.markup import figure_cell, html_table, row, words

__all__ = ["frame_section", "group_section"]

CELL_WIDTH, CELL_HEIGHT = 40, 30
"""Pixels of a cell of the frame."""

CONDITIONS = {
    "iso": ("ISO", "ISO {}"),
    "light_value": ("amount of light (exposure value at ISO 100)", "EV {}"),
    "temperature": ("colour of the light, by the camera's white balance", "{} K"),
}
"""Words for the conditions: the heading, and the form of a limit."""


def frame_section(errors: FrameErrors) -> str:
    """Return the section with the maps of the errors over the frame."""
    figures = errors.figures
    text = "Means over the pictures in each part of the frame."
    if all(map(math.isfinite, figures.values())):
        text += "".join(
            f" In the {part} the RMS error is {100 * figures[f'rmse/{part}']:.3f} % of white, and the bias "
            f"{figures[f'bias_ev/{part}']:+.3f} EV."
            for part in ("corners", "middle")
        )
    maps = (
        _map("frame-rmse", "RMS error in % of white", 100 * errors.rmse, "{:.2f}", _rising),
        _map("frame-bias", "Bias in EV: prediction above truth", errors.bias_ev, "{:+.2f}", _signed),
    )
    shown = f'<p>{escape(text.replace("-", "−"))}</p><div class="plots">{"".join(maps)}</div>'
    return f"<section><h2>Error over the frame</h2>{shown}</section>"


def group_section(groups: Sequence[Group]) -> str:
    """Return the section with a table for each condition; empty without groups."""
    tables = []
    for condition in dict.fromkeys(group.condition for group in groups):
        some = [group for group in groups if group.condition == condition]
        names = list(dict.fromkeys(name for group in some for name in group.mean))
        lines = [
            row(
                escape(_limits(group)),
                [
                    f"<td>{group.images}</td>",
                    *(figure_cell(name, group.mean.get(name, math.nan)) for name in names),
                ],
            )
            for group in some
        ]
        what = CONDITIONS[condition][0]
        tables.append(html_table(f"Mean figures by {what}", ["Taken at", "Pictures", *map(words, names)], lines))
    return f"<section><h2>By ISO and by light</h2>{''.join(tables)}</section>" if tables else ""


def _limits(group: Group) -> str:
    form = CONDITIONS[group.condition][1]
    if math.isinf(group.low):
        return "below " + form.format(f"{group.high:g}")
    if math.isinf(group.high):
        return form.format(f"{group.low:g}") + " and more"
    return form.format(f"{group.low:g} to {group.high:g}")


def _map(ident: str, title: str, values: Tensor, form: str, colour: Callable[[float, float], str]) -> str:
    rows, columns = values.shape
    known = [abs(value) for value in values.flatten().tolist() if math.isfinite(value)]
    most = max(known, default=0.0) or 1.0
    width, height = columns * CELL_WIDTH, rows * CELL_HEIGHT + 20
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{ident}-title {ident}-desc">',
        f'<title id="{ident}-title">{escape(title)}</title>',
        f'<desc id="{ident}-desc">{rows} rows of {columns} numbers, one for each part of the frame.</desc>',
        f'<text class="label" x="0" y="14">{escape(title)}</text>',
    ]
    for at_row, line in enumerate(values.tolist()):
        for at_column, value in enumerate(line):
            if not math.isfinite(value):
                continue
            x, y = at_column * CELL_WIDTH, 20 + at_row * CELL_HEIGHT
            text = form.format(value).replace("-", "−")
            parts.append(
                f'<rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" fill="{colour(value, most)}"/>'
                f'<text x="{x + CELL_WIDTH / 2:g}" y="{y + CELL_HEIGHT / 2 + 4:g}" text-anchor="middle" '
                f'style="fill:#1b1d21">{text}</text>'
            )
    return "\n".join([*parts, "</svg>"])


def _rising(value: float, most: float) -> str:
    return _between((255, 255, 255), (240, 130, 60), value / most)


def _signed(value: float, most: float) -> str:
    return _between((255, 255, 255), (235, 110, 90) if value > 0 else (110, 160, 235), abs(value) / most)


def _between(low: tuple[int, int, int], high: tuple[int, int, int], share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
