"""Prediction on photos of any size, in bounded memory and without seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.backbones.thumbnail import thumbnail
from revisp.camera.fitted import FittedCamera
from revisp.camera.place import PLACE_CHANNELS
from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError
from revisp.hardware import release_freed_memory, resident_memory
from revisp.inference.demosaic import demosaic_tiled
from revisp.inference.plan import Limits, TilePlan, plan_stages
from revisp.inference.tiles import Progress, Span, Tile, tile_apply
from revisp.inference.whole_photo import PhotoStatistics
from revisp.pipeline import Parts, Reconstruction, ReverseISP, check_photos

__all__ = ["estimate_of", "mask_of", "predict"]

MASK_TILE = 1024
"""Side of the tiles of the mask."""

LEAST_PART = 64
"""Least side of the part of a tile that a network runs on."""

LARGEST_SHARE = 0.8
"""Largest part of a tile that is run in place of all of it."""


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
        model: the pipeline. It runs in evaluation mode on its own device; its mode is restored at the end.
        srgb: sRGB ``[3, H, W]`` or ``[B, 3, H, W]`` in [0, 1], on any device; H, W >= 16.
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
        ShapeError: ``srgb`` is not a photo or is smaller than 16 pixels, or ``gain`` or ``place`` is of
            another size.
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
    check_image(srgb, 3, "srgb")
    if srgb.ndim > 4:
        raise ShapeError(f"srgb must be [3, H, W] or [B, 3, H, W], got {list(srgb.shape)}")
    limits = Limits(tile, overlap, memory)
    photos = srgb if srgb.ndim == 4 else srgb[None]
    check_photos(photos)
    model.check_gain(gain)
    gains = _of_each(gain, 1, "gain", srgb)
    places = _of_each(place, PLACE_CHANNELS, "place", srgb)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            before = resident_memory()
            estimates = [estimate_of(model, photo, headroom, curve) for photo in photos.split(1)]
            stages = plan_stages(model, photos, limits, branches=branches)
            done = [
                _predict_one(model, _Whole(*whole), stages, branches, progress, before)
                for whole in zip(photos.split(1), estimates, gains, places, strict=True)
            ]
    finally:
        model.train(was_training)
    return _join(done, _concatenate) if srgb.ndim == 4 else _join(done, lambda parts: parts[0][0])


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


class _Whole(NamedTuple):
    """What tiles are cut from.

    Attributes:
        srgb: the photo ``[1, 3, H, W]``.
        estimate: how it was rendered, for a model on an estimated base.
        gain: what its gain map says ``[1, 1, H, W]``, if it has one.
        place: its place in a larger photo ``[1, 3, H, W]``; None: it is whole.
    """

    srgb: Tensor
    estimate: PhotoEstimate | None
    gain: Tensor | None
    place: Tensor | None


def _predict_one(
    model: ReverseISP,
    whole: _Whole,
    stages: tuple[TilePlan, TilePlan | None],
    branches: bool,
    progress: Progress | None,
    before: int,
) -> Reconstruction:
    mask = mask_of(model, whole.srgb)
    after = _tidying(progress, before + stages[0].rest)
    networks = _Networks(model, whole, mask, stages[0])
    out = _run_networks(networks, branches, after)
    if stages[1] is None:
        return out
    stage, device = stages[1], next(model.parameters()).device
    after = _tidying(progress, before + stage.rest)
    bayer = stage.apply(lambda part: model.refined(part.to(device)), out.mosaiced, 1, after)
    return out._replace(bayer=bayer)


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


def _run_networks(networks: _Networks, branches: bool, progress: Progress) -> Reconstruction:
    """Run all steps except the refinement."""
    model, srgb, tiles = networks.model, networks.srgb, networks.tiles
    raw = srgb.new_zeros(1, model.raw_channels, *srgb.shape[-2:])
    kept = {part: torch.zeros_like(raw) for part in model.fused if branches}
    for done, tile in enumerate(tiles, start=1):
        networks.paste(tile, raw, kept)
        progress(done, len(tiles))
    return model.finish(raw, networks.mask, kept, interpolate=demosaic_tiled)


class _Networks:
    """The networks of a pipeline on the tiles of a photo.

    Args:
        model: the pipeline.
        whole: the photo.
        mask: its mask ``[1, 1, H, W]``.
        stage: how the photo is cut into tiles.
    """

    def __init__(self, model: ReverseISP, whole: _Whole, mask: Tensor, stage: TilePlan) -> None:
        self.model = model
        self.stage = stage
        self.srgb, self.estimate, self.gain, self.place = whole
        self.mask = mask
        self.tiles = stage.tiles((self.srgb.shape[-2], self.srgb.shape[-1]))
        self.device = next(model.parameters()).device
        self.statistics = PhotoStatistics(model, self.srgb, None if len(self.tiles) == 1 else stage.tile)

    def paste(self, tile: Tile, raw: Tensor, kept: dict[str, Tensor]) -> None:
        """Run on a tile and copy the result into that of the photo.

        All tensors of a tile are freed before the next tile starts. A tensor that stayed alive would fragment the
        heap.

        Args:
            tile: the tile.
            raw: fused RAW of the photo ``[1, C, H, W]``, before the mosaic.
            kept: predictions of the photo by part, if the caller asks for them; then all networks run everywhere.
        """
        shares, seen = self._shares(tile), self._read(tile)
        parts: Parts = {}
        for name, heads in self.model.heads.items():
            if kept or len(heads) == len(shares):  # one network that predicts all parts is needed everywhere
                parts |= self._run(name, tile, seen)
            else:
                taken = torch.cat([shares[head] for head in heads], dim=1).amax(dim=1, keepdim=True)
                parts |= self._run_where(name, tile, seen, taken > 0)
        for part, result in kept.items():
            tile.paste(parts[part], result)
        tile.paste(self.model.mix(parts, shares), raw)

    def _shares(self, tile: Tile) -> Parts:
        """Return the fusion weight of each part, ``[1, 1, h, w]``, at the pixels that a tile contributes."""
        widened = tile.widened(self.model.fusion.reach, (self.mask.shape[-2], self.mask.shape[-1]))
        shares = self.model.shares(widened.read(self.mask).to(self.device))
        return {part: share[..., *widened.used] for part, share in shares.items()}

    def _read(self, tile: Tile) -> _Seen:
        photo, mask = (tile.read(x).to(self.device) for x in (self.srgb, self.mask))
        gain = None if self.gain is None else tile.read(self.gain).to(self.device)
        if self.place is None:
            place = self.model.place_of(photo, tile.place((self.srgb.shape[-2], self.srgb.shape[-1])))
        else:
            place = tile.read(self.place).to(photo)
        return _Seen(photo, mask, self.model.base_raw(photo, mask, place), gain, place)

    def _run(self, name: str, tile: Tile, seen: _Seen) -> Parts:
        with self.statistics.of(name):
            return self.model.run_branch(
                name,
                seen.photo,
                seen.mask,
                seen.base_raw,
                part=tile.used,
                estimate=self.estimate,
                gain=seen.gain,
                place=seen.place,
            )

    def _run_where(self, name: str, tile: Tile, seen: _Seen, needed: Tensor) -> Parts:
        """Run one network only where it is needed.

        Args:
            name: its name in ``model.branches``.
            tile: the tile.
            seen: the input of the networks in the tile.
            needed: mask over the pixels that the tile contributes, ``[1, 1, h, w]``.

        Returns:
            Its parts at all pixels that the tile contributes; they may be 0 where the network is not needed. Empty
            if it is needed nowhere.
        """
        if not bool(needed.any()):
            return {}
        stage = self.stage
        if stage.reach is None or tile.rows.weight is not None:
            return self._run(name, tile, seen)
        least = max(LEAST_PART, self.model.networks_reach.least)
        part = tile.around(needed, stage.reach, align=stage.align, least=least)
        if part.pixels > LARGEST_SHARE * tile.pixels:
            return self._run(name, tile, seen)
        rows, columns = (_within(inner.span, outer.span) for inner, outer in zip(part, tile, strict=True))
        cut = _Seen(*(None if x is None else x[..., rows, columns] for x in seen))  # type: ignore[arg-type]
        rows, columns = (_within(inner.kept, outer.kept) for inner, outer in zip(part, tile, strict=True))
        found: Parts = {}
        for key, value in self._run(name, part, cut).items():
            found[key] = seen.photo.new_zeros(*value.shape[:2], *needed.shape[-2:])
            found[key][..., rows, columns] = value
        return found


class _Seen(NamedTuple):
    """The input of the networks for a tile: photo and mask; base, gain map and place as far as there are such."""

    photo: Tensor
    mask: Tensor
    base_raw: Tensor | None
    gain: Tensor | None
    place: Tensor | None


def _within(inner: Span, outer: Span) -> slice:
    """Return the position of some rows (or columns) within others."""
    return slice(inner[0] - outer[0], inner[1] - outer[0])
