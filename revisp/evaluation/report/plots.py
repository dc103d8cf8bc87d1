"""Plots as inline SVG: points, lines and histograms with axes and labels, coloured by the style sheet.

A screen reader presents each plot as an image with a title and a description.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from revisp.evaluation.report.axis import Axis

__all__ = ["Point", "Series", "key", "line_plot", "pareto_front", "pareto_plot"]

LINE_COLOURS = 6
"""Number of colours (classes ``c0`` ... of the style sheet) and marks, which series use in turn."""

LEFT_MARGIN, RIGHT_MARGIN, TOP_MARGIN, BOTTOM_MARGIN = 54, 12, 12, 44
PLOT_SIZE = (380, 290)
"""Width and height of a plot in pixels, readable on a telephone, too."""

CHARACTER_WIDTH, LINE_HEIGHT = 6.3, 13
"""Width and height of a character in pixels, to place labels next to points."""

Box = tuple[float, float, float, float]

_MARK_CORNERS: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((0, -5), (5, 4), (-5, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    ((0, 5), (5, -4), (-5, -4)),
    ((-6, -2.5), (6, -2.5), (6, 2.5), (-6, 2.5)),
)
"""Corners of the marks of the series; the first is a circle."""


@dataclass(frozen=True)
class Point:
    """A point with a label.

    Attributes:
        name: the label.
        x: the cost.
        y: the quality.
    """

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Series:
    """A line through points; it is interrupted where a value is not finite.

    Attributes:
        name: name in the legend.
        x: coordinates.
        y: values, one for each coordinate.
        filled: whether the area below is filled in grey, instead of drawing the line.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    filled: bool = False


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front: points for which no other is as cheap and as good, and better in one of the two.

    Args:
        points: smaller x and larger y are better.

    Returns:
        The front in the order of rising cost.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if not front or point.y > front[-1].y or (point.x, point.y) == (front[-1].x, front[-1].y):
            front.append(point)
    return front


def pareto_plot(ident: str, points: Sequence[Point], *, cost: str, quality: str) -> str:
    """Draw quality against cost, with the front as a staircase and as many labels as fit.

    Args:
        ident: prefix of the ids in the page.
        points: at least one point; all are finite.
        cost: label of the x axis.
        quality: label of the y axis.
    """
    x_axis = Axis.around(cost, [point.x for point in points])
    y_axis = Axis.around(quality, [point.y for point in points], log=False)
    front = pareto_front(points)
    frame = _Frame(x_axis, y_axis, *PLOT_SIZE)
    corners: list[tuple[float, float]] = []
    for index, point in enumerate(front):
        if index:
            corners.append(frame.at(point.x, front[index - 1].y))
        corners.append(frame.at(point.x, point.y))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    body = [f'<polyline class="front" points="{path}"/>']
    places = [frame.at(point.x, point.y) for point in points]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    lines = [(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])) for a, b in pairwise(corners)]
    # Points of the front get their labels first.
    order = sorted(range(len(points)), key=lambda index: points[index] not in front)
    for index in order:
        point, (x, y) = points[index], places[index]
        tip = f"{point.name}: {x_axis.label} {point.x:.4g}, {y_axis.label} {point.y:.4g}"
        kind = "best" if point in front else "rest"
        body.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(tip)}</title></circle>'
        )
        body.append(_label(point.name, x, y, taken, lines, frame))
    names = ", ".join(point.name for point in front)
    description = (
        f"{quality} against {cost} of {len(points)} methods. No method is both cheaper and better than: {names}."
    )
    return frame.svg(ident, f"{quality} against {cost}", description, body)


def line_plot(
    ident: str,
    series: Sequence[Series],
    x_axis: Axis,
    y_axis: Axis,
    *,
    title: str,
    description: str,
    size: tuple[int, int] = PLOT_SIZE,
) -> str:
    """Draw lines, each with its own colour, dashes and marks, and filled areas behind them.

    Args:
        ident: prefix of the ids in the page.
        series: the lines and areas.
        x_axis: horizontal scale.
        y_axis: vertical scale.
        title: title of the plot.
        description: content of the plot, for screen readers.
        size: width and height in pixels.
    """
    frame = _Frame(x_axis, y_axis, *size)
    body = []
    if not y_axis.log and y_axis.low < 0 < y_axis.high:
        (x0, y0), (x1, _) = frame.at(x_axis.low, 0), frame.at(x_axis.high, 0)
        body.append(f'<line class="zero" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y0:.1f}"/>')
    colour = 0
    for one in series:
        for run in _runs(one):
            points = [frame.at(x, y) for x, y in run]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            if one.filled:
                floor = frame.at(x_axis.low, y_axis.low)[1]
                closed = f"{points[0][0]:.1f},{floor:.1f} {path} {points[-1][0]:.1f},{floor:.1f}"
                body.append(f'<polygon class="area" points="{closed}"/>')
                continue
            body.append(f'<polyline class="curve c{colour % LINE_COLOURS}" points="{path}"/>')
            if len(points) <= 24:
                body += [_mark(colour, x, y) for x, y in points]
        colour += not one.filled
    return frame.svg(ident, title, description, body)


def key(index: int | None, *, marked: bool = True) -> str:
    """Return the symbol of a line for a legend.

    Args:
        index: number of the line among those that are not filled; None: the filled area.
        marked: whether the line has marks.
    """
    inside = '<rect class="area" x="2" y="2" width="28" height="12"/>'
    if index is not None:
        inside = f'<polyline class="curve c{index % LINE_COLOURS}" points="0,8 32,8"/>'
        inside += _mark(index, 16, 8) if marked else ""
    return f'<svg class="key" viewBox="0 0 32 16" aria-hidden="true">{inside}</svg>'


def _mark(index: int, x: float, y: float) -> str:
    kind = f'class="mark c{index % LINE_COLOURS}"'
    shape = _MARK_CORNERS[index % LINE_COLOURS]
    if not shape:
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shape)
    return f'<polygon {kind} points="{points}"/>'


def _runs(series: Series) -> list[list[tuple[float, float]]]:
    """Split a line at missing values."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(series.x, series.y, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _label(name: str, x: float, y: float, taken: list[Box], lines: list[Box], frame: _Frame) -> str:
    """Return a label next to a point and record its box; return an empty text if there is no room.

    The label covers no other point or label, and as little of the lines as possible.
    """
    wide = CHARACTER_WIDTH * len(name)
    found: list[tuple[float, str, float, float, Box]] = []
    for anchor, left, base in (
        ("start", x + 8, y + 4),
        ("end", x - 8 - wide, y + 4),
        ("middle", x - wide / 2, y - 9),
        ("middle", x - wide / 2, y + 18),
        ("start", x + 4, y - 9),
        ("end", x - 4 - wide, y - 9),
        ("start", x + 4, y + 18),
        ("end", x - 4 - wide, y + 18),
    ):
        box = (left, base - LINE_HEIGHT + 3, left + wide, base + 3)
        inside = (
            box[0] >= LEFT_MARGIN
            and box[2] <= frame.width
            and box[1] >= 0
            and box[3] <= frame.height - BOTTOM_MARGIN
        )
        if inside and not any(_covered(box, other) for other in taken):
            at = {"start": left, "middle": left + wide / 2, "end": left + wide}[anchor]
            found.append((sum(_covered(box, line) for line in lines), anchor, at, base, box))
    if not found:
        return ""
    _, anchor, at, base, box = min(found, key=lambda place: place[0])
    taken.append(box)
    return f'<text class="name" x="{at:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escape(name)}</text>'


def _covered(box: Box, other: Box) -> float:
    """Return half the perimeter of the intersection of two boxes; for a line, the length that a box covers."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return width + height if width >= 0 and height >= 0 else 0.0


@dataclass(frozen=True)
class _Frame:
    """The axes around the area of a plot."""

    x_axis: Axis
    y_axis: Axis
    width: int
    height: int

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point in pixels."""
        right, down = self.width - LEFT_MARGIN - RIGHT_MARGIN, self.height - TOP_MARGIN - BOTTOM_MARGIN
        return LEFT_MARGIN + right * self.x_axis.place(x), TOP_MARGIN + down * (1 - self.y_axis.place(y))

    def svg(self, ident: str, title: str, description: str, body: list[str]) -> str:
        """Return the complete SVG."""
        w, h = self.width, self.height
        parts = [
            f'<svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{ident}-title {ident}-desc">',
            f'<title id="{ident}-title">{escape(title)}</title>',
            f'<desc id="{ident}-desc">{escape(description)}</desc>',
        ]
        for value in self.x_axis.ticks():
            x = self.at(value, self.y_axis.low)[0]
            text = escape(self.x_axis.write(value))
            parts.append(
                f'<line class="grid" x1="{x:.1f}" y1="{TOP_MARGIN}" x2="{x:.1f}" y2="{h - BOTTOM_MARGIN}"/>'
            )
            parts.append(f'<text x="{x:.1f}" y="{h - BOTTOM_MARGIN + 15}" text-anchor="middle">{text}</text>')
        for value in self.y_axis.ticks():
            y = self.at(self.x_axis.low, value)[1]
            text = escape(self.y_axis.write(value))
            parts.append(
                f'<line class="grid" x1="{LEFT_MARGIN}" y1="{y:.1f}" x2="{w - RIGHT_MARGIN}" y2="{y:.1f}"/>'
            )
            parts.append(f'<text x="{LEFT_MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        middle, centre = (LEFT_MARGIN + w - RIGHT_MARGIN) / 2, (TOP_MARGIN + h - BOTTOM_MARGIN) / 2
        across, up = escape(self.x_axis.label), escape(self.y_axis.label)
        parts += [
            f'<path class="axis" d="M{LEFT_MARGIN} {TOP_MARGIN}V{h - BOTTOM_MARGIN}H{w - RIGHT_MARGIN}"/>',
            f'<text class="label" x="{middle:.1f}" y="{h - 8}" text-anchor="middle">{across}</text>',
            f'<text class="label" transform="translate(12 {centre:.1f}) rotate(-90)" text-anchor="middle">'
            f"{up}</text>",
        ]
        return "\n".join([*parts, *body, "</svg>"])
