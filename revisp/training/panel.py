"""A picture of the results: sRGB, mask, predicted RAW, true RAW and error, a row for each validation photo."""

from __future__ import annotations

from pathlib import Path

import torch

from revisp.camera.develop import develop, viewing_exposure
from revisp.data.base import DataModule
from revisp.io.contact_sheet import write_contact_sheet
from revisp.training.task import ReverseISPTask

__all__ = ["write_panels"]

PANEL_COLUMNS = ("sRGB", "overexposure mask", "predicted RAW", "true RAW", "error x 5")


def write_panels(task: ReverseISPTask, data: DataModule, path: Path, *, photos: int = 4) -> Path:
    """Write the picture panel of some validation photos, or of tiles of large ones.

    RAW is shown white-balanced, in sRGB colours, with the same exposure for prediction and truth. The error is the
    absolute difference of these two pictures, five times amplified.

    Raises:
        OutputError: the file cannot be written.
    """
    task.eval()
    rows = []
    for sample in data.validation_samples(photos):
        with torch.inference_mode():
            place = sample.place[None].to(task.device) if sample.place.numel() else None
            out = task.reconstruct_photos(sample.srgb[None].to(task.device), place)
        exposure = viewing_exposure(sample.target, data.profile)
        raws = (out.raw_rgb[0].cpu(), sample.target)
        predicted, truth = (develop(raw, data.profile, exposure=exposure) for raw in raws)
        mask = out.mask[0].cpu().expand_as(predicted)
        error = (5 * (predicted - truth).abs()).clamp(0, 1)
        rows.append((sample.name, [sample.srgb, mask, predicted, truth, error]))
    return write_contact_sheet(path, PANEL_COLUMNS, rows)
