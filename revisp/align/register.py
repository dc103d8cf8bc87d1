"""Registration of a photo to its RAW: a coarse search, then block matching from coarse to fine, then checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from revisp.align.affine import Array, apply, inverse, resize_matrix, sample, scale_of, then
from revisp.align.alignment import FULL_SIZE, Alignment
from revisp.align.blocks import Matches, match_blocks
from revisp.align.fit import AffineStep, affine_step
from revisp.align.noise import NO_NOISE, compare_noise
from revisp.align.search import MAX_OUTSIDE, SURE_CORRELATION, Candidate, search
from revisp.align.signal import area_resize, band_floor, luma, normalise
from revisp.checks import check_image
from revisp.errors import AlignmentError, ShapeError
from revisp.symmetry import Symmetry

__all__ = ["align"]

MIN_SCORE = 0.35
"""Least correlation of the coarse search. Photos of one exposure reached 0.94 to 0.98, other ones 0.1 to 0.4."""
MIN_BLOCKS = 8
"""Least number of blocks that agree: an affine map has six unknowns, a block gives one or two."""
MIN_AGREEMENT = 0.6
"""Least share of the textured blocks that agree with the affine map within `MAX_DISTANCE`."""
MAX_DISTANCE = 3.0
"""Greatest distance of a block from the affine map, in pixels of the coarser grid, that a lens can explain."""
MAX_MEDIAN = 1.0
"""Largest median distance, in pixels of the coarser grid; real pairs have 0.1 to 0.5."""
MAX_UNCERTAINTY = 0.5
"""Largest standard deviation of the map at a corner of the frame, pixels of the coarser grid."""
MAX_ROTATION = 2.0
"""Largest rotation, degrees. One exposure has none; a straightened photo is no longer the camera's."""
MAX_SCALE = 1.25
"""Largest scale of a photo. An enlargement holds no more detail, and its pixels are all interpolated."""
MAX_UNEQUAL = 0.01
"""Largest difference between the scales of the two axes."""
TEXTURED_SHARE = 0.15
"""Share of texture in a block from which a failed match counts against the photo."""
UNLIKE_CORRELATION = 0.3
"""Correlation below which a block with texture in both pictures shows different content."""

_SEARCH_REACH = 10
"""Greatest shift of a block in the search, in pixels of the working grid."""
_MANY_BLOCKS = 600
"""Number of blocks above which the first pass takes every other row and column of blocks."""


class _Blocks(NamedTuple):
    """Matches on a grid: the rows and columns of the centres, and the side of a block."""

    matches: Matches
    rows: Array
    columns: Array
    size: int


@dataclass(frozen=True)
class _Level:
    """Photo and reference at one pitch. ``to_raw``, ``to_photo``: from their grids to full-size pixels."""

    reference: Tensor
    reference_texture: Tensor
    photo: Tensor
    photo_texture: Tensor
    to_raw: Array
    to_photo: Array

    def onto(self, matrix: Array) -> Array:
        """Return the matrix from this level's reference grid to its photo grid, given the matrix at full size."""
        return then(self.to_raw, matrix, inverse(self.to_photo))


def align(photo: Tensor, reference: Tensor, *, window: tuple[int, int, int, int] | None = None) -> Alignment:
    """Register a photo to the RAW that it was made from, or raise an error with the reason.

    The photo may be the camera's own JPEG, a reduced preview or another converter's rendering. The search covers
    mirrors, quarter turns, scale, offset (crop, masked borders) and small rotation. Colour, tone and sharpening
    may differ, because band-passed, locally normalised luma is matched. Blocks measure the residual shift.

    *Convention*: integer coordinates are pixel centres; both pictures upright. The reference must come from a
    demosaicker that does not shift (bilinear, Malvar, DemosaicNet).

    Args:
        photo: sRGB ``[3, h, w]`` in [0, 1].
        reference: the RAW demosaiced and developed plainly (`revisp.camera.develop`), sRGB ``[3, H, W]``.
        window: (top, left, height, width) of the reference that the photo shows, if the camera stores it. It is a
            hint only: the search also tries the scale at which the photo fills the window.

    Raises:
        AlignmentError: the photo shows something else, has too little texture, too few blocks agree, or the
            distortion is too strong; one line with the numbers.
        ShapeError: not floating-point ``[3, H, W]``.

    Example:
        >>> raw = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
        >>> raw = torch.nn.functional.interpolate(raw, scale_factor=4.0, mode="bilinear")[0]
        >>> found = align(raw[:, 4:-4, 6:-6], raw)  # the photo shows the RAW without its border
        >>> found.integer_shift, round(found.scale, 3)
        ((-4, -6), 1.0)
    """
    for picture, name in ((photo, "photo"), (reference, "reference")):
        check_image(picture, 3, name)
        if picture.ndim != 3:
            raise ShapeError(f"{name} must be one picture [3, H, W], got {list(picture.shape)}")
    with torch.no_grad():
        photo_luma, reference_luma = luma(photo.cpu()), luma(reference.cpu())
        candidates = _likely(search(photo_luma, reference_luma, window))
        refusal: AlignmentError | None = None
        for candidate in candidates:
            try:
                return _refine(photo_luma, candidate.symmetry.apply(reference_luma).contiguous(), candidate)
            except AlignmentError as error:
                refusal = refusal or error
    assert refusal is not None
    raise refusal


def _likely(found: list[Candidate]) -> list[Candidate]:
    """Keep up to three good candidates; the identity comes first, unless another is clearly better."""
    best = found[0].score
    if best < MIN_SCORE:
        raise AlignmentError(
            f"the photo does not show what the RAW shows (correlation {best:.2f}, at least {MIN_SCORE} is needed)"
        )
    kept = [c for c in found if c.score >= max(MIN_SCORE, 0.5 * best)][:3]
    return sorted(kept, key=lambda c: any(c.symmetry) or c.score < SURE_CORRELATION * best)


def _refine(photo: Tensor, reference: Tensor, candidate: Candidate) -> Alignment:
    matrix = candidate.matrix
    finest = max(1.0, 1 / scale_of(matrix))
    pitches = [finest]
    while max(reference.shape) / (4 * pitches[0]) > 400:
        pitches.insert(0, 4 * pitches[0])
    for pitch in pitches:
        level = _level(photo, reference, matrix, pitch)
        for stride in (2, 1):  # a quarter of the blocks suffices for the first step
            blocks = _match(level, matrix, stride)
            if blocks.matches.found.sum() < MIN_BLOCKS:
                _refuse_texture(level, blocks, matrix)
            step = affine_step(blocks.matches, _size(level.reference))
            matrix = then(inverse(level.to_raw), step.matrix, level.onto(matrix), level.to_photo)
    return _judge(level, blocks, step, matrix, candidate.symmetry, (photo, reference))


def _level(photo: Tensor, reference: Tensor, matrix: Array, pitch: float) -> _Level:
    pictures = []
    for full, own in ((reference, pitch), (photo, max(1.0, pitch * scale_of(matrix)))):
        small = area_resize(full, (round(full.shape[0] / own), round(full.shape[1] / own)))
        band, texture = normalise(small, band_floor(small))
        pictures.append((band, texture, resize_matrix(_size(small), _size(full))))
    (a, a_texture, to_raw), (b, b_texture, to_photo) = pictures
    return _Level(a, a_texture, b, b_texture, to_raw, to_photo)


def _match(level: _Level, matrix: Array, stride: int) -> _Blocks:
    height, width = level.reference.shape
    size = int(np.clip(min(height, width) // 10, 48, 128)) // 2 * 2
    rows, columns = (_centres(side, size) for side in (height, width))
    if len(rows) * len(columns) > _MANY_BLOCKS:
        rows, columns = rows[::stride], columns[::stride]
    centres = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    moved = sample(level.photo[None], level.onto(matrix), (height, width))[0]
    return _Blocks(match_blocks(level.reference, moved, centres, size, _SEARCH_REACH), rows, columns, size)


def _centres(side: int, size: int) -> Array:
    count = max(1, round((side - size) / (0.75 * size)) + 1)
    centres: Array = np.linspace(size // 2, max(side - size // 2, size // 2), count).round().astype(int)
    return centres


def _textured(level: _Level, blocks: _Blocks, matrix: Array) -> Array:
    """Return a mask of the blocks with texture in both pictures, ``[n]``."""
    result = np.ones(len(blocks.matches.centre), bool)
    for texture, at in (
        (level.reference_texture, blocks.matches.centre),
        (level.photo_texture, apply(level.onto(matrix), blocks.matches.centre)),
    ):
        share = ndimage.uniform_filter(texture.numpy(), blocks.size // 2, mode="nearest")
        x, y = at.round().astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < share.shape[1]) & (y < share.shape[0])
        result &= inside & (share[y.clip(0, share.shape[0] - 1), x.clip(0, share.shape[1] - 1)] >= TEXTURED_SHARE)
    return result


def _refuse_texture(level: _Level, blocks: _Blocks, matrix: Array) -> NoReturn:
    found, both = int(blocks.matches.found.sum()), int(_textured(level, blocks, matrix).sum())
    if both < MIN_BLOCKS:
        raise AlignmentError(
            f"too little texture to align by: {both} of {len(blocks.matches.found)} blocks have texture, "
            f"at least {MIN_BLOCKS} are needed"
        )
    raise AlignmentError(
        f"the photo does not fit the RAW: {found} of {both} textured blocks were found, "
        f"at least {MIN_BLOCKS} are needed"
    )


def _judge(
    level: _Level,
    blocks: _Blocks,
    step: AffineStep,
    matrix: Array,
    symmetry: Symmetry,
    pictures: tuple[Tensor, Tensor],
) -> Alignment:
    """Refuse an unreliable fit, otherwise return it; `pictures` are the luma of photo and RAW at full size."""
    photo, reference = pictures
    found, pitch = blocks.matches.found, float(level.to_raw[0, 0])
    coarser = max(1.0, 1 / scale_of(matrix))  # RAW pixels
    off = np.hypot(*step.rest.T) * pitch / coarser
    agree = found & (off <= MAX_DISTANCE)
    both = _textured(level, blocks, matrix)
    count, total = int(agree.sum()), int((found | both).sum())
    if count < MIN_BLOCKS or count < MIN_AGREEMENT * total:
        raise AlignmentError(
            f"the photo does not fit the RAW: {count} of {total} textured blocks agree on one position "
            f"({count / total:.0%}, at least {MIN_AGREEMENT:.0%} and {MIN_BLOCKS} blocks are needed)"
        )
    _check_map(matrix, step.uncertainty * pitch / coarser, float(np.median(off[agree])))
    rows, columns = (
        np.round((at + 0.5) * pixels - 0.5, 1)
        for at, pixels in ((blocks.rows, level.to_raw[1, 1]), (blocks.columns, pitch))
    )
    grid = (len(rows), len(columns))
    noise = NO_NOISE if coarser > 1 / FULL_SIZE else compare_noise(reference, photo, matrix)
    alignment = Alignment(
        symmetry=symmetry,
        matrix=matrix,
        raw_size=_size(reference),
        photo_size=_size(photo),
        rows=rows,
        columns=columns,
        flow=(step.rest * pitch * found[:, None]).reshape(*grid, 2),
        trusted=found.reshape(grid),
        unlike=(both & (blocks.matches.peak < UNLIKE_CORRELATION)).reshape(grid),
        noise_correlation=noise.correlation,
        noise_ratio=noise.ratio,
    )
    _check_area(alignment)
    return alignment


def _check_map(matrix: Array, uncertainty: float, median: float) -> None:
    if scale_of(matrix) > MAX_SCALE:
        raise AlignmentError(
            f"the photo is an enlargement: {scale_of(matrix):.2f} times the RAW's size (at most {MAX_SCALE:g})"
        )
    (a, b), (c, d) = matrix[:, :2]
    turn, unequal = np.degrees(np.arctan2(c - b, a + d)), np.hypot(a, c) / np.hypot(b, d) - 1
    if abs(turn) > MAX_ROTATION or abs(unequal) > MAX_UNEQUAL:
        raise AlignmentError(
            f"the photo was turned or stretched: rotation {turn:.2f} degrees (at most {MAX_ROTATION:g}), "
            f"scales of the axes unequal by {unequal:.1%} (at most {MAX_UNEQUAL:.0%})"
        )
    if uncertainty > MAX_UNCERTAINTY:
        raise AlignmentError(
            f"the texture covers too little of the frame: a corner is uncertain by {uncertainty:.1f} pixels "
            f"(at most {MAX_UNCERTAINTY:g})"
        )
    if median > MAX_MEDIAN:
        raise AlignmentError(
            f"the photo is distorted against the RAW: half of the blocks are {median:.1f} pixels or more off "
            f"their place (at most {MAX_MEDIAN:g})"
        )


def _check_area(alignment: Alignment) -> None:
    top, left, bottom, right = alignment.window
    height, width = alignment.raw_size
    inside = max(min(bottom, height) - max(top, 0), 0) * max(min(right, width) - max(left, 0), 0)
    outside = 1 - inside / ((bottom - top) * (right - left))
    if outside > MAX_OUTSIDE:
        raise AlignmentError(
            f"{outside:.0%} of the photo lies outside the RAW (at most {MAX_OUTSIDE:.0%}): another framing"
        )


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[0], x.shape[1]
