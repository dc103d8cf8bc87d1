"""Prediction by an exported graph (``model.onnx``) in onnxruntime, tile by tile, without the model folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.checks import check_image
from revisp.errors import ConfigError, ShapeError
from revisp.export.runtime import open_session, predict_session, read_info
from revisp.inference.tiling import fit_tile, tile_apply, tile_choices
from revisp.padding import next_multiple
from revisp.pipeline import MINIMUM_SIZE, check_photos

__all__ = ["OnnxPipeline"]

LARGEST = 2**20
"""Pixels of the largest tile that is chosen: a U-Net of 64 channels takes about 1 GiB for it."""

RAMP = 64
"""Pixels over which tiles of a graph that looks at the whole photo are blended."""


class OnnxPipeline:
    """A file that ``revisp-export`` wrote, for photos of any size.

    It runs on as many threads as torch uses. Where the graph looks only so far, tiles overlap by twice as much and
    the result is that of the whole photo. A graph with statistics of the whole image
    (`revisp.backbones.BackboneSpec.global_context`) takes those of a tile, and tiles are blended by ramps.

    Args:
        path: the file, of either kind of pixels and precision.
        providers: what it runs on, as onnxruntime names it; None: CUDA where onnxruntime has it, else the CPU.

    Attributes:
        info: what the file says of itself.

    Raises:
        ConfigError: onnxruntime is not installed, or lacks a provider.
        WeightsError: the file is missing, damaged, or not exported by revisp.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self._session = open_session(self.path, providers)
        self.info = read_info(self._session, path)

    @property
    def profile(self) -> CameraProfile | None:
        """The camera whose RAW the graph predicts; None if its model knew none."""
        return self.info.profile

    @property
    def cfa(self) -> CFA:
        """Phase of the mosaics."""
        return self.info.cfa

    def bayer(
        self, srgb: Tensor, *, tile: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Predict the mosaic of a photo.

        Args:
            srgb: sRGB ``[3, H, W]`` in [0, 1], on any device; H, W >= 16. Of a graph of bytes it is rounded to 8
                bits.
            tile: height and width of a tile in pixels, rounded up to what the graph needs; None: chosen.
            progress: called with (tiles done, all tiles) after each tile.

        Returns:
            The mosaic ``[1, H, W]`` in [0, 1], on the device of ``srgb``. Of a graph of integers it is what they
            stand for, black 0 and white 1, and may fall below 0.

        Raises:
            ShapeError: not a photo, or smaller than 16 pixels.
            ConfigError: a tile smaller than 16 pixels.
        """
        check_image(srgb, 3, "srgb")
        if srgb.ndim != 3:
            raise ShapeError(f"srgb must be [3, H, W], got {list(srgb.shape)}")
        check_photos(srgb[None])
        if tile is not None and tile < MINIMUM_SIZE:
            raise ConfigError(f"tile must be at least {MINIMUM_SIZE} pixels, got {tile}")
        side, overlap = self._tiles((srgb.shape[-2], srgb.shape[-1]), tile)
        with torch.inference_mode():
            mosaic = tile_apply(
                lambda photo: predict_session(self._session, self.info, photo),
                srgb[None],
                tile=side,
                overlap=overlap,
                channels=1,
                align=self.info.align,
                reach=self.info.reach,
                progress=progress,
            )
        return mosaic[0]

    def _tiles(self, size: tuple[int, int], tile: int | None) -> tuple[tuple[int, int], int]:
        """Return height and width of the tiles, and what they share."""
        align, reach = self.info.align, self.info.reach
        wanted = next_multiple(RAMP if reach is None else 2 * reach, align)
        if tile is None:
            least = max(MINIMUM_SIZE, 2 * wanted)
            return fit_tile(tile_choices(size, overlap=wanted, align=align, least=least), LARGEST), wanted
        side = max(next_multiple(tile, align), 2 * align)
        exact = reach is not None and side >= wanted + align
        return (side, side), wanted if exact else min(wanted, side // 2)
