r"""The share of the sensor's noise that a reconstructed RAW keeps, by brightness.

A RAW has noise; its photo has hardly any. PSNR rewards a prediction without noise, but such a RAW is of no use for
training denoisers or simulators. This score compares variances, not values, because no method can predict the
noise of a single sample.

Both RAWs are cut into blocks of 8x8 samples of one colour. The diagonal Haar band of a block (differences of
differences over 2x2 samples, an orthonormal transform) contains neither its level nor a gradient. Its mean square
is the variance of white noise, as measured by `revisp.camera.noise.fit_noise`. Only flat blocks of the truth
count, where that band holds noise and no texture. A block is flat if its energy in the other bands is at most 1.2
times the expected energy of the noise, ``shot · x + read`` at its level x. The noise levels are those of the
camera, or are fitted to each true image. The choice uses other bands, and the truth only, so it favours neither
RAW. In each bin of brightness

.. math:: \mathrm{ratio} = \frac{\sum \mathrm{variance\ of\ the\ prediction}}
                              {\sum \mathrm{variance\ of\ the\ truth}}

is 1 if the noise is kept, 0 if it is gone, and above 1 if there is more noise. The ratio does not distinguish
noise from artefacts of equal strength, such as ringing. Noise that is smooth over 2x2 samples counts as gone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from revisp.camera.noise import BLOCK_DIFFERENCES, BLOCK_SIDE, NOISE_ONLY, SATURATED_FROM, NoiseLevels, fit_noise
from revisp.cfa import CFA, unpack
from revisp.errors import ConfigError, DataError, ShapeError
from revisp.metrics.base import packed_doubles
from revisp.metrics.bins import Spacing, bin_index, brightness_edges, sum_by_bin, with_total

__all__ = ["NoiseRatio", "noise_ratio"]


class NoiseRatio(NamedTuple):
    """Noise by brightness. The five rows are the planes R, Gr, Gb, B, and all together; dtype float64.

    Attributes:
        edges: ``[n+1]``, limits of the bins of a true block's mean.
        blocks: ``[5,n]``, flat blocks in each bin, counted by their weight in the region.
        truth: ``[5,n]``, variance of the truth's noise; NaN in an empty bin.
        prediction: ``[5,n]``, variance of the prediction's noise there.
        ratio: ``[5,n]``, prediction over truth.
        mean: scalar, mean of the last row's ratios, weighted by blocks; NaN if nothing was measured.
        unmeasured: scalar, number of images whose noise could not be fitted; they are left out of all other
            fields.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> truth = 0.25 + 0.01 * torch.randn(1, 4, 64, 64, generator=generator)
        >>> found = noise_ratio(torch.full_like(truth, 0.25), truth, levels=NoiseLevels(0.0, 1e-4), bins=2)
        >>> found.mean.item(), found.ratio.shape
        (0.0, torch.Size([5, 2]))
    """

    edges: Tensor
    blocks: Tensor
    truth: Tensor
    prediction: Tensor
    ratio: Tensor
    mean: Tensor
    unmeasured: Tensor


def noise_ratio(
    prediction: Tensor,
    target: Tensor,
    region: Tensor | None = None,
    *,
    levels: NoiseLevels | None = None,
    bins: int = 10,
    spacing: Spacing = "linear",
) -> NoiseRatio:
    """Compare the noise of a batch with that of the truth; the module describes the method.

    Args:
        prediction: packed RAW ``[B,4,h,w]``, h and w at least 8.
        target: packed RAW ``[B,4,h,w]``. Blocks with a saturated sample, or one at the image's minimum, do not
            count.
        region: packed weights ``[B,4,h,w]`` in [0,1]; the weight of a block is its least one; None counts all.
        levels: the camera's noise; None fits it to each whole true image by `fit_noise`, which needs at least a
            hundred blocks in a plane.
        bins: number of bins.
        spacing: as for `revisp.metrics.bins.brightness_edges`.

    Raises:
        ShapeError: not packed, of different shapes, or too small.
        ConfigError: as `brightness_edges`, or negative noise.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise = 0.01 * torch.randn(1, 4, 64, 64, generator=generator)
        >>> levels = NoiseLevels(shot=0.0, read=1e-4)
        >>> round(noise_ratio(0.25 + noise / 2, 0.25 + noise, levels=levels).mean.item(), 3)
        0.25
    """
    edges = brightness_edges(bins, spacing)
    _check_levels(levels)
    return _ratios(edges, *_sums(prediction, target, region, levels, edges))


def _check_levels(levels: NoiseLevels | None) -> None:
    if levels is not None and min(levels) < 0:
        raise ConfigError(f"noise must not be negative, got {levels}")


def _sums(
    prediction: Tensor, target: Tensor, region: Tensor | None, levels: NoiseLevels | None, edges: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the sums ``[3,4,n]`` of weight and of both variances over flat blocks, and the unmeasured images."""
    prediction, target, weight = packed_doubles(prediction, target, region)
    if min(target.shape[-2:]) < BLOCK_SIDE:
        raise ShapeError(
            f"noise is measured on blocks of {BLOCK_SIDE} x {BLOCK_SIDE}: got planes {list(target.shape[-2:])}"
        )
    lines = [levels or _fit(image) for image in target]
    shot, read = target.new_tensor([line or (0, 0) for line in lines]).view(-1, 2, 1, 1, 1).unbind(1)
    measured = torch.tensor([line is not None for line in lines], device=target.device).view(-1, 1, 1, 1)
    truth = _cut(target)
    level, true, rest = _bands(truth)
    _, predicted, _ = _bands(_cut(prediction))
    explained = (shot * level + read).clamp_min(0)
    darkest = target.amin(dim=(1, 2, 3)).view(-1, 1, 1, 1)
    whole = (truth.amax(dim=(-3, -1)) < SATURATED_FROM) & (truth.amin(dim=(-3, -1)) > darkest)
    flat = measured & whole & (explained > 0) & (rest <= NOISE_ONLY * explained)
    counted = _cut(weight).amin(dim=(-3, -1)) * flat
    sums = sum_by_bin(bin_index(level, edges), len(edges) - 1, [counted, counted * predicted, counted * true])
    return sums, (~measured).sum()


def _fit(planes: Tensor) -> NoiseLevels | None:
    """Return the noise of one true image ``[4,h,w]``, or None if it has too few blocks for a fit."""
    try:
        return fit_noise(unpack(planes, CFA.RGGB), CFA.RGGB)
    except DataError:
        return None


def _cut(planes: Tensor) -> Tensor:
    """Cut ``[B,4,h,w]`` into blocks ``[B,4,r,8,c,8]``; an incomplete block at the end is dropped."""
    rows, columns = (size // BLOCK_SIDE for size in planes.shape[-2:])
    planes = planes[..., : rows * BLOCK_SIDE, : columns * BLOCK_SIDE]
    return planes.reshape(*planes.shape[:2], rows, BLOCK_SIDE, columns, BLOCK_SIDE)


def _bands(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each block's level, and the mean square of its diagonal Haar band and of all other bands."""
    level = blocks.mean(dim=(-3, -1))
    total = (blocks - level[..., None, :, None]).square().sum(dim=(-3, -1))
    batch, planes, rows, _, columns, _ = blocks.shape
    tiles = blocks.reshape(batch, planes, rows, BLOCK_SIDE // 2, 2, columns, BLOCK_SIDE // 2, 2)
    sign = blocks.new_tensor([[0.5, -0.5], [-0.5, 0.5]])
    diagonal = torch.einsum("bprymcxn,mn->bprycx", tiles, sign).square().sum(dim=(-3, -1))
    return level, diagonal / BLOCK_DIFFERENCES, (total - diagonal) / (BLOCK_SIDE**2 - 1 - BLOCK_DIFFERENCES)


def _ratios(edges: Tensor, sums: Tensor, unmeasured: Tensor) -> NoiseRatio:
    blocks, predicted, true = with_total(sums)
    ratio = predicted / true
    filled = blocks[-1] > 0
    mean = (blocks[-1] * ratio[-1])[filled].sum() / blocks[-1].sum()
    return NoiseRatio(edges.to(sums), blocks, true / blocks, predicted / blocks, ratio, mean, unmeasured.to(sums))
