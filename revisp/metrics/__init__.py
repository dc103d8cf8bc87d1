"""Scores of a reconstructed RAW: fidelity, errors by brightness, developed pictures, noise, unknown cameras.

Each score is a function of a batch of images; ``revisp-evaluate metrics=`` offers them. `AIMPSNR`, `AIMSSIM` and
`BrightnessErrors` (shown in reports) are `torchmetrics.Metric` objects, which take batches one by one and sum over
processes. All scores share three conventions:

* RAW is a mosaic ``[B,1,H,W]`` or packed planes ``[B,4,h,w]`` (R, Gr, Gb, B), black 0, white 1; scores of
  developed pictures also take demosaiced RAW ``[B,3,H,W]``.
* A region is a weight in [0,1] for each sample, ``[B,1,H,W]`` or packed like the RAW; None counts all. Use one
  metric for the overexposed pixels and another for the rest: give the first the mask, the second one minus it.
* Computations and sums are in float64, with two exceptions: the network of LPIPS runs in float32, and the classes
  of the AIM scores sum in float32 by default. Samples move to the metric's device. Keep a metric on the CPU if the
  device has no float64 (MPS).

The scores for unknown cameras (`revisp.metrics.blind` and the modules that use it) are functions only, because the
fit of a picture cannot be summed over batches.
"""

from revisp.metrics.aim import (
    AIMPSNR,
    AIMSSIM,
    IDENTICAL_PSNR,
    aim_psnr,
    aim_ssim,
    region_psnr,
    region_ssim,
)
from revisp.metrics.bins import BinErrors, BrightnessErrors, bin_errors, brightness_edges
from revisp.metrics.blind import (
    BlindTruth,
    Ladder,
    Level,
    bin_mosaic,
    bin_picture,
    blind_truth,
    fit_colour,
    green_stops,
    in_units_of_truth,
    ladder,
)
from revisp.metrics.colour import ciede2000, developed_delta_e, srgb_to_lab
from revisp.metrics.edits import EDITS, EditError, FixedEdit, edit_errors
from revisp.metrics.highlights import HighlightErrors, highlight_errors, oracle_constant
from revisp.metrics.linearity import Linearity, linearity
from revisp.metrics.noise import NoiseRatio, noise_ratio
from revisp.metrics.ntire import ntire_psnr, ntire_ssim, quantise
from revisp.metrics.perceptual import developed_lpips
from revisp.metrics.styles import StyleConsistency, style_consistency

__all__ = [
    "AIMPSNR",
    "AIMSSIM",
    "EDITS",
    "IDENTICAL_PSNR",
    "BinErrors",
    "BlindTruth",
    "BrightnessErrors",
    "EditError",
    "FixedEdit",
    "HighlightErrors",
    "Ladder",
    "Level",
    "Linearity",
    "NoiseRatio",
    "StyleConsistency",
    "aim_psnr",
    "aim_ssim",
    "bin_errors",
    "bin_mosaic",
    "bin_picture",
    "blind_truth",
    "brightness_edges",
    "ciede2000",
    "developed_delta_e",
    "developed_lpips",
    "edit_errors",
    "fit_colour",
    "green_stops",
    "highlight_errors",
    "in_units_of_truth",
    "ladder",
    "linearity",
    "noise_ratio",
    "ntire_psnr",
    "ntire_ssim",
    "oracle_constant",
    "quantise",
    "region_psnr",
    "region_ssim",
    "srgb_to_lab",
    "style_consistency",
]
