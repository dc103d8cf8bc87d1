"""Prediction on photos of any size, in memory that the photo bounds and not the network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.inference.tiling import tile_apply
from revisp.pipeline import MINIMUM_SIZE, Reconstruction, ReverseISP, check_photos

__all__ = ["predict"]


def predict(
    model: ReverseISP,
    srgb: Tensor,
    *,
    tile: int | None = 512,
    overlap: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reconstruction:
    """Reconstruct the RAW of photos of any size, tile by tile.

    The two branches run on overlapping tiles and are blended before fusion and mosaicing, which see the whole
    photo; a refining network then runs over the mosaic in tiles again. A photo that fits into a tile is done in
    one piece, and equals ``model(srgb)``.

    Tiles differ from one pass where a network looks further than ``overlap`` pixels, or at the whole picture
    (`BackboneSpec.global_context`).

    Args:
        model: the pipeline; runs in evaluation mode on the device it is on, and is left in the mode it was in.
        srgb: sRGB ``[3, H, W]`` or ``[B, 3, H, W]`` in [0, 1], on any device; H, W >= 16.
        tile: height and width of a tile in pixels, rounded up to what the network needs; None: the whole photo.
        overlap: pixels that neighbouring tiles share; None: an eighth of a tile.
        progress: called with (tiles done, all tiles of this stage) after each tile.

    Returns:
        A `Reconstruction` on the device of ``srgb``, clamped to [0, 1]; without a batch axis if ``srgb`` has none.

    Raises:
        ShapeError: not a photo, or smaller than 16 pixels.
        ConfigError: a tile smaller than 16 pixels, or an overlap of more than half a tile.
    """
    check_image(srgb, 3, "srgb")
    if srgb.ndim > 4:
        raise ShapeError(f"srgb must be [3, H, W] or [B, 3, H, W], got {list(srgb.shape)}")
    if tile is not None and tile < MINIMUM_SIZE:
        raise ConfigError(f"tile must be at least {MINIMUM_SIZE} pixels, got {tile}")
    photos = srgb if srgb.ndim == 4 else srgb[None]
    check_photos(photos)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            done = [_predict_one(model, photo, tile, overlap, progress) for photo in photos.split(1)]
    finally:
        model.train(was_training)
    return _join(done, torch.cat) if srgb.ndim == 4 else _join(done, lambda parts: parts[0][0])


def _join(photos: list[Reconstruction], join: Callable[[tuple[Tensor, ...]], Tensor]) -> Reconstruction:
    """Join the reconstructions of photos part by part; a part that they lack stays None."""
    parts = zip(*photos, strict=True)
    return Reconstruction(*(None if x[0] is None else join(x) for x in parts))  # type: ignore[arg-type]


def _predict_one(
    model: ReverseISP,
    srgb: Tensor,
    tile: int | None,
    overlap: int | None,
    progress: Callable[[int, int], None] | None,
) -> Reconstruction:
    align = math.lcm(2, model.spec.multiple_of, 2 * model.refine.multiple if model.refine else 1)
    tile = max(-(-(tile or max(srgb.shape[-2:])) // align), 2) * align
    overlap = tile // 8 if overlap is None else overlap
    device = next(model.parameters()).device

    def networks(part: Tensor) -> Tensor:
        part = part.to(device)
        return model.run_networks(part, model.overexposure_mask(part))[0]

    outputs = tile_apply(
        networks, srgb, tile=tile, overlap=overlap, channels=model.network_channels, align=align, progress=progress
    )
    out = model.compose(outputs, model.overexposure_mask(srgb))
    if model.refine is not None:
        refine = model.refine
        bayer = tile_apply(
            lambda part: refine(part.to(device)).clamp(0, 1),
            out.mosaiced,
            tile=tile,
            overlap=overlap,
            channels=1,
            align=align,
            progress=progress,
        )
        out = out._replace(bayer=bayer)
    return out
