"""Views of made-up charts: flat patches of known kinds under uneven light.

HDR panoramas show few flat, saturated colours beside each other, and photos of charts nothing else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.draw import Draw
from revisp.data.base import check_whole

__all__ = ["random_chart"]

OVERSAMPLING = 3
"""Charts are drawn at so many times their size, and averaged."""

REFLECTANCE_RANGE = (0.03, 0.9)
"""Of black ink and of white paper."""

GREY_PATCHES = (0.9, 0.59, 0.36, 0.19, 0.09, 0.031)
"""Reflectance of the grey patches of a usual chart."""

GREY_SHARE = 0.35
SHADOW_SHARE = 0.3
MOST_SHEETS = 12
"""Most sheets that lie beside or upon the chart."""


def random_chart(size: int, generator: torch.Generator) -> Tensor:
    """Draw a chart: a grid of patches on paper, loose sheets, a light that falls off, and at times a shadow.

    Args:
        size: rows and columns.
        generator: source of randomness, on the CPU. The same state gives the same chart.

    Returns:
        Linear light ``[3, size, size]`` in the primaries of sRGB, above 0, of arbitrary scale.

    Raises:
        ConfigError: the size is not a whole number of at least 16.

    Example:
        >>> chart = random_chart(32, torch.Generator().manual_seed(0))
        >>> chart.shape, bool((chart > 0).all())
        (torch.Size([3, 32, 32]), True)
    """
    check_whole(size, "size", 16)
    draw = Draw(generator)
    axis = (torch.arange(size * OVERSAMPLING) + 0.5) / (size * OVERSAMPLING)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    surface = _reflectance(draw)[:, None, None].expand(3, *rows.shape).clone()
    for _ in range(draw.integer(0, MOST_SHEETS)):
        _paint(surface, _inside(draw, rows, columns), _reflectance(draw))
    if draw.uniform(0, 1) < 0.8:
        _paint_grid(surface, draw, rows, columns)
    light = surface * _illumination(draw, rows, columns) + abs(draw.normal(0, 0.008))
    return F.avg_pool2d(light, OVERSAMPLING)


def _paint(surface: Tensor, where: Tensor, colour: Tensor) -> None:
    surface[:, where] = colour[:, None]


def _paint_grid(surface: Tensor, draw: Draw, rows: Tensor, columns: Tensor) -> None:
    """Draw the chart itself, turned a little: a frame, and rows of patches, of which one may hold greys."""
    down, across = draw.integer(2, 6), draw.integer(3, 10)
    angle, height, width = draw.normal(0, 0.15), draw.uniform(0.3, 1.0), draw.uniform(0.4, 1.2)
    y, x = rows - draw.uniform(0.3, 0.7), columns - draw.uniform(0.3, 0.7)
    y, x = math.cos(angle) * y + math.sin(angle) * x, math.cos(angle) * x - math.sin(angle) * y
    down_at, across_at = (y / height + 0.5) * down, (x / width + 0.5) * across
    _paint(surface, (down_at > 0) & (down_at < down) & (across_at > 0) & (across_at < across), _grey(draw))
    gap = draw.uniform(0.02, 0.12)
    ramp = draw.integer(0, 2 * down)  # a row, or none
    for row in range(down):
        for column in range(across):
            patch = (down_at > row + gap) & (down_at < row + 1 - gap)
            patch &= (across_at > column + gap) & (across_at < column + 1 - gap)
            grey = torch.full((3,), GREY_PATCHES[column % len(GREY_PATCHES)])
            _paint(surface, patch, grey if row == ramp else _reflectance(draw))


def _inside(draw: Draw, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels of a sheet: an upright rectangle or an ellipse."""
    y, x = rows - draw.uniform(0, 1), columns - draw.uniform(0, 1)
    y, x = y / draw.uniform(0.02, 0.4), x / draw.uniform(0.02, 0.4)
    return (y.abs() < 1) & (x.abs() < 1) if draw.uniform(0, 1) < 0.7 else y * y + x * x < 1


def _illumination(draw: Draw, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the light on the chart: a lamp at a place, and the edge of a shadow."""
    away = (rows - draw.uniform(-0.3, 1.3)) ** 2 + (columns - draw.uniform(-0.3, 1.3)) ** 2
    light = 1 / (1 + draw.uniform(0, 2.5) * away)
    if draw.uniform(0, 1) < SHADOW_SHARE:
        angle = draw.uniform(0, 2 * math.pi)
        lit = math.cos(angle) * (rows - 0.5) + math.sin(angle) * (columns - 0.5) > draw.normal(0, 0.25)
        light = light * torch.where(lit, 1.0, math.exp(-abs(draw.normal(0, 0.8))))
    return light


def _reflectance(draw: Draw) -> Tensor:
    """Draw a colour; some are grey."""
    if draw.uniform(0, 1) < GREY_SHARE:
        return _grey(draw)
    low, high = (math.log(value) for value in REFLECTANCE_RANGE)
    return torch.tensor([math.exp(draw.uniform(low, high)) for _ in range(3)])


def _grey(draw: Draw) -> Tensor:
    return torch.full((3,), draw.uniform(*REFLECTANCE_RANGE))
