"""Many small pictures on one sheet: a row each, with a line of text above it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from revisp.io.photo import write_png

__all__ = ["write_contact_sheet"]

LONGEST_SIDE = 330
"""Pixels of a small picture's longer side."""

ROW_GAP, LINE_HEIGHT = 6, 15


def write_contact_sheet(path: Path, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Tensor]]]) -> Path:
    """Write small pictures in rows.

    Args:
        path: the PNG file.
        columns: title of each column.
        rows: a line of text and the pictures ``[3, H, W]`` of a row, a column each; they are clamped to [0, 1].

    Returns:
        The path.

    Raises:
        OutputError: the file cannot be written.
    """
    write_png(path, _assemble(columns, [(label, [_shrink(x) for x in pictures]) for label, pictures in rows]))
    return path


def _shrink(x: Tensor) -> Image.Image:
    scale = LONGEST_SIDE / max(x.shape[-2:])
    size = [max(1, round(side * scale)) for side in x.shape[-2:]]
    small = F.interpolate(x.unsqueeze(0), size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    return Image.fromarray((small.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def _assemble(columns: Sequence[str], rows: Sequence[tuple[str, list[Image.Image]]]) -> Tensor:
    height = LINE_HEIGHT + sum(LINE_HEIGHT + pictures[0].height + ROW_GAP for _, pictures in rows)
    sheet = Image.new("RGB", (len(columns) * (LONGEST_SIDE + ROW_GAP), height), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(columns):
        draw.text((column * (LONGEST_SIDE + ROW_GAP) + 2, 2), title, fill=(200, 200, 200))
    y = LINE_HEIGHT
    for label, pictures in rows:
        draw.text((2, y + 1), label, fill=(255, 255, 255))
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (column * (LONGEST_SIDE + ROW_GAP), y + LINE_HEIGHT))
        y += LINE_HEIGHT + pictures[0].height + ROW_GAP
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1).float() / 255
