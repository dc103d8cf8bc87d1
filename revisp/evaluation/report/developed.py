"""Pictures for the report: developed RAW, errors, histograms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from revisp.camera.develop import develop, viewing_exposure
from revisp.camera.profile import CameraProfile
from revisp.cfa import pack
from revisp.inference.demosaic import demosaic_tiled

__all__ = ["ERROR_FACTOR", "Developed", "develop_alike", "histograms"]

ERROR_FACTOR = 5
"""Factor by which the error is amplified."""


@dataclass(frozen=True)
class Developed:
    """Prediction and truth as pictures, developed in the same way.

    Attributes:
        prediction: sRGB ``[3, H, W]`` in [0, 1].
        truth: sRGB ``[3, H, W]`` in [0, 1].
        error: `ERROR_FACTOR` times their absolute difference, clipped at 1, ``[3, H, W]``.
        exposure: EV by which both were brightened.
    """

    prediction: Tensor
    truth: Tensor
    error: Tensor
    exposure: float


def develop_alike(prediction: Tensor, truth: Tensor, profile: CameraProfile) -> Developed:
    """Develop two mosaics by the same forward ISP at the same exposure, which the truth determines.

    Both are demosaiced by Malvar's filters and developed by `revisp.camera.develop.develop`.

    Args:
        prediction: mosaic ``[1, H, W]``, linear, in [0, 1].
        truth: mosaic ``[1, H, W]``.
        profile: the camera.

    Raises:
        ShapeError: an input is not a mosaic or not floating point.
    """
    raws = [
        demosaic_tiled(mosaic[None], profile.cfa, "malvar", gains=profile.gains)[0]
        for mosaic in (prediction, truth)
    ]
    exposure = viewing_exposure(raws[1], profile)
    shown, true = (develop(raw, profile, exposure=exposure) for raw in raws)
    return Developed(shown, true, (ERROR_FACTOR * (shown - true).abs()).clamp(0, 1), exposure)


def histograms(mosaic: Tensor, profile: CameraProfile, bins: int = 64) -> Tensor:
    """Return the share of samples in each of ``bins`` bins from 0 to 1, for R, Gr, Gb, B: ``[4, bins]``.

    Samples outside [0, 1] count in the first or last bin.

    Args:
        mosaic: RAW ``[1, H, W]``.
        profile: the camera, for its Bayer phase.
        bins: number of bins.
    """
    planes = pack(mosaic, profile.cfa).flatten(1)
    index = (planes * bins).floor().clamp(0, bins - 1).long()
    return torch.stack([torch.bincount(plane, minlength=bins) / plane.numel() for plane in index])
