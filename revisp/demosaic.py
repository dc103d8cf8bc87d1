"""Demosaicing: estimate the two colours that each photosite did not measure."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from revisp.cfa import CFA, PLANE_COLOURS, pack, sample_mask, unpack
from revisp.checks import check_image, check_same_size
from revisp.demosaicnet import DemosaicNet
from revisp.errors import ConfigError
from revisp.padding import reflect_pad

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Demosaic", "DemosaicMethod", "Gains", "demosaic", "demosaic_planes", "write_back"]

DemosaicMethod = Literal["bilinear", "malvar", "demosaicnet"]
Array = np.ndarray[Any, Any]
Gains = tuple[float, float, float]

NETWORK_GAMMA = 2.2
"""DemosaicNet gets values to the power 1/2.2, like those of photos; the note in `demosaic` has the gain in dB."""


def demosaic(
    bayer: Tensor,
    cfa: CFA | str,
    method: DemosaicMethod = "bilinear",
    *,
    gains: Gains = (1.0, 1.0, 1.0),
    network: DemosaicNet | None = None,
) -> Tensor:
    """Demosaic a linear mosaic; the measured samples come back unchanged, so ``mosaic(result) == bayer``.

    * ``"bilinear"``: the mean of the nearest samples of the same colour.
    * ``"malvar"``: bilinear, corrected by the Laplacian of the measured colour with fixed 5x5 filters (Malvar, He
      and Cutler, ICASSP 2004).
    * ``"demosaicnet"``: the network of Gharbi et al. (SIGGRAPH Asia 2016) with its published weights. Overexposure
      Mask Fusion (arXiv 2210.11511) makes its ground truth with it. It gets white-balanced values to the power
      1/2.2. Both are undone afterwards.

    The latter two estimate one colour from another, so grey objects must have equal values: give them the
    white-balance gains. Gains are divided by the largest, so that values in [0, 1] stay in [0, 1].

    Convention:
        In and out: linear, not white-balanced, black at 0 and white at 1, unclamped. At the borders the mosaic is
        reflected about its outermost pixels.

    Args:
        bayer: mosaic ``[..., 1, H, W]``, any ``H`` and ``W`` of at least 3.
        cfa: its Bayer phase.
        method: ``"bilinear"``, ``"malvar"`` or ``"demosaicnet"``.
        gains: white-balance gains for R, G, B; only their ratios matter. ``"bilinear"`` does not need them.
        network: the network of ``"demosaicnet"``; None loads the published weights, once per device and dtype.

    Returns:
        Demosaiced RAW ``[..., 3, H, W]``.

    Raises:
        ShapeError: not a floating tensor of one channel, or too small.
        ConfigError: unknown method or phase, or a gain that is not positive.
        WeightsError: DemosaicNet's weights cannot be found.

    Example:
        >>> import torch
        >>> demosaic(torch.rand(2, 1, 17, 20), "GRBG").shape
        torch.Size([2, 3, 17, 20])

    Note:
        PSNR in dB of DemosaicNet on linear RAW, mean of nine pictures (four linearised photos, five real RAWs
        reduced to half size), without and with white balance: linear values 42.7 and 43.2, values to the power
        1/2.2 43.4 and 43.8; measured after that power, 36.7 and 36.9, and 38.2 and 38.5. Bilinear: 38.1 and 32.8.
    """
    check_image(bayer, 1, "bayer")
    cfa = CFA.parse(cfa)
    _check_options(method, gains)
    if method != "demosaicnet":
        return _by_filters(bayer, cfa, method, (1.0, 1.0, 1.0) if method == "bilinear" else gains)
    balance = bayer.new_tensor(gains)[:, None, None] / max(gains)
    sampled = sample_mask(cfa, *bayer.shape[-2:], device=bayer.device)
    balanced = bayer * (balance * sampled).sum(dim=0, keepdim=True)
    network = network if network is not None else _published_network(bayer.device, bayer.dtype)
    estimate = _signed_power(network(_signed_power(balanced, 1 / NETWORK_GAMMA), cfa), NETWORK_GAMMA)
    return write_back(estimate / balance, bayer, cfa)


def write_back(raw_rgb: Tensor, bayer: Tensor, cfa: CFA | str) -> Tensor:
    """Replace values of a demosaiced RAW by the samples that the sensor measured.

    Then ``mosaic(result, cfa)`` equals ``bayer`` exactly. Without this step, the errors of a learned demosaicker
    would limit the PSNR that a network can reach.

    Args:
        raw_rgb: demosaiced RAW ``[..., 3, H, W]``.
        bayer: the mosaic that it was made from, ``[..., 1, H, W]``.
        cfa: Bayer phase of the mosaic.

    Returns:
        ``[..., 3, H, W]``.

    Raises:
        ShapeError: wrong channels or dtype, or different sizes.
        ConfigError: not a Bayer phase.

    Example:
        >>> estimate, measured = torch.zeros(3, 2, 2), torch.ones(1, 2, 2)
        >>> write_back(estimate, measured, "RGGB")[1].tolist()  # green
        [[0.0, 1.0], [1.0, 0.0]]
    """
    check_image(raw_rgb, 3, "raw_rgb")
    check_image(bayer, 1, "bayer")
    check_same_size(raw_rgb, bayer, ("raw_rgb", "bayer"))
    return torch.where(sample_mask(cfa, *bayer.shape[-2:], device=bayer.device), bayer, raw_rgb)


class Demosaic(nn.Module):
    """Module form of `demosaic`, for one camera.

    Args:
        method: ``"bilinear"``, ``"malvar"`` or ``"demosaicnet"``.
        cfa: Bayer phase of the mosaics.
        gains: white-balance gains for R, G, B; only their ratios matter.
        weights: file of DemosaicNet's state dict; None takes the published one from the installed ``demosaicnet``.

    Shape:
        ``[..., 1, H, W]`` to ``[..., 3, H, W]``.

    Raises:
        ConfigError: unknown method or phase, a gain that is not positive, or weights for a method that has none.
        WeightsError: DemosaicNet's weights are missing, damaged, or of another network.

    Example:
        >>> step = Demosaic("malvar", "GRBG", gains=(2.0, 1.0, 1.5))
        >>> step(torch.rand(1, 16, 20)).shape
        torch.Size([3, 16, 20])
    """

    def __init__(
        self,
        method: DemosaicMethod = "bilinear",
        cfa: CFA | str = CFA.RGGB,
        gains: Gains = (1.0, 1.0, 1.0),
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        _check_options(method, gains)
        if weights is not None and method != "demosaicnet":
            raise ConfigError(
                f"demosaicing method {method!r} has no weights: leave them out, or use 'demosaicnet'"
            )
        self.method = method
        self.cfa = CFA.parse(cfa)
        self.gains = gains
        self.network = DemosaicNet(weights) if method == "demosaicnet" else None

    def forward(self, bayer: Tensor) -> Tensor:
        """Apply `demosaic`."""
        return demosaic(bayer, self.cfa, self.method, gains=self.gains, network=self.network)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"method={self.method!r}, cfa={self.cfa.value!r}, gains={self.gains}"


def _check_options(method: DemosaicMethod, gains: Gains) -> None:
    if method not in get_args(DemosaicMethod):
        raise ConfigError(f"unknown demosaicing method {method!r}: use {', '.join(get_args(DemosaicMethod))}")
    if len(gains) != 3 or not all(gain > 0 for gain in gains):
        raise ConfigError(f"white-balance gains must be three positive numbers (R, G, B), got {gains}")


@cache
def _published_network(device: torch.device, dtype: torch.dtype) -> DemosaicNet:
    return DemosaicNet().to(device, dtype)


def _signed_power(x: Tensor, exponent: float) -> Tensor:
    return x.abs().pow(exponent).copysign(x)


Filter = tuple[tuple[float, ...], ...]

REACH = 2
"""Half the window of the filters, in pixels."""

# Each method has three filters: for green at red and blue; for red or blue at green, along the row that has it;
# for red at blue and blue at red. First the means of the nearest samples, in quarters.
_MEANS = (
    ((0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 1, 0, 1, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0, 0, 0, 0)),
)

# Filters of Malvar et al. (their figure 2, in eighths).
_MALVAR = (
    ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0)),
    ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0)),
    ((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5), (0, 2, 0, 2, 0), (0, 0, -1.5, 0, 0)),
)

_FILTERS: dict[str, tuple[tuple[Filter, Filter, Filter], int]] = {"bilinear": (_MEANS, 4), "malvar": (_MALVAR, 8)}


def _by_filters(bayer: Tensor, cfa: CFA, method: str, gains: Gains) -> Tensor:
    """Estimate the missing colours of white-balanced values, without the balance in the result.

    The filters run on the packed planes. Each value is then computed only where it is missing, and the measured
    samples are copied.
    """
    *lead, _, height, width = bayer.shape
    flat = bayer.reshape(-1, 1, height, width)
    planes = pack(reflect_pad(flat, REACH, REACH + height % 2, REACH, REACH + width % 2), cfa)
    weights = planes.new_tensor(_balanced_weights(cfa, method, gains))
    colours = F.conv2d(planes, weights).unflatten(1, (3, 4))
    return unpack(colours, cfa)[..., :height, :width].reshape(*lead, 3, height, width)


def demosaic_planes(planes: Tensor, cfa: CFA, gains: Gains) -> Tensor:
    """Demosaic packed planes by ``"malvar"``, without leaving the planes.

    Args:
        planes: R, Gr, Gb, B ``[4, h, w]``, at least 2 x 2.
        cfa: their Bayer phase.
        gains: as for `demosaic`.

    Returns:
        Each colour in the four planes, ``[3, 4, h, w]``: `revisp.cfa.unpack` makes what `demosaic` returns of it.

    Example:
        >>> planes = torch.rand(4, 8, 10)
        >>> colours = unpack(demosaic_planes(planes, CFA.RGGB, (2.0, 1.0, 1.5)), "RGGB").squeeze(1)
        >>> torch.equal(colours, demosaic(unpack(planes, "RGGB"), "RGGB", "malvar", gains=(2.0, 1.0, 1.5)))
        True
    """
    padded = F.pad(planes[None], (1, 1, 1, 2), mode="replicate")[0]  # one more row ends the last window
    (red_row, red_column), blue_row, blue_column = cfa.offsets[0], slice(2, None), slice(1, None, 2)
    for axis, end, even, odd in (
        (-2, -2, red_row, (slice(2), blue_row)),
        (-1, -1, red_column, (slice(None, None, 2), blue_column)),
    ):
        first, last = (
            odd[even],
            odd[1 - even],
        )  # planes that begin at the mosaic's first row, and that end at its last
        padded[first].select(axis, 0).copy_(padded[first].select(axis, 2))
        padded[last].select(axis, end).copy_(padded[last].select(axis, end - 2))
    # One product of matrices: a convolution would be prepared anew for each size that a window has.
    height, width = planes.shape[-2:]
    row = width + 2
    shape = (4, 3, 3, height * row)
    windows = padded.as_strided(shape, (padded.stride(0), row, 1, 1)).reshape(36, -1)
    estimated = planes.new_tensor(_balanced_weights(cfa, "malvar", gains)).flatten(1) @ windows
    return estimated.view(3, 4, height, row)[..., :width]


def _balanced_weights(cfa: CFA, method: str, gains: Gains) -> Array:
    """Return `_packed_weights` that work on balanced values, and give values without the balance."""
    balance = np.array(gains)
    of_planes, of_colours = balance[list(PLANE_COLOURS)], np.repeat(balance, 4)
    weights: Array = _packed_weights(cfa, method) * of_planes[:, None, None] / of_colours[:, None, None, None]
    return weights


@cache
def _packed_weights(cfa: CFA, method: str) -> Array:
    """Return the filters over packed planes, ``[12, 4, 3, 3]``: of each colour in each plane.

    Where the plane measures the colour, the filter copies it.
    """
    filters, total = _FILTERS[method]
    green_at_other, beside, across = (np.array(each) / total for each in filters)
    weights = np.zeros((12, 4, 3, 3))
    for number, (colour, plane) in enumerate(itertools.product(range(3), range(4))):
        row, column = cfa.offsets[plane]
        if PLANE_COLOURS[plane] == colour:
            weights[number, plane, 1, 1] = 1
            continue
        if colour == 1:
            kernel = green_at_other
        elif PLANE_COLOURS[plane] == 1:
            in_row = cfa.offsets[3 if colour == 2 else 0][0] == row
            kernel = beside if in_row else beside.T
        else:
            kernel = across
        for (y, x), weight in np.ndenumerate(kernel):
            (down, odd_row), (along, odd_column) = divmod(row + y, 2), divmod(column + x, 2)
            weights[number, cfa.offsets.index((odd_row, odd_column)), down, along] += weight
    return weights
