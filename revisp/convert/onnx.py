"""Prediction by an exported graph (``model.onnx``) in onnxruntime, tile by tile, without the model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from revisp.checks import check_image
from revisp.errors import ShapeError
from revisp.export.runtime import open_session, predict_session, read_info
from revisp.inference.plan import Grid, Limits, TilePlan
from revisp.inference.tiles import Progress, fit_tile
from revisp.pipeline import check_photos

__all__ = ["OnnxPipeline"]

MAX_TILE_PIXELS = 2**20
"""Pixels of the largest tile that is chosen: a U-Net of 64 channels takes about 1 GiB for it."""


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
        profile: the camera whose RAW the graph predicts; None if its model knew none.
        cfa: phase of the mosaics.

    Raises:
        ConfigError: onnxruntime is not installed, or lacks a provider.
        WeightsError: the file is missing, damaged, or not exported by revisp.

    Example:
        The first two lines are not run here, since exporting a graph takes seconds.

        >>> engine = OnnxPipeline("model.onnx")  # doctest: +SKIP
        >>> engine.bayer(torch.rand(3, 480, 640)).shape  # doctest: +SKIP
        torch.Size([1, 480, 640])
        >>> OnnxPipeline("lost.onnx")
        Traceback (most recent call last):
        ...
        revisp.errors.WeightsError: lost.onnx: no such file; revisp-export writes it
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self._session = open_session(self.path, providers)
        self.info = read_info(self._session, path)
        self.profile, self.cfa = self.info.profile, self.info.cfa

    def bayer(self, srgb: Tensor, *, tile: int | None = None, progress: Progress | None = None) -> Tensor:
        """Predict the mosaic of a photo.

        Args:
            srgb: sRGB ``[3, H, W]`` in [0, 1], on any device; H, W >= 16. Of a graph of bytes it is rounded to 8
                bits.
            tile: height and width of a tile in pixels, rounded up to what the graph needs; None: chosen.
            progress: called after each tile.

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
        stage = self._stage((srgb.shape[-2], srgb.shape[-1]), Limits(tile))
        with torch.inference_mode():
            return stage.apply(self._run, srgb[None], 1, progress)[0]

    def _run(self, photo: Tensor) -> Tensor:
        return predict_session(self._session, self.info, photo)

    def _stage(self, size: tuple[int, int], limits: Limits) -> TilePlan:
        grid = Grid(self.info.align, self.info.reach)
        if limits.tile is not None:
            return grid.fixed(limits.tile)
        overlap = grid.overlap()
        return grid.stage(fit_tile(grid.choices(size, overlap), MAX_TILE_PIXELS).tile, overlap)
