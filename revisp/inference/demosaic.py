"""Demosaic large mosaics with the memory of one tile."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from revisp.cfa import CFA
from revisp.demosaic import Gains, demosaic
from revisp.inference.tiles import tile_apply

__all__ = ["demosaic_tiled"]


def demosaic_tiled(
    bayer: Tensor,
    cfa: CFA | str,
    method: Literal["bilinear", "malvar"] = "bilinear",
    *,
    gains: Gains = (1.0, 1.0, 1.0),
) -> Tensor:
    """Demosaic tile by tile; both methods have a reach of two pixels, so the result equals `revisp.demosaic`.

    Args:
        bayer: mosaic ``[1, 1, H, W]``, H and W at least 3.
        cfa: its Bayer phase.
        method: ``"bilinear"`` or ``"malvar"``.
        gains: white-balance gains for R, G, B, for ``"malvar"``.

    Returns:
        Demosaiced RAW ``[1, 3, H, W]``.

    Raises:
        ShapeError: ``bayer`` is not one floating-point mosaic, or is too small.
        ConfigError: as for `revisp.demosaic`.
    """
    return tile_apply(
        lambda part: demosaic(part, cfa, method, gains=gains), bayer, tile=1024, overlap=4, channels=3, reach=2
    )
