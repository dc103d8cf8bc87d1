"""Prediction on photos of any size, in bounded memory and without seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.backbones.thumbnail import thumbnail
from revisp.camera.fitted import FittedCamera
from revisp.camera.place import PLACE_CHANNELS
from revisp.checks import check_image, check_same_size, check_unit_range
from revisp.errors import ShapeError
from revisp.hardware import release_freed_memory, resident_memory
from revisp.inference.demosaic import demosaic_tiled
from revisp.inference.plan import Limits, TilePlan, plan_stages
from revisp.inference.raise_level import raise_to_least_level
from revisp.inference.tile_networks import TileNetworks, WholePhoto
from revisp.inference.tile_threads import run_tiles
from revisp.inference.tiles import Progress, tile_apply
from revisp.pipeline import Reconstruction, ReverseISP, check_photos
from revisp.pipeline.least_level import LEAST_LEVEL_REACH

__all__ = ["estimate_of", "mask_of", "predict", "predict_bayer"]

MASK_TILE = 1024
"""Side of the tiles of the mask."""


def predict(
    model: ReverseISP,
    srgb: Tensor,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    memory: int | None = None,
    branches: bool = False,
    headroom: float | None = None,
    curve: Sequence[float] | FittedCamera | None = None,
    gain: Tensor | None = None,
    place: Tensor | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Reconstruct the RAW of photos of any size, tile by tile.

    Tiles overlap by twice the reach of the networks. Each tile contributes only the pixels whose whole
    neighbourhood it has read, so the result equals ``model(srgb)`` within rounding. If the reach is larger than
    the overlap allows, or unknown, tiles are blended by ramps. Networks with statistics of the whole picture
    (`BackboneSpec.global_context`) first gather them over the photo (`revisp.inference.whole_photo`). A photo that
    fits into one tile is predicted in one piece.

    If the pipeline has two separate networks, a tile runs only those that the fusion needs. A branch without a
    pixel in the tile is skipped. A branch with few pixels runs only on their neighbourhood. The result is the same
    within rounding.

    Args:
        model: the pipeline. It runs in evaluation mode on its own device; the mode of each module is restored.
        srgb: sRGB ``[3, H, W]`` or ``[B, 3, H, W]`` in [0, 1], of any floating type and on any device; H, W >= 16.
        tile: height and width of a tile in pixels, rounded up to a size that the network takes; None: as large as
            ``memory`` allows.
        overlap: pixels that neighbouring tiles share; None: twice the reach of the networks. If the reach is
            unknown it is an eighth of the tile; if twice the reach exceeds the tile it is half of the tile.
        memory: bytes that the call may allocate, the result included; None: 1 GiB in addition to the result, or
            the minimum that the network needs if that is more.
        branches: also return the prediction of each branch; then both networks run everywhere.
        headroom: EV by which clipped pixels exceed the white of the photo's curve, 0 to 10. It replaces the
            estimate of an estimated base.
        curve: linear light at evenly spaced sRGB values, rising from 0, of any scale; or a fitted camera, whose
            curve is used. It also replaces an estimate.
        gain: what the photos' gain maps say (`revisp.io.GainMap.above_mid_grey`), ``[1, H, W]`` or
            ``[B, 1, H, W]`` as ``srgb`` has it; None: they have none.
        place: coordinates of the pixels, of the shape of ``srgb`` (`revisp.camera.place.place_map`), where
            ``srgb`` is a part of a photo and the model depends on the place in it; None: ``srgb`` is the whole
            photo.
        progress: called with (tiles done, all tiles of this stage) after each tile.

    Returns:
        A `Reconstruction` on the device of ``srgb``, clamped to [0, 1]. It has a batch axis only if ``srgb`` has
        one. ``oe`` and ``noe`` are None unless ``branches`` is set.

    Raises:
        ShapeError: ``srgb`` is not a photo, is smaller than 16 pixels or clearly not in [0, 1], or ``gain`` or
            ``place`` is of another size.
        ConfigError: the tile is smaller than 16 pixels, the overlap does not fit the tile, both ``tile`` and
            ``memory`` are given, or the memory is too small; the message says how much is needed. Or a
            headroom or curve is told that is impossible, or to a model without an estimated base; or a gain to a
            model that does not see gain maps.

    Example:
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
        >>> raw = predict(model, torch.rand(3, 96, 64), tile=64)
        >>> raw.bayer.shape, raw.raw_rgb.shape
        (torch.Size([1, 96, 64]), torch.Size([3, 96, 64]))
    """
    run = partial(_run_networks, branches=branches)
    limits, told = Limits(tile, overlap, memory), _Told(headroom, curve, gain, place)
    done = _predict_each(model, srgb, limits, told, run, progress, branches=branches)
    return _join(done, _concatenate) if srgb.ndim == 4 else _join(done, lambda parts: parts[0][0])


def predict_bayer(
    model: ReverseISP,
    srgb: Tensor,
    *,
    tile: int | None = None,
    memory: int | None = None,
    headroom: float | None = None,
    curve: Sequence[float] | FittedCamera | None = None,
    gain: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Predict the mosaic ``[1, H, W]`` of a photo ``[3, H, W]`` alone, as `predict` does, in less memory.

    The arguments and errors are those of `predict`.

    Example:
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
        >>> photo = torch.rand(3, 96, 64)
        >>> torch.equal(predict_bayer(model, photo, tile=64), predict(model, photo, tile=64).bayer)
        True
    """
    told = _Told(headroom, curve, None if gain is None else gain[None])
    check_image(srgb, 3, "srgb")
    done = _predict_each(model, srgb[None], Limits(tile, None, memory), told, _run_to_bayer, progress)
    return done[0][0]


T = TypeVar("T")


class _Told(NamedTuple):
    """What `predict` is told of the photos, beside their pixels."""

    headroom: float | None
    curve: Sequence[float] | FittedCamera | None
    gain: Tensor | None
    place: Tensor | None = None


_Refine = Callable[[Tensor], Tensor]


def _predict_each(
    model: ReverseISP,
    srgb: Tensor,
    limits: Limits,
    told: _Told,
    run: Callable[[TileNetworks, Progress, _Refine], T],
    progress: Progress | None,
    *,
    branches: bool = False,
) -> list[T]:
    """Call ``run`` with the networks, a callback after each tile, and the refinement, for each photo."""
    check_image(srgb, 3, "srgb")
    if srgb.ndim > 4:
        raise ShapeError(f"srgb must be [3, H, W] or [B, 3, H, W], got {list(srgb.shape)}")
    photos = srgb if srgb.ndim == 4 else srgb[None]
    check_photos(photos)
    if not len(photos):
        raise ShapeError(f"srgb holds no photo: {list(srgb.shape)}")
    check_unit_range(photos, "srgb")
    dtype = next(model.parameters()).dtype
    if photos.dtype != dtype:
        photos = photos.to(torch.promote_types(dtype, torch.float32))  # fast networks have bfloat16
    model.check_gain(told.gain)
    gains = _of_each(told.gain, 1, "gain", srgb)
    places = _of_each(told.place, PLACE_CHANNELS, "place", srgb)
    learning = [module for module in model.modules() if module.training]
    if learning:  # to set each module takes a while for a thumbnail
        model.eval()
    try:
        with torch.inference_mode():
            before = resident_memory()
            estimates = [estimate_of(model, photo, told.headroom, told.curve) for photo in photos.split(1)]
            margin = 0 if told.gain is None else LEAST_LEVEL_REACH
            stages = plan_stages(model, photos, limits, branches=branches, margin=margin)
            done = []
            for whole in map(WholePhoto, photos.split(1), estimates, gains, places):
                networks = TileNetworks(model, whole, mask_of(model, whole.srgb), stages[0])
                refine = partial(_refine, model, stages[1], progress=progress, before=before)
                done.append(run(networks, _tidying(progress, before + stages[0].rest), refine))
            return done
    finally:
        for module in learning:
            module.training = True


def _join(photos: list[Reconstruction], join: Callable[[tuple[Tensor, ...]], Tensor]) -> Reconstruction:
    """Join the reconstructions of photos part by part; a missing part stays None."""
    parts = zip(*photos, strict=True)
    return Reconstruction(*(None if x[0] is None else join(x) for x in parts))  # type: ignore[arg-type]


def _concatenate(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def estimate_of(
    model: ReverseISP,
    photo: Tensor,
    headroom: float | None = None,
    curve: Sequence[float] | FittedCamera | None = None,
) -> PhotoEstimate | None:
    """Judge a photo ``[1, 3, H, W]`` once for all its tiles; an estimated base sees only its thumbnail.

    Returns:
        None if the model has no estimated base.

    Raises:
        ConfigError: headroom or curve cannot be told to this model.
    """
    if isinstance(model.base, Estimated):
        photo = thumbnail(photo).to(next(model.parameters()).device)
    return model.estimate(photo, headroom=headroom, curve=curve)


def _of_each(x: Tensor | None, channels: int, name: str, srgb: Tensor) -> tuple[Tensor | None, ...]:
    """Return what is told of each photo, ``[1, channels, H, W]``; None if nothing is.

    Raises:
        ShapeError: it is not of the photos' shape.
    """
    if x is None:
        return (None,) * (1 if srgb.ndim == 3 else len(srgb))
    check_image(x, channels, name)
    check_same_size(x, srgb, (name, "srgb"))
    if x.shape[:-3] != srgb.shape[:-3]:
        raise ShapeError(f"{name} must be of as many photos as srgb, got {list(x.shape)} for {list(srgb.shape)}")
    return (x if x.ndim == 4 else x[None]).split(1)


def _refine(
    model: ReverseISP, stage: TilePlan | None, bayer: Tensor, *, progress: Progress | None, before: int
) -> Tensor:
    """Refine a mosaic ``[1, 1, H, W]`` by tiles; return it where the model has no refinement."""
    if stage is None:
        return bayer
    device, after = next(model.parameters()).device, _tidying(progress, before + stage.rest)
    return stage.apply(lambda part: model.refined(part.to(device)), bayer, 1, after)


def mask_of(model: ReverseISP, srgb: Tensor) -> Tensor:
    """Return the model's overexposure mask ``[B, 1, H, W]`` of photos ``[B, 3, H, W]`` of any size."""
    reach = model.overexposure_mask.reach
    return tile_apply(
        model.overexposure_mask, srgb, tile=MASK_TILE + 2 * reach, overlap=2 * reach, channels=1, reach=reach
    )


def _tidying(progress: Progress | None, limit: float) -> Progress:
    """Return a callback after each tile, which gives freed memory back if the process holds more than a limit."""

    def after(done: int, total: int) -> None:
        if done < total and resident_memory() > limit:
            release_freed_memory()
        if progress is not None:
            progress(done, total)

    return after


def _run_to_bayer(networks: TileNetworks, progress: Progress, refine: _Refine) -> Tensor:
    """Run all steps, and keep of each tile no more than its mosaic: ``[1, 1, H, W]``.

    With a gain map, the least level of a pixel needs the demosaiced RAW around it. Tiles that are blended, and
    networks that predict mosaics, have it only when the photo is complete.
    """
    tiles = networks.tiles
    if networks.gain is not None and (networks.model.raw_channels == 1 or tiles[0].rows.weight is not None):
        return _run_networks(networks, progress, refine, branches=False).bayer
    bayer = networks.srgb.new_zeros(1, 1, *networks.srgb.shape[-2:])
    found = run_tiles(networks.run_to_bayer, tiles, networks.stage.at_once)
    for done, (tile, part) in enumerate(found, start=1):
        tile.paste(part, bayer)
        progress(done, len(tiles))
    return refine(bayer)


def _run_networks(
    networks: TileNetworks, progress: Progress, refine: _Refine, *, branches: bool
) -> Reconstruction:
    """Run all steps."""
    model, srgb, tiles = networks.model, networks.srgb, networks.tiles
    raw = srgb.new_zeros(1, model.raw_channels, *srgb.shape[-2:])
    kept = {part: torch.zeros_like(raw) for part in model.fused if branches}
    found = run_tiles(lambda tile: networks.run(tile, kept), tiles, networks.stage.at_once)
    for done, (tile, part) in enumerate(found, start=1):
        tile.paste(part, raw)
        progress(done, len(tiles))
    out = model.finish(raw, networks.mask, kept, interpolate=demosaic_tiled)
    if networks.gain is not None:
        raise_to_least_level(model, out.mask, networks.gain, out.raw_rgb, out.mosaiced)
    return out._replace(bayer=refine(out.mosaiced))
