"""The result of registration, and its use: warp the photo to the RAW's grid, or reduce the RAW to the photo's."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from revisp.align.affine import Array, apply, inverse, sample, scale_of
from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.symmetry import Symmetry

__all__ = ["Alignment"]

FULL_SIZE = 0.75
"""Scale below which a photo counts as reduced. Cameras' previews have half size or less; crops keep the scale."""
WHOLE_PIXEL = 0.25
"""Greatest deviation from a shift by whole pixels, in pixels, at which the photo is cropped, not interpolated."""
MAX_DEVIATION = 1.0
"""Displacement, in pixels of the coarser of both grids, beyond which a pixel is not valid."""
SAME_EXPOSURE_CORRELATION = 0.35
"""Noise correlation of one exposure. Measured, full size: one exposure 0.68 to 0.70, another one 0.08."""
OTHER_EXPOSURE_CORRELATION = 0.2
"""Noise correlation up to which the exposure is another one, if the photo still has noise. Between this value and
the one above, `Alignment.same_exposure` is None."""
NOISE_LEFT = 0.5
"""Ratio of the photo's noise to the RAW's below which denoising or JPEG has left too little noise to compare."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """The position of a photo on its RAW, and the evidence for it.

    *Convention*: integer coordinates are pixel centres; RAW pixels are those after EXIF orientation and
    `symmetry`.

    Attributes:
        symmetry: flips and turns to apply to the upright RAW; the identity where the EXIF orientation is right.
        matrix: 2x3, from (x, y, 1) of a RAW pixel to (x, y) of the photo.
        raw_size: (height, width) of the RAW after `symmetry`.
        photo_size: (height, width) of the photo.
        rows: row of the RAW at the centre of each row of blocks, ``[by]``.
        columns: column of the RAW at the centre of each column of blocks, ``[bx]``.
        flow: residual shift of the photo's content against the RAW's in each block after `matrix`, (x, y) in RAW
            pixels, ``[by, bx, 2]``. It is 0 along a straight edge, where it cannot be measured, and in blocks that
            are not trusted.
        trusted: blocks that were found, ``[by, bx]``.
        unlike: blocks with texture in both pictures whose textures differ, ``[by, bx]``.
        noise_correlation: correlation between the noise of the photo and of the RAW, see `same_exposure`; NaN
            where it was not measured (reduced photos, no flat areas).
        noise_ratio: strength of the photo's noise over that of the developed RAW; NaN where it was not measured.

    Example:
        >>> grid = (2, 2)  # blocks
        >>> shifted = Alignment(
        ...     Symmetry(), np.array([[1.0, 0, -6], [0, 1.0, -4]]), (40, 60), (32, 48), np.array([10, 30]),
        ...     np.array([15, 45]), np.zeros((*grid, 2)), np.ones(grid, bool), np.zeros(grid, bool),
        ... )
        >>> shifted.integer_shift, shifted.window
        ((-4, -6), (4.0, 6.0, 36.0, 54.0))
        >>> shifted.warp(torch.rand(3, 32, 48), 40, 60).shape
        torch.Size([3, 40, 60])
    """

    symmetry: Symmetry
    matrix: Array
    raw_size: tuple[int, int]
    photo_size: tuple[int, int]
    rows: Array
    columns: Array
    flow: Array
    trusted: Array
    unlike: Array
    noise_correlation: float = field(default=math.nan)
    noise_ratio: float = field(default=math.nan)

    @property
    def offset(self) -> tuple[float, float]:
        """(dy, dx): photo index minus RAW index at the centre of the RAW's frame."""
        centre = np.array([(self.raw_size[1] - 1) / 2, (self.raw_size[0] - 1) / 2])
        dx, dy = apply(self.matrix, centre) - centre
        return float(dy), float(dx)

    @property
    def scale(self) -> float:
        """Photo pixels per RAW pixel."""
        return scale_of(self.matrix)

    @property
    def rotation(self) -> float:
        """Angle from the RAW's axes to the photo's, degrees; positive turns x towards y."""
        (a, b), (c, d) = self.matrix[:, :2]
        return math.degrees(math.atan2(c - b, a + d))

    @property
    def window(self) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of the RAW that the photo shows: slice bounds at the middle of each side."""
        height, width = self.photo_size
        x, y = (width - 1) / 2, (height - 1) / 2
        sides = np.array([[x, -0.5], [-0.5, y], [x, height - 0.5], [width - 0.5, y]])
        ends = apply(inverse(self.matrix), sides) + 0.5
        return float(ends[0, 1]), float(ends[1, 0]), float(ends[2, 1]), float(ends[3, 0])

    @property
    def is_reduced(self) -> bool:
        """Whether the photo is much smaller than the RAW, so that the RAW must be reduced to it."""
        return self.scale < FULL_SIZE

    @property
    def same_exposure(self) -> bool | None:
        """Whether photo and RAW come from one exposure, judged by their noise; None where the noise does not tell.

        Two exposures from a tripod align as well as one, but their noise and moving objects differ. In pictures of
        full size the two cases are far apart (`SAME_EXPOSURE_CORRELATION`). In the reduced previews that cameras
        embed, averaging and strong JPEG compression leave no noise, so the answer is None. It is also None for
        photos whose denoising left too little noise.
        """
        if self.noise_correlation >= SAME_EXPOSURE_CORRELATION:
            return True
        if self.noise_correlation <= OTHER_EXPOSURE_CORRELATION and self.noise_ratio >= NOISE_LEFT:
            return False
        return None

    @property
    def residual_median(self) -> float:
        """Median length of `flow` over trusted blocks, RAW pixels."""
        return float(np.median(self._lengths()[self.trusted]))

    @property
    def residual_p95(self) -> float:
        """95th percentile of the length of `flow` over trusted blocks, RAW pixels."""
        return float(np.quantile(self._lengths()[self.trusted], 0.95))

    @property
    def residual_edge(self) -> float:
        """Largest length of `flow` over trusted blocks of the frame's outer eighth, RAW pixels; 0 without any."""
        inner = np.zeros_like(self.trusted)
        by, bx = (max(1, n // 8) for n in inner.shape)
        inner[by:-by, bx:-bx] = True
        return float(self._lengths()[self.trusted & ~inner].max(initial=0.0))

    @property
    def integer_shift(self) -> tuple[int, int] | None:
        """(dy, dx) if the map equals that shift within `WHOLE_PIXEL` everywhere in the frame, else None."""
        height, width = self.raw_size
        corners = np.array([[x, y] for x in (0, width - 1) for y in (0, height - 1)], float)
        moved = apply(self.matrix, corners) - corners
        shift = moved.mean(0).round()
        if np.abs(moved - shift).max() >= WHOLE_PIXEL:
            return None
        return int(shift[1]), int(shift[0])

    def warp(self, photo: Tensor, height: int, width: int) -> Tensor:
        """Warp the photo to the RAW's grid.

        A shift by whole pixels is a crop, which keeps the photo's values. Any other map is interpolated (cubic
        spline). Beyond the photo its border is repeated; `valid` is 0 there.

        Args:
            photo: sRGB ``[3, h, w]`` in [0, 1], of the size that was registered.
            height: rows of the RAW to fill, from the top.
            width: columns of the RAW to fill, from the left.

        Returns:
            sRGB ``[3, height, width]`` in [0, 1].

        Raises:
            ConfigError: the photo is reduced; use `reduced` and `cropped` instead.
            ShapeError: not the registered size, or not floating point.
        """
        self._check_photo(photo)
        if self.is_reduced:
            raise ConfigError(
                f"a photo at {self.scale:.3f} of the RAW's size is not enlarged: reduce the RAW to the photo"
            )
        if self.integer_shift is None:
            return sample(photo, self.matrix, (height, width), border="nearest").clamp(0, 1)
        dy, dx = self.integer_shift
        rows = (torch.arange(height, device=photo.device) + dy).clamp(0, self.photo_size[0] - 1)
        columns = (torch.arange(width, device=photo.device) + dx).clamp(0, self.photo_size[1] - 1)
        return photo[:, rows[:, None], columns]

    def valid(self, height: int, width: int) -> Tensor:
        """Return ``[1, height, width]``: 1 where photo and RAW show the same content within a pixel, else 0.

        It is 0 outside the photo, and where the surrounding blocks deviate by more than `MAX_DEVIATION` or are
        `unlike`. A block without a measurement takes the mean of its measured neighbours, weighted by nearness.
        """
        limit = MAX_DEVIATION * max(1.0, 1 / self.scale)
        # An unlike block must outweigh its good neighbours over half of the distance to them.
        deviation = _fill(np.where(self.unlike, 2 * limit, self._lengths()), self.trusted | self.unlike)
        down, across = _hat(self.rows, height), _hat(self.columns, width)
        near = torch.from_numpy((down @ deviation @ across.T).astype(np.float32)) <= limit
        x, y = torch.arange(width, dtype=torch.float64), torch.arange(height, dtype=torch.float64)[:, None]
        slack = WHOLE_PIXEL if self.integer_shift is not None else 1e-6
        for (a, b, c), side in zip(self.matrix, reversed(self.photo_size), strict=True):
            at = a * x + b * y + c
            near &= (at >= -slack) & (at <= side - 1 + slack)
        return near[None].float()

    @property
    def common(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the part of the photo that lies entirely on the RAW; its size is even."""
        x, y = self._footprints()
        half_x, half_y = self._half_box()
        inside = (x - half_x >= -0.5 - 1e-9) & (x + half_x <= self.raw_size[1] - 0.5 + 1e-9)
        inside &= (y - half_y >= -0.5 - 1e-9) & (y + half_y <= self.raw_size[0] - 0.5 + 1e-9)
        top, left, bottom, right = 0, 0, *self.photo_size
        while bottom - top > 2 and right - left > 2:
            part = inside[top:bottom, left:right]
            sides = part[0].mean(), part[:, 0].mean(), part[-1].mean(), part[:, -1].mean()
            worst = int(np.argmin(sides))
            if sides[worst] == 1:
                break
            top, left = top + (worst == 0), left + (worst == 1)
            bottom, right = bottom - (worst == 2), right - (worst == 3)
        return top, left, (bottom - top) // 2 * 2, (right - left) // 2 * 2

    def reduced(self, raw: Tensor) -> Tensor:
        """Average the RAW over the area of each pixel of the photo.

        The area of a pixel is exact to fractions of a RAW pixel. Only the part `common` is returned: pixels whose
        area lies entirely on the RAW. Its size is even, so that the result can be mosaicked again. `cropped` cuts
        the photo to the same part. Use it for linear demosaiced RAW and for the mask of `valid`.

        Args:
            raw: ``[C, H, W]`` of the size `raw_size`, floating point.

        Returns:
            ``[C, h, w]`` as `common`.

        Raises:
            ShapeError: not the registered size, or not floating point.
        """
        if tuple(raw.shape[-2:]) != self.raw_size or raw.ndim != 3 or not raw.is_floating_point():
            raise ShapeError(
                f"raw must be floating point [C, {self.raw_size[0]}, {self.raw_size[1]}], got {raw.shape}"
            )
        top, left, height, width = self.common
        x, y = (v[top : top + height, left : left + width] + 0.5 for v in self._footprints())
        half_x, half_y = self._half_box()
        reduced = torch.empty(raw.shape[0], height, width, dtype=raw.dtype)
        for plane, target in zip(raw.cpu(), reduced, strict=True):
            # The integral of a piecewise constant picture is bilinear between pixel corners: exact at any box.
            table = F.pad(plane.double().cumsum(0).cumsum(1), (1, 0, 1, 0)).numpy()
            total = np.zeros((height, width))
            for sign_x, sign_y in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
                at = [y + sign_y * half_y, x + sign_x * half_x]
                total += sign_x * sign_y * ndimage.map_coordinates(table, at, order=1, mode="nearest")
            target.copy_(torch.from_numpy(total / (4 * half_x * half_y)))
        return reduced.to(raw.device)

    def cropped(self, photo: Tensor) -> Tensor:
        """Cut the photo ``[3, h, w]`` to the part `common`, as `reduced` does with the RAW.

        Raises:
            ShapeError: not the registered size, or not floating point.
        """
        self._check_photo(photo)
        top, left, height, width = self.common
        return photo[:, top : top + height, left : left + width]

    def _lengths(self) -> Array:
        lengths: Array = np.hypot(self.flow[..., 0], self.flow[..., 1])
        return lengths

    def _half_box(self) -> tuple[float, float]:
        """Half the width and height of a photo pixel, in RAW pixels."""
        back = inverse(self.matrix)
        return float(np.hypot(*back[:, 0])) / 2, float(np.hypot(*back[:, 1])) / 2

    def _footprints(self) -> tuple[Array, Array]:
        """Return (x, y) in the RAW of the centre of each photo pixel, ``[h, w]`` each."""
        y, x = np.indices(self.photo_size, dtype=float)
        a, b = inverse(self.matrix)
        return a[0] * x + a[1] * y + a[2], b[0] * x + b[1] * y + b[2]

    def _check_photo(self, photo: Tensor) -> None:
        check_image(photo, 3, "photo")
        if photo.ndim != 3 or tuple(photo.shape[-2:]) != self.photo_size:
            raise ShapeError(
                f"photo must be [3, {self.photo_size[0]}, {self.photo_size[1]}], got {list(photo.shape)}"
            )


def _hat(centres: Array, length: int) -> Array:
    """Return the weights ``[length, n]`` of linear interpolation between centres, constant beyond them."""
    weights: Array = np.stack([np.interp(np.arange(length), centres, row) for row in np.eye(len(centres))], -1)
    return weights


def _fill(values: Array, known: Array) -> Array:
    """Replace unknown blocks by the mean of known neighbours, in ever wider neighbourhoods."""
    filled, missing = np.where(known, values, 0.0), ~known
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        weight, total = (
            ndimage.gaussian_filter(x, sigma, mode="constant", truncate=3.0)
            for x in (known.astype(float), np.where(known, values, 0.0))
        )
        # One known block at two sigma is enough. The factor is the inverse of the kernel's peak.
        reached = missing & (weight * 2 * np.pi * sigma**2 > np.exp(-2))
        filled[reached] = total[reached] / weight[reached]
        missing &= ~reached
    return filled
