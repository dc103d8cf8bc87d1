"""Read linear DNG files: demosaiced RAW of three planes, which `revisp.io.read_raw` refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.dng.tags import LINEAR_SAMPLES
from revisp.io.jpeg_data import check_lossless_jpeg
from revisp.io.readable import check_complete, check_file, tiff_pages

__all__ = ["read_linear_dng"]


def read_linear_dng(path: str | Path) -> np.ndarray[Any, Any]:
    """Read what `write_linear_dng` wrote, uint16 ``[3, H, W]``, black 0 and white 65535.

    Raises:
        ImageError: the file is missing, cut off, damaged, or not such a file.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io.dng import write_linear_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_linear_dng(f"{folder}/photo.dng", np.full((3, 32, 48), 0.5), SIMULATED.profile)
        ...     planes = read_linear_dng(f"{folder}/photo.dng")
        >>> planes.shape, int(planes.max())
        ((3, 32, 48), 32768)
    """
    path = check_file(path)
    with decoding(path, "cut off, damaged, or not a DNG"), tifffile.TiffFile(path) as tiff:
        pages = tiff_pages(tiff)
        found = [page for page in pages if page.photometric == LINEAR_SAMPLES and page.samplesperpixel == 3]
        if found:
            check_complete(found[0], path)
            check_lossless_jpeg(found[0], path, "refuse")
        stored = found[0].asarray() if found else None
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3:
        raise ImageError(f"{path}: not a linear DNG of three planes of 16 bits")
    return np.ascontiguousarray(stored.transpose(2, 0, 1))
