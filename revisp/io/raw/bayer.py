"""Whether a colour pattern is a repeated 2x2 Bayer tile, and what to say if it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from revisp.cfa import CFA
from revisp.errors import ImageError

__all__ = ["OTHER_PATTERN", "not_bayer", "phase_of"]

Array = np.ndarray[Any, Any]

OTHER_PATTERN = "the sensor has another colour pattern (such as X-Trans or quad Bayer)"


def phase_of(colours: Array) -> CFA | None:
    """Return the phase of colour indices ``[H, W]`` (0 R, 1 or 3 G, 2 B); None if they repeat no Bayer tile."""
    height, width = colours.shape
    tile = np.tile(colours[:2, :2], (height // 2 + 1, width // 2 + 1))[:height, :width]
    name = "".join("RGBG"[index] if 0 <= index <= 3 else "?" for index in colours[:2, :2].ravel())
    return CFA(name) if np.array_equal(colours, tile) and name in CFA.__members__ else None


def not_bayer(path: Path, reason: str) -> ImageError:
    """Return the error of a file without a 2x2 Bayer mosaic."""
    return ImageError(f"{path}: holds no 2x2 Bayer mosaic, which is all revisp supports: {reason}")
