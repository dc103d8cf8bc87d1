"""Compute and write the arrays of one picture of a data set."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.fit import FitPair, FittedCamera, fit_camera
from revisp.camera.profile import CameraProfile
from revisp.data.entry import MAX_OE, VALID_BLOCK, Array, Entry, Source, array_path
from revisp.demosaic import DemosaicMethod, demosaic
from revisp.errors import DataError, RevispError
from revisp.io.atomic import atomic_write
from revisp.mask import overexposure_mask
from revisp.prepare.plausible import require_explained

__all__ = ["MIN_COMMON_SIDE", "RENDERED_BY_CAMERA", "AlignedPair", "Store"]

RENDERED_BY_CAMERA = ("raw+jpeg", "raw+preview", "pair")
"""Kinds of pictures whose photo is a rendering of the camera itself."""

MIN_COMMON_SIDE = 64
"""Least height and width of a picture, in pixels; a smaller picture holds no useful crop."""


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """A photo and its RAW on one grid.

    Attributes:
        name: name of the picture.
        kind: one of `revisp.data.entry.KINDS`.
        profile: the camera; its CFA and levels are those of ``stored``.
        stored: the mosaic in stored units, uint16 ``[H, W]``.
        srgb: the photo ``[3, H, W]`` in [0, 1].
        deep: keep the photo at 16 bits instead of 8.
        valid: ``[1, H, W]``, 1 where photo and RAW show the same; None: all pixels are valid.
        alignment: figures of their registration.
        converter: program that rendered the photo.
        style: style of that rendering.
        fit: whether to fit a camera model to the pair.
    """

    name: str
    kind: str
    profile: CameraProfile
    stored: np.ndarray[Any, Any]
    srgb: Tensor
    deep: bool = False
    valid: Tensor | None = None
    alignment: dict[str, Any] | None = None
    converter: str | None = None
    style: str | None = None
    fit: bool = True


class Store:
    """Writes pictures into a data set.

    All renderings of one RAW share its mosaic and target. These are computed once and, if the file system has hard
    links, stored once.

    Args:
        root: folder of the data set.
        method: demosaicing method of the target.
    """

    def __init__(self, root: Path, method: DemosaicMethod) -> None:
        self.root = root
        self.method = method
        self._last: tuple[AlignedPair, Tensor] | None = None

    def add(self, picture: AlignedPair, *, scene: str, sources: Sequence[Source], fingerprint: str) -> Entry:
        """Write the arrays of a picture; return its entry, with split "train" until all scenes are known.

        Edges where the photo does not cover the RAW are cut off, in even steps that keep the Bayer phase.

        Raises:
            DataError: photo and RAW have too few pixels in common, differ in size, or the photo cannot be a
                rendering of the RAW.
            OutputError: a file cannot be written.
        """
        picture = _trim(picture)
        target = self._raw_arrays(picture)
        mask = overexposure_mask(picture.srgb)
        self._save(picture.name, "srgb", _pixels(picture.srgb, deep=picture.deep))
        self._save(picture.name, "oe", _positions(picture, mask))
        if picture.valid is not None:
            self._save(picture.name, "valid", _blocks(picture.valid))
        height, width = picture.stored.shape
        fitted = _fit(picture, target) if picture.fit else None
        if fitted is not None and picture.kind in RENDERED_BY_CAMERA:
            what = sources[0]["path"] if sources else picture.name
            require_explained(fitted, picture.profile, picture.stored, picture.srgb, picture.valid, what)
        return Entry(
            name=picture.name,
            kind=picture.kind,
            scene=scene,
            split="train",
            camera=picture.profile.name,
            profile=picture.profile,
            height=height,
            width=width,
            oe_share=round(float(mask.mean()), 6),
            sources=tuple(sources),
            fingerprint=fingerprint,
            alignment=picture.alignment,
            developer=picture.converter,
            style=picture.style,
            fitted=None if fitted is None else fitted.to_dict(),
            has_valid=picture.valid is not None,
        )

    def _raw_arrays(self, picture: AlignedPair) -> Tensor:
        """Write mosaic and target, or link those of the previous picture if they are the same.

        Returns:
            The target.
        """
        if self._last is not None and _same_raw(self._last[0], picture):
            before, target = self._last
            for what in ("raw", "target"):
                _link(array_path(self.root, before.name, what), array_path(self.root, picture.name, what))
            return target
        bayer = torch.from_numpy(picture.profile.normalise(picture.stored)).unsqueeze(0)
        with torch.inference_mode():
            target = demosaic(bayer, picture.profile.cfa, self.method, gains=picture.profile.gains)
        self._save(picture.name, "raw", picture.stored)
        self._save(picture.name, "target", target.to(torch.float16).numpy())
        self._last = picture, target
        return target

    def _save(self, name: str, what: Array, array: np.ndarray[Any, Any]) -> None:
        with atomic_write(array_path(self.root, name, what)) as file:
            np.save(file, array, allow_pickle=False)


def _same_raw(one: AlignedPair, two: AlignedPair) -> bool:
    return one.profile == two.profile and np.array_equal(one.stored, two.stored)


def _link(source: Path, place: Path) -> None:
    """Give a file a second name; copy it if the file system has no hard links."""
    try:
        place.unlink(missing_ok=True)
        os.link(source, place)
    except OSError:
        with atomic_write(place) as file, source.open("rb") as original:
            shutil.copyfileobj(original, file)


def _trim(picture: AlignedPair) -> AlignedPair:
    """Cut to the rectangle that holds all valid pixels, at even positions, of even size."""
    size = picture.stored.shape
    if tuple(picture.srgb.shape[-2:]) != size:
        raise DataError(f"photo {list(picture.srgb.shape[-2:])} and RAW {list(size)} differ in size")
    window = []
    for axis, length in enumerate(size):
        found = np.arange(length)
        if picture.valid is not None:
            found = np.flatnonzero((picture.valid[0] > 0).any(dim=1 - axis).numpy())
        start = int(found[0]) + int(found[0]) % 2 if found.size else 0
        stop = (int(found[-1]) + 1) // 2 * 2 if found.size else 0
        window.append(slice(start, stop))
        if stop - start < MIN_COMMON_SIDE:
            raise DataError(
                f"photo and RAW have only {max(stop - start, 0)} pixels a side in common, {MIN_COMMON_SIDE} needed"
            )
    rows, columns = window
    alignment = picture.alignment
    if alignment is not None:
        alignment = {**alignment, "cut": [rows.start, columns.start]}
    valid = None if picture.valid is None else picture.valid[:, rows, columns]
    return replace(
        picture,
        stored=np.ascontiguousarray(picture.stored[rows, columns]),
        srgb=picture.srgb[:, rows, columns].contiguous(),
        alignment=alignment,
        valid=None if valid is None or bool((valid > 0).all()) else valid,
    )


def _pixels(srgb: Tensor, *, deep: bool) -> np.ndarray[Any, Any]:
    top, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    return np.rint(srgb.clamp(0, 1).permute(1, 2, 0).numpy() * top).astype(dtype)


def _positions(picture: AlignedPair, mask: Tensor) -> np.ndarray[Any, Any]:
    """Return (row, column) of valid overexposed pixels; a random choice if there are very many."""
    counts = mask[0] if picture.valid is None else mask[0] * picture.valid[0]
    found = np.argwhere(counts.numpy() >= 0.5)
    if len(found) > MAX_OE:
        generator = np.random.default_rng(zlib.crc32(picture.name.encode()))
        found = found[np.sort(generator.choice(len(found), MAX_OE, replace=False))]
    return found.astype(np.int32)


def _blocks(valid: Tensor) -> np.ndarray[Any, Any]:
    """Return the map of blocks whose pixels are all valid."""
    missing = 1 - valid.float().unsqueeze(0)
    blocks = F.max_pool2d(missing, VALID_BLOCK, ceil_mode=True)[0, 0]
    return (blocks == 0).numpy().astype(np.uint8)


def _fit(picture: AlignedPair, target: Tensor) -> FittedCamera | None:
    """Fit a camera model to the pair; return None if the picture does not allow it (black, flat)."""
    try:
        return fit_camera([FitPair(picture.srgb, target, picture.valid)])
    except RevispError:
        return None
