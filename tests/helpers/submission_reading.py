"""The definitions of AIM 2022 as NumPy and SciPy read them, written apart from the library's own."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def psnr(prediction: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """``10 log10(1 / MSE)`` over all samples together, or those of a region; 999 without error."""
    weight = np.ones_like(truth) if weight is None else weight
    if not weight.any():
        return np.nan
    mse = np.sum((prediction - truth) ** 2 * weight) / np.sum(weight)
    return 999.0 if mse == 0 else 10 * np.log10(1 / mse)


def ssim_map(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Map of one plane, without its border of 5."""
    mean_x, mean_y = gaussian_filter(x, 1.5), gaussian_filter(y, 1.5)
    variance_x = gaussian_filter(x * x, 1.5) - mean_x**2
    variance_y = gaussian_filter(y * y, 1.5) - mean_y**2
    covariance = gaussian_filter(x * y, 1.5) - mean_x * mean_y
    over = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    under = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    return (over / under)[5:-5, 5:-5]


def ssim(prediction: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean over the planes ``[h, w, C]`` of the mean over pixels, or the mean over a region's samples."""
    maps = [ssim_map(prediction[..., plane], truth[..., plane]) for plane in range(truth.shape[-1])]
    if weight is None:
        return float(np.mean([one.mean() for one in maps]))
    inner = weight[5:-5, 5:-5]
    return float(np.sum(np.stack(maps, -1) * inner) / np.sum(inner)) if inner.any() else np.nan


def mask_planes(photo: np.ndarray) -> np.ndarray:
    """Hard luma mask of an 8-bit photo ``[2h, 2w, 3]`` at the sites of R, Gr, Gb, B: ``[h, w, 4]``."""
    luma = (photo.astype(np.float32) / np.float32(255)) @ np.array([0.299, 0.587, 0.114], np.float32)
    mask = (luma >= 0.978).astype(np.float64)
    return np.stack([mask[0::2, 0::2], mask[0::2, 1::2], mask[1::2, 0::2], mask[1::2, 1::2]], axis=-1)
