"""The formulas that a training is scored against."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.profile import CameraProfile
from revisp.camera.unprocess import UPIUnprocess, fit_rgb_gain
from revisp.data.picture import Sample
from revisp.errors import ConfigError, DataError
from revisp.mask import overexposure_mask

__all__ = ["Baseline", "fit_pairs", "fitted_baselines", "place_in", "without_place"]

log = logging.getLogger(__name__)

Baseline = Callable[[Tensor, Tensor | None], Tensor]
"""Maps photos ``[B, 3, H, W]`` and the coordinates of their pixels (`Sample.place`) to demosaiced RAW."""


def fitted_baselines(profile: CameraProfile, samples: Sequence[Sample]) -> dict[str, Baseline]:
    """Return the baselines that are fitted to training samples: UPI's brightness, and the classical inverse.

    UPI takes the median over samples of the gain that fits a sample's unclipped pixels. The classical inverse has
    lens shading if the samples know their place. A baseline that cannot be fitted to these samples is left out.
    """
    if not samples:
        return {}
    baselines: dict[str, Baseline] = {}
    gains = []
    for s in samples:
        region = (1 - overexposure_mask(s.srgb)) * s.valid
        with contextlib.suppress(ConfigError):  # black, overexposed or invalid all over
            gains.append(fit_rgb_gain(s.srgb, s.target, profile, region))
    if gains:
        baselines["upi_fitted"] = without_place(UPIUnprocess(profile, float(np.median(gains))))
    pairs = fit_pairs(samples)
    try:
        placed = all(pair.place is not None for pair in pairs)
        baselines["classical"] = fit_camera(pairs, shading=placed).unprocess
    except DataError as error:
        log.warning("Not scored: the classical inverse: %s", error)
    return baselines


def fit_pairs(samples: Sequence[Sample]) -> list[FitPair]:
    """Return samples as pairs to fit a camera to."""
    return [FitPair(s.srgb, s.target, s.valid, place_in(s)) for s in samples]


def place_in(sample: Sample) -> Tensor | None:
    """Return the coordinates of the pixels of a sample, or a batch, in their photos; None if not known."""
    return sample.place if sample.place.numel() else None


def without_place(method: Callable[[Tensor], Tensor]) -> Baseline:
    """Return a baseline that treats all places of a photo alike."""
    return lambda srgb, place: method(srgb)
