"""Read the first photo of a command while its model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from revisp.io.crash_record import crashes
from revisp.io.photo import Photo, read_photo

if TYPE_CHECKING:
    from revisp.convert.jobs import Conversion
    from revisp.io.damaged import Damaged

__all__ = ["read_early"]


def read_early(jobs: Sequence[Conversion], damaged: Damaged = "refuse") -> Future[Photo] | None:
    """Begin to read the first photo of a command in a thread.

    Args:
        jobs: all photos.
        damaged: what to do with a photo of which a part is missing, as for `revisp.io.read_photo`.

    Returns:
        The photo, for `revisp.convert.batch.Batch`. None if there is no photo on the disk, or a decoder has
        crashed in an earlier process of this command, so that one thing happens at a time.

    Example:
        >>> read_early([]) is None
        True
    """
    if not jobs or jobs[0].source is not None or crashes().alone:
        return None
    pool = ThreadPoolExecutor(1)
    reading = pool.submit(read_photo, jobs[0].photo, damaged=damaged)
    pool.shutdown(wait=False)
    return reading
