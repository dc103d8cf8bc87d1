"""Keep files that revisp has not written: a camera's own RAW may have the name that a predicted one would get."""

from __future__ import annotations

import os

from revisp.convert.jobs import Conversion
from revisp.errors import OutputError
from revisp.io.dng.provenance import read_provenance
from revisp.io.mosaic_file import named_program
from revisp.io.not_a_photo import MOSAIC_SOFTWARE

__all__ = ["require_own_output"]

_ARRAY = b"\x93NUMPY"


def require_own_output(job: Conversion) -> None:
    """Require that the output of a conversion replaces nothing but earlier predictions.

    A DNG, TIFF or PNG says whether it is one. An array does not: one that lies beside its photo counts as the RAW
    of that photo, as the challenges store theirs. Files that are neither, such as broken ones, are replaced.

    Raises:
        OutputError: a file of somebody else is there.
    """
    if not job.output.is_file():
        return
    ending = job.output.suffix.lower()
    if ending == ".npy":
        beside = os.path.realpath(job.output.parent) == os.path.realpath(job.photo.parent)
        kept = beside and _begins_with(job, _ARRAY)
    else:
        program = named_program(job.output)
        own = read_provenance(job.output) if ending == ".dng" else (program or "").startswith(MOSAIC_SOFTWARE)
        kept = program is not None and not own
    if kept:
        raise OutputError(
            f"cannot write {job.output}: a file is there that revisp-predict may not have written: "
            "move it away, or write elsewhere"
        )


def _begins_with(job: Conversion, start: bytes) -> bool:
    try:
        with job.output.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:  # writing tells
        return False
