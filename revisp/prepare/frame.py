"""A RAW in the form that registration and reduction need."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from revisp.align import Alignment, align
from revisp.camera.develop import develop, viewing_exposure
from revisp.demosaic import demosaic
from revisp.errors import AlignmentError
from revisp.io.raw.read import RawImage

__all__ = ["Frame", "is_deep", "measure", "summarise"]

MOST_STOPS = 6.0
"""Most stops by which a dark RAW is brightened for the registration of a photo."""


class Frame:
    """An upright RAW, demosaiced, and developed for the registration of a photo.

    Attributes:
        raw: the RAW.
        raw_rgb: camera RGB ``[3, H, W]``, linear, black 0, white 1, not white-balanced.
        reference: sRGB ``[3, H, W]``, bright enough to show the picture.
    """

    def __init__(self, raw: RawImage) -> None:
        self.raw = raw
        profile = raw.profile
        bayer = torch.from_numpy(raw.normalised()).unsqueeze(0)
        self.raw_rgb = demosaic(bayer, profile.cfa, "malvar", gains=profile.gains)
        exposure = viewing_exposure(self.raw_rgb, profile, limit=MOST_STOPS)
        self.reference = develop(self.raw_rgb, profile, exposure=exposure)


def measure(photo: Tensor, frame: Frame) -> dict[str, Any] | None:
    """Return the alignment of a photo with its RAW for the manifest; None if there is too little texture."""
    try:
        return summarise(align(photo, frame.reference, window=frame.raw.crop))
    except AlignmentError:
        return None


def summarise(found: Alignment) -> dict[str, Any]:
    """Return the figures of an alignment that a manifest keeps.

    ``offset`` is (dy, dx), photo index minus RAW index at the centre of the RAW. ``matrix`` maps (x, y, 1) of a
    RAW pixel to (x, y) of the photo. ``residual_*`` are lengths of the residual shifts of blocks, in RAW pixels.
    For a stored picture, ``cut`` is the first row and column of its arrays in the grid that was registered.
    """
    noise = found.noise_correlation
    return {
        "symmetry": list(found.symmetry),
        "offset": [round(value, 3) for value in found.offset],
        "matrix": [[round(value, 8) for value in row] for row in found.matrix.tolist()],
        "window": [round(value, 2) for value in found.window],
        **{name: round(getattr(found, name), 6) for name in ("scale", "rotation")},
        **{name: round(getattr(found, name), 3) for name in ("residual_median", "residual_p95", "residual_edge")},
        "blocks": int(found.trusted.sum()),
        "noise_correlation": None if math.isnan(noise) else round(noise, 3),
    }


def is_deep(photo: Tensor) -> bool:
    """Whether a photo in [0, 1] holds values that are not multiples of 1/255, which 8 bits would lose."""
    steps = photo * 255
    return bool((steps - steps.round()).abs().max() > 1e-3)
