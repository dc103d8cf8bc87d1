"""Find out whether a photo has been converted already, by reading the output files."""

from __future__ import annotations

import time

import numpy as np

from revisp.challenges import CHALLENGES, challenge_scale
from revisp.convert.engine import Engine
from revisp.convert.formats import Choice
from revisp.convert.jobs import Conversion, preview_path
from revisp.convert.settings import ModelFiles, settings_digest
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.dng.linear import read_linear_dng
from revisp.io.dng.provenance import Provenance, read_provenance
from revisp.io.header import photo_size
from revisp.io.mosaic_file import read_mosaic, read_note
from revisp.io.npy import read_npy
from revisp.io.photo import read_srgb
from revisp.io.raw.read import read_raw

__all__ = ["is_finished"]

_SCALES = tuple(challenge.scale for challenge in CHALLENGES.values())


def is_finished(job: Conversion, choice: Choice, engine: Engine) -> bool:
    """Whether all output files exist and are what this conversion would write.

    The RAW must be complete, have the size of the photo, be newer than it, and have the levels of its format. DNG,
    TIFF and PNG must also say that they were written with this model and these options (`settings_digest`), a DNG
    from the bytes of this photo. An array says nothing: it must be newer than the model. A preview must have been
    written after its RAW. A photo from the future, by its time, counts as older.

    Args:
        job: the photo and its output.
        choice: what is written.
        engine: what predicts.
    """
    try:
        written = job.output.stat().st_mtime_ns
        taken = job.photo.stat().st_mtime_ns if job.photo.exists() else 0
        if written < taken <= time.time_ns():
            return False
        with decoding(job.output):
            found = _size(job, choice, engine)
        if choice.preview and not _has_preview(job, written, found):
            return False
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
        _check_origin(job, engine, choice)
        if choice.linear_dng:
            return read_linear_dng(job.output).shape[1:]
        raw = read_raw(job.output)
        if engine.profile is not None and raw.profile.name.strip() != engine.profile.name.strip():
            raise ImageError(f"{job.output}: of another camera")
        return raw.mosaic.shape
    if ending == ".npy":
        if job.output.stat().st_mtime_ns < getattr(engine, "files", ModelFiles()).modified_ns <= time.time_ns():
            raise ImageError(f"{job.output}: of another model, since it is older than the model")
        planes = read_npy(job.output)
        if planes.dtype != np.uint16 or planes.ndim != 3 or planes.shape[-1] != 4:
            raise ImageError(f"{job.output}: no planes R, Gr, Gb, B: {planes.dtype} {planes.shape}")
        fewer = [scale for scale in _SCALES if scale < challenge_scale(choice.bits)]
        if not max(fewer, default=-1) < int(planes.max()) <= challenge_scale(choice.bits):
            raise ImageError(f"{job.output}: perhaps of other bits")
        return tuple(2 * n for n in planes.shape[:2])
    mosaic = read_mosaic(job.output)
    if read_note(job.output) != settings_digest(engine, choice, ending):
        raise ImageError(f"{job.output}: of another model or other options")
    if engine.profile is not None and int(mosaic.max()) > engine.profile.white_level:
        raise ImageError(f"{job.output}: of another camera")
    return mosaic.shape


def _has_preview(job: Conversion, written: int, size: tuple[int, ...]) -> bool:
    """Whether the preview is whole, has the size of the RAW, and was written after it.

    Raises:
        OSError: there is none.
    """
    path = preview_path(job.output)
    if path.stat().st_mtime_ns < written:
        return False
    try:
        return tuple(read_srgb(path).shape[-2:]) == tuple(size)
    except ImageError:
        return False


def _check_origin(job: Conversion, engine: Engine, choice: Choice) -> None:
    """Require that a DNG says that this model predicted it from this photo with these options.

    Raises:
        ImageError: it does not.
    """
    note = read_provenance(job.output)
    if note is None or note.model != getattr(engine, "name", ""):
        raise ImageError(f"{job.output}: of another model")
    if note.settings != settings_digest(engine, choice, ".dng"):
        raise ImageError(f"{job.output}: of another model or other options")
    if job.photo.exists() and note.digest != Provenance.of_photo(job.photo).digest:
        raise ImageError(f"{job.output}: of another photo")
