"""Find out whether a photo has been converted already, by reading the output files."""

from __future__ import annotations

import time

import numpy as np

from revisp.challenges import CHALLENGES, challenge_scale
from revisp.convert.engine import Engine
from revisp.convert.formats import Choice
from revisp.convert.jobs import Conversion, preview_path
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.dng.linear import read_linear_dng
from revisp.io.dng.provenance import Provenance, read_provenance
from revisp.io.header import photo_size
from revisp.io.mosaic_file import read_mosaic
from revisp.io.npy import read_npy
from revisp.io.raw.read import read_raw

__all__ = ["is_finished"]

_SCALES = tuple(challenge.scale for challenge in CHALLENGES.values())


def is_finished(job: Conversion, choice: Choice, engine: Engine) -> bool:
    """Whether all output files exist and are what this conversion would write.

    The RAW must be complete, have the size of the photo, be newer than it, and have the levels of its format. A
    DNG must also say that this model predicted it, from these bytes, for this camera. A photo from the future, by
    its time, counts as older; the bytes of a DNG's photo are compared in any case.

    Args:
        job: the photo and its output.
        choice: what is written.
        engine: what predicts.
    """
    files = [job.output, preview_path(job.output)] if choice.preview else [job.output]
    try:
        written = min(file.stat().st_mtime_ns for file in files)
        taken = job.photo.stat().st_mtime_ns if job.photo.exists() else 0
        if written < taken <= time.time_ns():
            return False
        with decoding(job.output):
            found = _size(job, choice, engine)
    except (OSError, ImageError):
        return False
    photo = photo_size(job.photo)
    slack = 2 if job.output.suffix.lower() == ".npy" else 0  # planes are cut to whole RGGB tiles
    if photo is None:  # the photo is gone or damaged: there is nothing to compare with
        return True
    return all(0 <= n - m <= slack for n, m in zip(sorted(photo), sorted(found), strict=True))


def _size(job: Conversion, choice: Choice, engine: Engine) -> tuple[int, ...]:
    """Return height and width of the RAW of a job.

    Raises:
        ImageError: another conversion has written it.
    """
    ending = job.output.suffix.lower()
    if ending == ".dng":
        _check_origin(job, engine)
        if choice.linear_dng:
            return read_linear_dng(job.output).shape[1:]
        raw = read_raw(job.output)
        if engine.profile is not None and raw.profile.name.strip() != engine.profile.name.strip():
            raise ImageError(f"{job.output}: of another camera")
        return raw.mosaic.shape
    if ending == ".npy":
        planes = read_npy(job.output)
        if planes.dtype != np.uint16 or planes.ndim != 3 or planes.shape[-1] != 4:
            raise ImageError(f"{job.output}: no planes R, Gr, Gb, B: {planes.dtype} {planes.shape}")
        fewer = [scale for scale in _SCALES if scale < challenge_scale(choice.bits)]
        if not max(fewer, default=-1) < int(planes.max()) <= challenge_scale(choice.bits):
            raise ImageError(f"{job.output}: perhaps of other bits")
        return tuple(2 * n for n in planes.shape[:2])
    mosaic = read_mosaic(job.output)
    if engine.profile is not None and int(mosaic.max()) > engine.profile.white_level:
        raise ImageError(f"{job.output}: of another camera")
    return mosaic.shape


def _check_origin(job: Conversion, engine: Engine) -> None:
    """Require that a DNG says that this model predicted it from this photo.

    Raises:
        ImageError: it does not.
    """
    note = read_provenance(job.output)
    if note is None or note.model != getattr(engine, "name", ""):
        raise ImageError(f"{job.output}: of another model")
    if job.photo.exists() and note.digest != Provenance.of_photo(job.photo).digest:
        raise ImageError(f"{job.output}: of another photo")
