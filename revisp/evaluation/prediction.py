"""How pictures are predicted that are scored: as `revisp-predict` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from revisp.inference.fast import optimise
from revisp.inference.predict import predict

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.pipeline import Reconstruction, ReverseISP

__all__ = ["Predictor", "fast_predictor"]

Predictor = Callable[..., "Reconstruction"]
"""Predicts a picture ``[3, H, W]``; the keyword ``place`` is that of `revisp.predict`."""


def fast_predictor(model: ReverseISP, *, tile: int | None = None) -> Predictor:
    """Make a pipeline fast by `optimise`, for many pictures.

    Args:
        model: the pipeline; it runs on its own device, and stays as it is.
        tile: side of the tiles in pixels; None: as memory allows, and whole pictures where tiles would change the
            result, since the reach of the networks is unknown or they look at the whole photo.

    Example:
        >>> import torch
        >>> from revisp import ReverseISP
        >>> run = fast_predictor(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}))
        >>> run(torch.rand(3, 32, 48)).bayer.shape
        torch.Size([1, 32, 48])
    """
    fast = optimise(model)
    exact = model.reach.pixels is not None and not model.spec.global_context

    def run(srgb: Tensor, *, place: Tensor | None = None) -> Reconstruction:
        whole = None if exact else max(srgb.shape[-2:])
        return predict(fast, srgb, tile=tile or whole, place=place)

    return run
