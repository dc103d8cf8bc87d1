"""Measure a camera's rendering on a few pairs of photo and RAW: tone curve, colour matrix, shading, headroom.

The inverse (`revisp.camera.fitted.FittedCamera`) is fitted by robust non-linear least squares. It predicts the RAW
of a photo's colours, so the fit minimises the errors that a reconstruction is scored by. The fit sees means of
small even blocks, not single pixels: this tolerates misregistration, noise and compression. It sees as many blocks
of a rare colour as of a common one, so that shadows, highlights and saturated colours count.

If no photo is nearly white, the matrix and the upper end of the curve share a factor that the data do not
determine. The sRGB curve then sets it. The prediction of the colours that were seen does not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from revisp.camera.fitted import INTERVALS, FitErrors, FittedCamera, as_tuples, clipping, plain_curve
from revisp.camera.place import place_map
from revisp.checks import check_image, check_same_size
from revisp.errors import ConfigError, DataError, ShapeError

__all__ = ["FitPair", "FittedCamera", "fit_camera"]

Array = np.ndarray[Any, Any]
_Counted = tuple[Tensor, Tensor, Tensor, Tensor | None]

LEAST_CLIPPED = 0.98
"""Photo and RAW values from which a block is left out, because one of the two may be clipped."""

DARKEST_PHOTO = 2 / 255
"""Mean photo value up to which a block is left out, because colours outside sRGB are clipped to 0."""

EVEN_DEVIATION = 0.02
"""Standard deviation of a block's photo values up to which it is even."""

REGIONS = 8
"""Regions along each axis of a photo. Errors within a region are taken to depend on each other."""

COLOUR_CELLS = 16
"""Cells along each axis of colour space; each cell gives at most a fixed number of blocks."""

CURVE_STIFFNESS = 20.0, 3.0
"""Weights of the prior that keeps the curvature, and the slope, of the curve near those of the sRGB curve."""

_LEAST_COLOURS = 12
_ENOUGH_BLOCKS = 4096
_BLOCKS_A_CELL = 32
_MOST_COLOURS = 12_000
_MOST_PIXELS = 1_000_000
_FEW_PIXELS = 100
_SMALL_RESIDUAL = 0.01
_HEADROOM_PRIOR = 1e-3


class FitPair(NamedTuple):
    """A photo and its RAW, to which a camera is fitted.

    Attributes:
        srgb: photo ``[3, H, W]`` in [0, 1].
        raw_rgb: its demosaiced RAW ``[3, H, W]``: linear, black 0, white 1, not white-balanced.
        valid: mask ``[1, H, W]``, 1 where both show the same; None: everywhere.
        place: coordinates ``[3, H, W]`` of a crop in its photo (`revisp.camera.place.place_map`); None: the photo
            is whole.

    Example:
        >>> FitPair(torch.rand(3, 8, 8), torch.rand(3, 8, 8)).place is None
        True
    """

    srgb: Tensor
    raw_rgb: Tensor
    valid: Tensor | None = None
    place: Tensor | None = None


def fit_camera(pairs: Sequence[FitPair], *, shading: bool = True) -> FittedCamera:
    """Measure a camera on pairs of photo and RAW; the same pairs give the same camera.

    Args:
        pairs: photos and their RAW, of one camera under one kind of light.
        shading: whether to measure the gain of the photo towards its corners. This needs whole photos, or crops
            whose place is known (`FitPair.place`).

    Raises:
        ShapeError: wrong shapes or dtypes, or sizes that differ.
        DataError: no pairs, too few even and valid blocks that are neither black nor clipped, a black RAW, or
            pairs that no curve and matrix relate.

    Example:
        >>> from revisp.camera.fitted import as_tuples
        >>> true = FittedCamera(as_tuples(plain_curve().numpy()), ((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
        >>> photo = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9
        >>> photo = photo.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)  # even patches
        >>> fitted = fit_camera([FitPair(photo, true.unprocess(photo))], shading=False)
        >>> np.diag(fitted.matrix).round(2).tolist()
        [2.0, 1.0, 1.5]
    """
    if not pairs:
        raise DataError("no pairs to fit a camera to")
    for pair in pairs:
        _check_pair(pair)
    colours = _Colours.gather(pairs)
    fit = _Fit(colours, shading)
    parameters = fit.solve()
    camera = fit.camera(parameters)
    thinned = _thinned(pairs)
    camera = replace(camera, headroom=as_tuples(_headroom(camera, thinned)))
    error = fit.predict(parameters)[0] - colours.raw
    rms = float(np.sqrt(np.mean(error**2)))
    psnr = _forward_psnr(camera, thinned)
    return replace(camera, samples=len(colours.raw), psnr=psnr, rms=rms, errors=fit.errors(parameters))


def _check_pair(pair: FitPair) -> None:
    srgb = pair.srgb
    named = [(srgb, 3, "srgb"), (pair.raw_rgb, 3, "raw_rgb"), (pair.valid, 1, "valid"), (pair.place, 3, "place")]
    for x, channels, name in named:
        if x is None:
            continue
        check_image(x, channels, name)
        check_same_size(srgb, x, ("srgb", name))
        if x.ndim != 3:
            raise ShapeError(f"{name} must be a single image [{channels}, H, W], got {list(x.shape)}")


@dataclass(frozen=True)
class _Colours:
    """Colours of photo and RAW, each ``[N, 3]`` float64; squared distance from the centre, and region, ``[N]``."""

    srgb: Array
    raw: Array
    square: Array
    region: Array

    @classmethod
    def gather(cls, pairs: Sequence[FitPair]) -> _Colours:
        """Take the means of even blocks, at most a fixed number of each colour cell."""
        pixels = sum(pair.srgb[0].numel() for pair in pairs)
        block = next((side for side in (8, 4) if pixels >= _ENOUGH_BLOCKS * side * side), 2)
        rows = np.concatenate([_blocks(pair, block, number) for number, pair in enumerate(pairs)])
        if len(rows) < _LEAST_COLOURS:
            raise DataError(
                f"only {len(rows)} blocks of {block} x {block} pixels are even, valid and neither black nor "
                "clipped: no camera can be fitted to these pairs"
            )
        if rows[:, 3:6].max() < 1e-4:
            raise DataError("no camera can be fitted: the RAW of all pairs is black")
        cell = np.minimum((rows[:, :3] * COLOUR_CELLS).astype(int), COLOUR_CELLS - 1) @ [
            COLOUR_CELLS * COLOUR_CELLS,
            COLOUR_CELLS,
            1,
        ]
        shuffled = np.random.default_rng(0).permutation(len(rows))
        order = shuffled[np.argsort(cell[shuffled], kind="stable")]
        rank = np.arange(len(rows)) - np.searchsorted(cell[order], cell[order])
        order, rank = order[rank < _BLOCKS_A_CELL], rank[rank < _BLOCKS_A_CELL]
        rows = rows[order[np.argsort(rank, kind="stable")][:_MOST_COLOURS]]
        return cls(rows[:, :3], rows[:, 3:6], rows[:, 6], rows[:, 7].astype(int))


def _blocks(pair: FitPair, block: int, number: int) -> Array:
    """Return photo colour, RAW colour, squared radius and region of a pair's even blocks: ``[N, 8]`` float64."""
    srgb = pair.srgb.detach().cpu()
    raw_rgb = pair.raw_rgb.detach().cpu().to(srgb.dtype)
    photo, raw = F.avg_pool2d(srgb, block), F.avg_pool2d(raw_rgb, block)
    deviation = (F.avg_pool2d(srgb.square(), block) - photo.square()).clamp_min(0).sqrt().amax(0)
    usable = (F.max_pool2d(srgb, block).amax(0) < LEAST_CLIPPED) & (
        F.max_pool2d(raw_rgb, block).amax(0) < LEAST_CLIPPED
    )
    usable &= (photo.amin(0) > DARKEST_PHOTO) & raw.isfinite().all(0) & deviation.isfinite()
    if pair.valid is not None:
        usable &= F.max_pool2d(1 - pair.valid.detach().cpu().float(), block)[0] == 0
    if not usable.any():
        return np.empty((0, 8))
    even = max(EVEN_DEVIATION, float(deviation[usable].median()))
    usable &= deviation <= even
    place = place_map(srgb.shape[-2], srgb.shape[-1]) if pair.place is None else pair.place.detach().cpu()
    square = F.avg_pool2d(place[2:].double().square(), block)
    rows, columns = (torch.arange(side) * REGIONS // side for side in photo.shape[-2:])
    region = (number * REGIONS + rows[:, None]) * REGIONS + columns
    return torch.cat([photo.double(), raw.double(), square, region[None].double()])[:, usable].T.numpy()


class _Fit:
    """The least-squares problem: 9 parameters of the matrix, 3 of black, 2 of shading, and the curve's.

    The curve's increments are the softmax of its parameters, so that it always rises from 0 to 1. Each parameter
    has a weak prior, which matters only where the colours do not determine the parameter.
    """

    def __init__(self, colours: _Colours, shading: bool) -> None:
        self.colours = colours
        self.hats = np.clip(colours.srgb[..., None] * INTERVALS - np.arange(INTERVALS), 0, 1)
        self.powers = np.stack([colours.square, colours.square**2], axis=1)
        slopes = np.log(np.diff(plain_curve().numpy()))
        light = self.hats @ np.exp(slopes)
        gains = np.maximum((light * colours.raw).sum(axis=0) / (light**2).sum(axis=0), 1e-6)
        self.start = np.concatenate([np.diag(gains).ravel(), np.zeros(5), slopes])
        bend, lean = (np.diff(np.eye(INTERVALS), order, axis=0) for order in (2, 1))
        firm = np.repeat([2 / gains.mean(), 100.0, 3.0 if shading else 1e6], [9, 3, 2])
        self.prior = np.diag(np.concatenate([firm**2, np.full(INTERVALS, 1e-6)]))
        self.prior[14:, 14:] += CURVE_STIFFNESS[0] ** 2 * bend.T @ bend + CURVE_STIFFNESS[1] ** 2 * lean.T @ lean

    def predict(self, parameters: Array) -> tuple[Array, Array]:
        """Return the RAW colours ``[N, 3]`` and their derivative by the parameters ``[N, 3, P]``."""
        matrix, black, shading, slopes = np.split(parameters, [9, 12, 14])
        matrix = matrix.reshape(3, 3)
        steps = np.exp(slopes - slopes.max())
        steps /= steps.sum()
        light = self.hats @ steps
        dim = 1 / np.maximum(1 + self.powers @ shading, 0.05)[:, None]
        raw = light @ matrix.T * dim
        jacobian = np.zeros((*raw.shape, len(parameters)))
        for channel in range(3):
            jacobian[:, channel, 3 * channel : 3 * channel + 3] = light * dim
            jacobian[:, channel, 9 + channel] = 1
        jacobian[:, :, 12:14] = -(raw * dim)[..., None] * self.powers[:, None, :]
        curve = (self.hats - light[..., None]) * steps
        jacobian[:, :, 14:] = np.einsum("ck,nkj->ncj", matrix, curve) * dim[..., None]
        return raw + black, jacobian

    def solve(self) -> Array:
        """Minimise the soft-L1 loss. The median error of the previous fit sets its width."""
        parameters = self.start
        for _ in range(4):
            error = self.predict(parameters)[0] - self.colours.raw
            width = 1.4826 * float(np.median(np.abs(error))) + 1e-5
            parameters = self._descend(parameters, width)
        self.width = width
        return parameters

    def _cost(self, parameters: Array, width: float) -> tuple[float, Array, Array]:
        raw, jacobian = self.predict(parameters)
        error = (raw - self.colours.raw) / width
        change = parameters - self.start
        cost = 2 * (np.sqrt(1 + error**2) - 1).sum() + change @ self.prior @ change
        return float(cost), error.ravel(), jacobian.reshape(-1, len(parameters)) / width

    def _descend(self, parameters: Array, width: float) -> Array:
        """Levenberg-Marquardt on reweighted errors (Nocedal and Wright, Numerical Optimization, section 10.3)."""
        damping = 1e-3
        cost, error, jacobian = self._cost(parameters, width)
        for _ in range(30):
            weighted = jacobian / np.sqrt(1 + error**2)[:, None]
            curvature = weighted.T @ jacobian + self.prior
            slope = weighted.T @ error + self.prior @ (parameters - self.start)
            before = cost
            while damping < 1e6:
                step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), slope)
                trial = self._cost(parameters - step, width)
                if trial[0] < cost:
                    parameters = parameters - step
                    cost, error, jacobian = trial
                    damping /= 10
                    break
                damping *= 4
            if before - cost <= 1e-6 * before:
                break
        return parameters

    def errors(self, parameters: Array) -> FitErrors:
        """Return the standard errors of the result of `solve`: the sandwich, with regions for clusters.

        K.-Y. Liang, S. L. Zeger, "Longitudinal Data Analysis Using Generalized Linear Models", Biometrika 73
        (1986).
        """
        _, error, jacobian = self._cost(parameters, self.width)
        root = np.sqrt(1 + error**2)
        curvature = jacobian.T @ (jacobian / root[:, None]) + self.prior
        scores = np.zeros((self.colours.region.max() + 1, len(parameters)))
        np.add.at(scores, self.colours.region.repeat(3), jacobian * (error / root)[:, None])
        half = np.linalg.solve(curvature, scores.T)  # so that the covariance is half @ half.T
        matrix, _, _, slopes = np.split(parameters, [9, 12, 14])
        steps = np.exp(slopes - slopes.max())
        steps /= steps.sum()
        below = np.tri(INTERVALS + 1, INTERVALS, -1)
        curve = (below - (below @ steps)[:, None]) * steps
        forward = np.linalg.inv(matrix.reshape(3, 3))
        moved = np.einsum("ij,jkn,kl->iln", forward, half[:9].reshape(3, 3, -1), forward)
        return FitErrors(
            curve=as_tuples(_norm(curve @ half[14:])),
            matrix=as_tuples(_norm(moved)),
            black=as_tuples(_norm(half[9:12])),
            corner_gain=float(_norm(half[12:14].sum(axis=0))),
        )

    def camera(self, parameters: Array) -> FittedCamera:
        """Return the camera of the fitted parameters, without headroom, samples, PSNR and RMS."""
        matrix, black, shading, slopes = np.split(parameters, [9, 12, 14])
        steps = np.exp(slopes - slopes.max())
        curve = np.concatenate([[0], np.cumsum(steps / steps.sum())])
        curve[-1] = 1
        shading = np.where(np.abs(shading) < 1e-6, 0, shading)  # exactly 0 where shading is not fitted
        try:
            forward = np.linalg.inv(matrix.reshape(3, 3))
            return FittedCamera(as_tuples(curve), as_tuples(forward), as_tuples(black), shading=as_tuples(shading))
        except (np.linalg.LinAlgError, ConfigError) as error:
            raise DataError(f"photos and RAW do not determine a camera: {error}") from error


def _norm(rows: Array) -> Array:
    return np.sqrt(np.square(rows).sum(axis=-1))


def _headroom(camera: FittedCamera, pairs: Sequence[_Counted]) -> Array:
    """Return the RAW in excess of the fit for clipped colours ``[3, 4]``: least absolute deviations, not negative.

    Every pair has the same weight. Otherwise a pair that is overexposed everywhere would decide for all. If hardly
    any pixel is clipped, the excess cannot be measured and is 0.
    """
    clipped, excess, weight = [], [], []
    for srgb, raw_rgb, counts, place in pairs:
        share = clipping(srgb)
        counts = counts & (share > 0).any(0)
        clipped.append(share[:, counts].double())
        excess.append((raw_rgb - camera.unprocess(srgb, place))[:, counts].double())
        weight.append(torch.full((int(counts.sum()),), 1 / max(int(counts.sum()), _FEW_PIXELS)).double())
    from scipy.optimize import nnls  # takes a third of a second to import, which no prediction needs

    x, y, pairwise = torch.cat(clipped, 1), torch.cat(excess, 1), torch.cat(weight)
    headroom = y.new_zeros(3, 4)
    if x.shape[1] < _FEW_PIXELS:
        return headroom.numpy()
    weights = pairwise.expand(3, -1)
    for _ in range(15):  # iteratively reweighted least squares
        for channel in range(3):
            scaled = x * weights[channel]
            root = torch.linalg.cholesky(scaled @ x.T + _HEADROOM_PRIOR * torch.eye(4).double())
            right = torch.linalg.solve_triangular(root, (scaled @ y[channel])[:, None], upper=False)
            headroom[channel] = torch.from_numpy(nnls(root.T.numpy(), right[:, 0].numpy())[0])
        weights = pairwise * _SMALL_RESIDUAL / ((y - headroom @ x).abs() + _SMALL_RESIDUAL)
    return headroom.numpy()


def _forward_psnr(camera: FittedCamera, pairs: Sequence[_Counted]) -> float:
    """Return the PSNR of the developed RAW against the photo over the valid pixels of all pairs, in dB."""
    total, count = 0.0, 0
    for srgb, raw_rgb, counts, place in pairs:
        error = (camera.develop(raw_rgb, place) - srgb)[:, counts].double()
        total, count = total + float(error.square().sum()), count + error.numel()
    return -10 * math.log10(max(total / max(count, 1), 1e-12))


def _thinned(pairs: Sequence[FitPair]) -> list[_Counted]:
    """Subsample pairs to a coarser grid; the third item is a bool mask ``[H, W]`` of the pixels that count."""
    stride = math.ceil(math.sqrt(sum(pair.srgb[0].numel() for pair in pairs) / _MOST_PIXELS))
    thinned = []
    for srgb, raw_rgb, valid, place in pairs:
        photo, raw = (x.detach().cpu().float()[:, ::stride, ::stride] for x in (srgb, raw_rgb))
        counts = raw.isfinite().all(0) & photo.isfinite().all(0)
        if valid is not None:
            counts &= valid.detach().cpu()[0, ::stride, ::stride] == 1
        here = None if place is None else place.detach().cpu()[:, ::stride, ::stride]
        thinned.append((photo, raw, counts, here))
    return thinned
