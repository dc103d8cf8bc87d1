"""A picture of what was learned: sRGB, mask, predicted RAW, true RAW, error, a row for each validation photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from revisp.camera.develop import develop, viewing_exposure
from revisp.data.base import DataModule
from revisp.io.photo import write_png
from revisp.training.task import ReverseISPTask

__all__ = ["write_panels"]

COLUMNS = ("sRGB", "overexposure mask", "predicted RAW", "true RAW", "error x 5")
GAP = 6
HEADER = 18
WIDTH = 320


def write_panels(task: ReverseISPTask, data: DataModule, path: Path, *, photos: int = 4) -> Path:
    """Write the picture panel of some validation photos, or of their middles where they are large.

    RAW is shown white-balanced, in sRGB colours, brightened alike for prediction and truth; the error is the
    absolute difference of those pictures, five times amplified.

    Raises:
        OutputError: the file cannot be written.
    """
    task.eval()
    rows: list[list[Image.Image]] = []
    for sample in data.validation_samples(photos):
        srgb, target = sample.srgb[None], sample.target[None]
        with torch.inference_mode():
            out = task.reconstruct_photos(srgb.to(task.device))
        exposure = viewing_exposure(target, data.profile)
        predicted, truth = (develop(raw.cpu(), data.profile, exposure=exposure) for raw in (out.raw_rgb, target))
        mask = out.mask.cpu().expand_as(predicted)
        error = (5 * (predicted - truth).abs()).clamp(0, 1)
        rows.append([_thumbnail(x) for x in (srgb, mask, predicted, truth, error)])
    write_png(path, _assemble(rows))
    return path


def _thumbnail(picture: Tensor) -> Image.Image:
    pixels = (picture[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    return image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)


def _assemble(rows: list[list[Image.Image]]) -> Tensor:
    height = HEADER + sum(row[0].height + GAP for row in rows)
    sheet = Image.new("RGB", (len(COLUMNS) * (WIDTH + GAP) - GAP, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(COLUMNS):
        draw.text((column * (WIDTH + GAP) + 2, 3), title, fill="black")
    top = HEADER
    for row in rows:
        for column, image in enumerate(row):
            sheet.paste(image, (column * (WIDTH + GAP), top))
        top += row[0].height + GAP
    return torch.from_numpy(np.asarray(sheet).copy()).permute(2, 0, 1).float() / 255
