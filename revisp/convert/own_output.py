"""Keep files that revisp has not written: a camera's own RAW may have the name that a predicted one would get."""

from __future__ import annotations

from pathlib import Path

from revisp.convert.jobs import Conversion
from revisp.errors import OutputError
from revisp.io.challenge_npy import is_predicted_npy
from revisp.io.dng.provenance import read_provenance
from revisp.io.mosaic_file import named_program, read_note
from revisp.io.npy import NPY_MAGIC
from revisp.io.storage import fetch_start

__all__ = ["require_own_output"]

START = 2**18
"""Bytes that are read of a file at an address. The notes of a prediction are among its first."""


def require_own_output(job: Conversion) -> None:
    """Require that the output of a conversion replaces nothing but earlier predictions.

    Each format says by a note whether it is one. Files of another format than their names tell, and broken ones,
    are replaced. Of a file at an address the first `START` bytes are read: if they do not tell, it is kept.

    Raises:
        OutputError: a file of somebody else is there, or the address cannot be reached.
    """
    if job.target is None:
        kept = job.output.is_file() and _is_foreign(job.output, whole=True)
    else:
        try:
            whole = fetch_start(job.target, job.output, START)
            kept = whole is not None and _is_foreign(job.output, whole=whole)
        finally:
            job.output.unlink(missing_ok=True)
    if kept:
        raise OutputError(
            f"cannot write {job.destination}: a file is there that revisp-predict may not have written: "
            "move it away, or write elsewhere"
        )


def _is_foreign(path: Path, *, whole: bool) -> bool:
    """Whether a file, or the start of one, is of the format that its name tells, and no prediction."""
    ending = path.suffix.lower()
    if ending == ".npy":
        with path.open("rb") as file:
            return file.read(len(NPY_MAGIC)) == NPY_MAGIC and not is_predicted_npy(path)
    is_own = read_provenance(path) is not None if ending == ".dng" else read_note(path) != ""
    return not is_own and not (whole and named_program(path) is None)
