r"""Scores of a linear picture whose exposure, white balance and primaries are unknown.

A photo of an unknown camera does not determine the brightness, the white balance or the colour space of its RAW.
In a converter, sliders and a camera profile set all three. They cannot undo tone curves, local edits and clipping.
So a prediction is compared after the best fit of a ladder of models. Each level ignores one more kind of error:

=====  ==================  ===============
level  model               ignores
=====  ==================  ===============
E0     identity            nothing
E1     one gain            exposure
E2     a gain a channel    and white balance
E3     a 3x3 matrix        and primaries
=====  ==================  ===============

*Grid*: pixels of 2x2 samples (`bin_mosaic`, `bin_picture`), so that no sample is interpolated. *Unit*: truth and
prediction are each divided by the 99.9th percentile of their brightest channel over the usable pixels. *Fit*:
blocks of 32 pixels form a checkerboard. A least-squares fit on the blocks of one colour is scored on the other
blocks, and vice versa, so that no pixel is scored by a fit that used it. Computations are in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from revisp.cfa import CFA, pack
from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError
from revisp.metrics.base import double

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "LADDER_LEVELS",
    "BlindTruth",
    "Ladder",
    "Level",
    "bin_mosaic",
    "bin_picture",
    "blind_truth",
    "fit_colour",
    "green_stops",
    "in_units_of_truth",
    "ladder",
]

LADDER_LEVELS = ("e0", "e1", "e2", "e3")
"""Names of the levels, from the strictest to the most forgiving."""

FRAME_WIDTH = 8
"""Binned pixels at each side that are left out, because demosaicing and registration are worse there."""

CLIPPED = 0.98
"""Value from which a channel of the photo, or a sample of the sensor, counts as clipped."""

BLOCK_SIDE = 32
"""Side in binned pixels of the blocks that are fitted or scored together."""

UNIT_QUANTILE = 0.999
"""Quantile of the brightest channel that becomes 1."""

MATRIX_RIDGE = 1e-6
"""Regularisation of the matrix fit, as a share of the mean power, for predictions with a single colour."""

DARKEST_LIGHT = 2.0**-20
"""Lower limit of values before the logarithm."""


class BlindTruth(NamedTuple):
    """The light of a photo as the sensor measured it, with the pixels to fit and the clipped pixels.

    Attributes:
        light: white-balanced camera RGB ``[3, h, w]``, linear, its 99.9th percentile 1, float64.
        usable: ``[h, w]``, pixels that neither sensor nor photo clipped. All levels are fitted and scored on them.
        clipped: ``[h, w]``, number of channels that only the photo clipped; 0 where the sensor clipped.

    Example:
        >>> light = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> truth = blind_truth(light / 2, light)
        >>> truth.light.shape, bool(truth.clipped[~truth.usable].all())
        (torch.Size([3, 48, 48]), True)
    """

    light: Tensor
    usable: Tensor
    clipped: Tensor


class Level(NamedTuple):
    """The error of a prediction at one level of the ladder, over usable pixels.

    Attributes:
        psnr: PSNR in dB, peak 1; infinite for an exact prediction.
        stops: median absolute error of green in stops.
        angle: mean angle between true and predicted colour, in degrees.

    Example:
        >>> light = torch.rand(3, 64, 64) * 0.9
        >>> truth = blind_truth(light, light)
        >>> exact = ladder(in_units_of_truth(light, truth), truth).levels["e0"]
        >>> exact.psnr, exact.stops
        (inf, 0.0)
    """

    psnr: float
    stops: float
    angle: float


class Ladder(NamedTuple):
    """The errors of a prediction at all levels.

    Attributes:
        levels: one `Level` for each name in `LADDER_LEVELS`.
        matched: the prediction after the matrices of E3, each fitted to the other blocks, ``[3, h, w]`` float64.

    Example:
        >>> light = torch.rand(3, 64, 64) * 0.9
        >>> truth = blind_truth(light, light)
        >>> list(ladder(in_units_of_truth(light, truth), truth).levels)
        ['e0', 'e1', 'e2', 'e3']
    """

    levels: dict[str, Level]
    matched: Tensor


def bin_mosaic(bayer: Tensor, cfa: CFA | str = CFA.RGGB) -> Tensor:
    """Return camera RGB of half size from a mosaic: each pixel is one quad, with the mean of its greens.

    Args:
        bayer: ``[1, H, W]``, H and W even.
        cfa: Bayer phase of the mosaic.

    Returns:
        ``[3, H/2, W/2]``.

    Raises:
        ShapeError: not a mosaic of even size.

    Example:
        >>> bin_mosaic(torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])).flatten().tolist()
        [1.0, 3.0, 8.0]
    """
    check_image(bayer, 1, "bayer")
    red, green_red, green_blue, blue = pack(bayer, CFA.parse(cfa)).unbind(-3)
    return torch.stack([red, (green_red + green_blue) / 2, blue], dim=-3)


def bin_picture(picture: Tensor) -> Tensor:
    """Average blocks of 2x2 pixels of ``[C, H, W]``; an odd last row or column is left out.

    Raises:
        ShapeError: not floating-point ``[C, H, W]``.

    Example:
        >>> bin_picture(torch.tensor([[[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]]])).tolist()
        [[[2.5]]]
    """
    if picture.ndim != 3 or not picture.is_floating_point():
        raise ShapeError(f"picture must be floating point [C, H, W], got {list(picture.shape)}")
    return F.avg_pool2d(picture, 2)


def blind_truth(
    raw_rgb: Tensor,
    photo: Tensor,
    gains: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    saturated: Tensor | None = None,
    valid: Tensor | None = None,
) -> BlindTruth:
    """Prepare the truth for predictions from one photo.

    Args:
        raw_rgb: binned camera RGB ``[3, h, w]``, black 0, white 1, not white-balanced.
        photo: the binned photo ``[3, h, w]``, sRGB in [0, 1].
        gains: the camera's white balance for R, G, B, green 1.
        saturated: ``[h, w]``, pixels that the sensor clipped; None: those with a channel of at least 0.98 of
            white. Give it if ``raw_rgb`` is an average over a larger area, which hides clipped samples.
        valid: ``[h, w]``, pixels at which photo and RAW show the same content; None: all.

    Returns:
        The truth without its frame of 8 pixels.

    Raises:
        ShapeError: different sizes, values that are not finite, or no usable pixel.

    Example:
        >>> photo = torch.full((3, 64, 64), 0.5)
        >>> photo[0, 20:30, 20:30] = 1.0  # clipped in red
        >>> truth = blind_truth(torch.full((3, 64, 64), 0.25), photo)
        >>> truth.light.shape, int(truth.usable.sum()), int(truth.clipped.sum())
        (torch.Size([3, 48, 48]), 2204, 100)
    """
    for x, name in ((raw_rgb, "raw_rgb"), (photo, "photo")):
        check_image(x, 3, name)
        if x.ndim != 3 or min(x.shape[-2:]) <= 2 * FRAME_WIDTH:
            raise ShapeError(
                f"{name} must be [3, h, w] of more than {2 * FRAME_WIDTH} pixels, got {list(x.shape)}"
            )
    check_same_size(raw_rgb, photo, ("raw_rgb", "photo"))
    raw, seen = _framed(double(raw_rgb)), _framed(double(photo))
    if not raw.isfinite().all():
        raise ShapeError("raw_rgb holds values that are not finite numbers")
    kept = ~(raw.amax(0) >= CLIPPED if saturated is None else _framed(saturated.to(raw.device)).bool())
    if valid is not None:
        kept &= _framed(valid.to(raw.device)) > 0
    clipped = (seen >= CLIPPED).sum(0)
    usable = kept & (clipped == 0)
    if not usable.any():
        raise ShapeError("no pixel of the pair is unclipped in both photo and RAW: nothing can be compared")
    balanced = raw * raw.new_tensor(list(gains)).view(3, 1, 1)
    return BlindTruth(_unit(balanced, usable), usable, clipped * kept)


def in_units_of_truth(prediction: Tensor, truth: BlindTruth) -> Tensor:
    """Convert a binned prediction to the unit and the frame of the truth.

    Args:
        prediction: linear RGB ``[3, h, w]`` in any unit and with any primaries, of the size of the binned photo.
        truth: of `blind_truth`.

    Returns:
        ``[3, h - 16, w - 16]``, float64.

    Raises:
        ShapeError: not the photo's size, values that are not finite, or a black prediction.

    Example:
        >>> light = torch.rand(3, 64, 64) * 0.9
        >>> truth = blind_truth(light, light)
        >>> torch.allclose(in_units_of_truth(100 * light, truth), truth.light)  # the unit does not matter
        True
    """
    check_image(prediction, 3, "prediction")
    x = _framed(double(prediction))
    if x.shape != truth.light.shape:
        raise ShapeError(f"prediction must be of the photo's size, got {list(prediction.shape)}")
    if not x.isfinite().all():
        raise ShapeError("prediction holds values that are not finite numbers")
    return _unit(x.to(truth.light.device), truth.usable)


def ladder(prediction: Tensor, truth: BlindTruth) -> Ladder:
    """Score a prediction at all levels.

    Args:
        prediction: as `in_units_of_truth` returns it.
        truth: of `blind_truth`.

    Example:
        >>> light = torch.rand(3, 128, 128, generator=torch.manual_seed(0)) * 0.9
        >>> truth = blind_truth(light, light)
        >>> dim = in_units_of_truth(light * torch.tensor([0.5, 0.25, 0.5]).view(3, 1, 1), truth)
        >>> found = ladder(dim, truth).levels
        >>> found["e1"].psnr < 30, found["e2"].psnr > 100
        (True, True)
    """
    given, true = prediction[:, truth.usable], truth.light[:, truth.usable]
    odd = _checkerboard(truth.usable)[truth.usable]
    levels, matched = {}, given
    for level in LADDER_LEVELS:
        matched = _cross_fit(level, given, true, odd)
        levels[level] = _compare(matched, true)
    picture = torch.zeros_like(truth.light)
    picture[:, truth.usable] = matched
    return Ladder(levels, picture)


def fit_colour(prediction: Tensor, truth: Tensor, level: str = "e3") -> Tensor:
    """Return the 3x3 matrix of a level that fits colours to the true ones by least squares.

    Args:
        prediction: ``[3, n]``.
        truth: ``[3, n]``.
        level: one of `LADDER_LEVELS`: the identity, a gain, a diagonal matrix, or any matrix.

    Example:
        >>> colours = torch.eye(3, dtype=torch.float64)
        >>> fit_colour(colours, 2 * colours, "e1").diagonal().tolist()
        [2.0, 2.0, 2.0]
    """
    eye = torch.eye(3, dtype=truth.dtype, device=truth.device)
    products, squares = (prediction * truth).sum(1), prediction.square().sum(1)
    tiny = torch.finfo(truth.dtype).tiny
    if level == "e0":
        return eye
    if level == "e1":
        return eye * products.sum() / squares.sum().clamp_min(tiny)
    if level == "e2":
        return eye * products / squares.clamp_min(tiny)
    power = prediction @ prediction.T
    return torch.linalg.solve(power + MATRIX_RIDGE * power.trace() / 3 * eye, prediction @ truth.T).T


def green_stops(colours: Tensor) -> Tensor:
    """Return log2 of green of ``[3, ...]``; smaller values count as 2^-20.

    Example:
        >>> green_stops(torch.tensor([[1.0, 1.0], [0.5, 0.0], [1.0, 1.0]])).tolist()
        [-1.0, -20.0]
    """
    return colours[1].clamp_min(DARKEST_LIGHT).log2()


def _framed(x: Tensor) -> Tensor:
    return x[..., FRAME_WIDTH:-FRAME_WIDTH, FRAME_WIDTH:-FRAME_WIDTH]


def _unit(x: Tensor, usable: Tensor) -> Tensor:
    brightest = x.amax(0)[usable]
    # torch.quantile takes no more than 16 million values. Like numpy's, this is linear between neighbours.
    place = UNIT_QUANTILE * (brightest.numel() - 1)
    low, high = (brightest.kthvalue(int(at) + 1).values for at in (place, min(place + 1, brightest.numel() - 1)))
    level = low + (high - low) * (place - int(place))
    if level <= 0:
        raise ShapeError("a picture without light cannot be compared: its 99.9th percentile is 0")
    return x / level


def _checkerboard(like: Tensor) -> Tensor:
    rows, columns = (torch.arange(side, device=like.device) // BLOCK_SIDE for side in like.shape)
    return (rows[:, None] + columns) % 2 == 1


def _cross_fit(level: str, given: Tensor, true: Tensor, odd: Tensor) -> Tensor:
    """Fit to the blocks of one parity, apply to the other. If one is empty, fit and apply to the same blocks."""
    matched = torch.empty_like(given)
    for scored in (odd, ~odd):
        fitted = ~scored if (~scored).any() else scored
        matched[:, scored] = fit_colour(given[:, fitted], true[:, fitted], level) @ given[:, scored]
    return matched


def _compare(matched: Tensor, true: Tensor) -> Level:
    error = (matched - true).square().mean()
    cosine = (matched * true).sum(0) / (matched.norm(dim=0) * true.norm(dim=0)).clamp_min(DARKEST_LIGHT**2)
    return Level(
        psnr=-10 * error.log10().item(),
        stops=(green_stops(matched) - green_stops(true)).abs().median().item(),
        angle=cosine.clamp(-1, 1).arccos().rad2deg().mean().item(),
    )
