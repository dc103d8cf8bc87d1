"""Scores of a reconstructed RAW: fidelity, errors by brightness, developed pictures, and sensor noise.

Each score is a function of a batch of images; ``revisp-evaluate metrics=`` offers them. A training logs `AIMPSNR`
and `AIMSSIM`, a report shows `BrightnessErrors`: each is a `torchmetrics.Metric`, which takes batches one by one
and adds up over processes. They share three conventions:

* RAW is a mosaic ``[B,1,H,W]`` or packed planes ``[B,4,h,w]`` (R, Gr, Gb, B), black 0, white 1; scores of
  developed pictures also take demosaiced RAW ``[B,3,H,W]``.
* A region is a weight in [0,1] for each sample, ``[B,1,H,W]`` or packed like the RAW; None counts all. For the
  overexposed and the other pixels keep one metric each, and give it the mask or one minus the mask.
* All is computed and added up in float64, except that LPIPS's network runs in float32 and the AIM scores' classes
  add up in float32 unless told otherwise. Samples move to the metric's device: leave a metric on the CPU where the
  device has no float64 (MPS).
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
from revisp.metrics.colour import ciede2000, developed_delta_e, srgb_to_lab
from revisp.metrics.noise import NoiseRatio, noise_ratio
from revisp.metrics.ntire import ntire_psnr, ntire_ssim, quantise
from revisp.metrics.perceptual import developed_lpips

__all__ = [
    "AIMPSNR",
    "AIMSSIM",
    "IDENTICAL_PSNR",
    "BinErrors",
    "BrightnessErrors",
    "NoiseRatio",
    "aim_psnr",
    "aim_ssim",
    "bin_errors",
    "brightness_edges",
    "ciede2000",
    "developed_delta_e",
    "developed_lpips",
    "noise_ratio",
    "ntire_psnr",
    "ntire_ssim",
    "quantise",
    "region_psnr",
    "region_ssim",
    "srgb_to_lab",
]
