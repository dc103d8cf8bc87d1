"""Find out whether a photo has been converted already, by reading the output files."""

from __future__ import annotations

import numpy as np

from revisp.convert.formats import Choice
from revisp.convert.jobs import Conversion, preview_path
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.dng.linear import read_linear_dng
from revisp.io.header import photo_size
from revisp.io.mosaic_file import read_mosaic
from revisp.io.npy import read_npy
from revisp.io.raw.read import read_raw

__all__ = ["is_finished"]


def is_finished(job: Conversion, choice: Choice) -> bool:
    """Whether all output files exist and are newer than the photo, and the RAW is complete and has its size.

    The whole RAW is read. The model that made it cannot be found out.
    """
    files = [job.output, preview_path(job.output)] if choice.preview else [job.output]
    try:
        written = min(file.stat().st_mtime_ns for file in files)
        if job.photo.exists() and job.photo.stat().st_mtime_ns > written:
            return False
        with decoding(job.output):
            found = _size(job, linear=choice.linear_dng)
    except (OSError, ImageError):
        return False
    photo = photo_size(job.photo)
    slack = 2 if job.output.suffix.lower() == ".npy" else 0  # planes are cut to whole RGGB tiles
    if photo is None:  # the photo is gone or damaged: there is nothing to compare with
        return True
    return all(0 <= n - m <= slack for n, m in zip(sorted(photo), sorted(found), strict=True))


def _size(job: Conversion, *, linear: bool) -> tuple[int, ...]:
    """Return height and width of the RAW of a job."""
    ending = job.output.suffix.lower()
    if linear:
        return read_linear_dng(job.output).shape[1:]
    if ending == ".dng":
        return read_raw(job.output).mosaic.shape
    if ending == ".npy":
        planes = read_npy(job.output)
        if planes.dtype != np.uint16 or planes.ndim != 3 or planes.shape[-1] != 4:
            raise ValueError(f"no planes R, Gr, Gb, B: {planes.dtype} {planes.shape}")
        return tuple(2 * n for n in planes.shape[:2])
    return read_mosaic(job.output).shape
