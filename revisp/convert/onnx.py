"""Predict by an exported graph (``model.onnx``) in onnxruntime, tile by tile, without the model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revisp.backbones.thumbnail import thumbnail
from revisp.camera.place import Place
from revisp.checks import check_image, check_same_size, check_unit_range
from revisp.convert.settings import ModelFiles
from revisp.errors import ConfigError, ShapeError, WeightsError
from revisp.export.runtime import open_session, predict_session, read_info
from revisp.inference.plan import Grid, Limits, TilePlan
from revisp.inference.tile_threads import run_tiles
from revisp.inference.tiles import Progress, Tile, fit_tile
from revisp.io.boundary import decoding
from revisp.pipeline import check_photos

__all__ = ["OnnxPipeline"]

MEMORY = 2**30
"""Bytes that all tiles at once may take (`GraphInfo.pixel_bytes`)."""

MOST_AT_ONCE = 2
"""Most tiles at once, on a CPU."""


class OnnxPipeline:
    """A file that ``revisp-export`` wrote, for photos of any size.

    It uses as many threads as torch; on a CPU, two tiles at once share them. If the reach of the graph is known,
    tiles overlap by twice the reach, and the result equals that of the whole photo. A graph with statistics of the
    whole image (`revisp.backbones.BackboneSpec.global_context`) uses the statistics of each tile, and tiles are
    blended by ramps. A graph on an estimated base judges the whole photo once for all its tiles.

    Args:
        path: the file, with pixels and precision of any kind that ``revisp-export`` writes.
        providers: execution providers of onnxruntime; None: CUDA if onnxruntime has it, else the CPU.

    Attributes:
        info: the metadata in the file.
        profile: the camera whose RAW the graph predicts; None if the model had none.
        cfa: phase of the mosaics.
        name: name of the file, which is recorded in the files that are written.
        files: the file itself, by its bytes.

    Raises:
        ConfigError: onnxruntime is not installed or does not have a provider.
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
        self.name = self.path.name
        session = open_session(self.path, providers)
        self._providers = session.get_providers()
        self._sessions = {1: session}
        self.info = read_info(session, path)
        self.profile, self.cfa = self.info.profile, self.info.cfa
        self.files = ModelFiles.of([self.path])

    @property
    def sees_gain(self) -> bool:
        """Whether the graph takes what a photo's gain map says."""
        return self.info.gain

    def bayer(
        self,
        srgb: Tensor,
        *,
        tile: int | None = None,
        gain: Tensor | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Predict the mosaic of a photo.

        Args:
            srgb: sRGB ``[3, H, W]`` in [0, 1], on any device; H, W >= 16. For a graph of bytes it is rounded to 8
                bits.
            tile: height and width of a tile in pixels, rounded up to a size that the graph takes; None: automatic.
            gain: what the photo's gain map says (`revisp.io.GainMap.above_mid_grey`), ``[1, H, W]``; None: it has
                none.
            progress: called after each tile.

        Returns:
            The mosaic ``[1, H, W]`` in [0, 1], on the device of ``srgb``. The output of a graph of integers is
            normalised to black 0 and white 1; it may be below 0.

        Raises:
            ShapeError: ``srgb`` is not a photo or is smaller than 16 pixels, or ``gain`` is of another size.
            ConfigError: the tile is smaller than 16 pixels, or the graph takes no gain.
            WeightsError: the graph fails, or its file has changed since it was opened.
        """
        check_image(srgb, 3, "srgb")
        if srgb.ndim != 3:
            raise ShapeError(f"srgb must be [3, H, W], got {list(srgb.shape)}")
        check_photos(srgb[None])
        check_unit_range(srgb, "srgb")
        seen = None if gain is None else self._checked(gain, srgb)[None]
        size = (srgb.shape[-2], srgb.shape[-1])
        stage = self._stage(size, Limits(tile))
        tiles = stage.tiles(size)
        at_once = min(stage.at_once, len(tiles))
        session = self._session_of(at_once)
        with torch.inference_mode():
            photo = self._photo(srgb[None])
            bayer = srgb.new_zeros(1, 1, *size)

            def run(each: Tile) -> Tensor:
                told = None if seen is None else each.read(seen)
                part = self._run(session, each.read(srgb[None]), photo, told, each.place(size))
                return part[..., *each.used]

            for done, (each, part) in enumerate(run_tiles(run, tiles, at_once), start=1):
                each.paste(part, bayer)
                if progress is not None:
                    progress(done, len(tiles))
            return bayer[0]

    def _session_of(self, at_once: int) -> Any:
        """Return a session whose runs take their share of the threads; it is opened at its first use.

        Raises:
            WeightsError: the file is not the same as at the beginning.
        """
        if at_once not in self._sessions:
            threads = torch.get_num_threads() // at_once
            session = open_session(self.path, self._providers, threads)
            if ModelFiles.of([self.path]).digest != self.files.digest:
                raise WeightsError(f"{self.path}: has changed since it was opened: start again")
            self._sessions[at_once] = session
        return self._sessions[at_once]

    def _run(self, session: Any, part: Tensor, photo: Tensor | None, gain: Tensor | None, place: Place) -> Tensor:
        """Run the graph on a tile.

        Raises:
            WeightsError: the graph fails, or its result has another size.
        """
        with decoding(self.path, "its graph fails", WeightsError):
            bayer = predict_session(session, self.info, part, photo=photo, gain=gain, place=place)
        if bayer.shape != (*part.shape[:1], 1, *part.shape[-2:]):
            raise WeightsError(f"{self.path}: its graph gives {list(bayer.shape)} for {list(part.shape)}")
        return bayer

    def _checked(self, gain: Tensor, srgb: Tensor) -> Tensor:
        """Return a gain map ``[1, H, W]`` that belongs to a photo.

        Raises:
            ShapeError: it is of another size.
            ConfigError: the graph takes none.
        """
        if not self.info.gain:
            raise ConfigError(f"{self.path}: its graph takes no gain map: export it by revisp-export --gain-map")
        check_image(gain, 1, "gain")
        check_same_size(gain, srgb, ("gain", "srgb"))
        return gain.to(srgb)

    def _photo(self, srgb: Tensor) -> Tensor | None:
        """Return what a graph that judges the whole photo is told of it: all bytes, or the thumbnail of floats."""
        if not self.info.photo:
            return None
        return self.info.encode(srgb if self.info.uint8 else thumbnail(srgb)).cpu()

    def _stage(self, size: tuple[int, int], limits: Limits) -> TilePlan:
        grid = Grid(self.info.align, self.info.reach)
        on_cpu = self._providers[0] == "CPUExecutionProvider"
        at_once = min(torch.get_num_threads(), MOST_AT_ONCE) if on_cpu else 1
        if limits.tile is not None:
            return replace(grid.fixed(limits.tile), at_once=at_once)
        overlap = grid.overlap()
        pixels = MEMORY / self.info.pixel_bytes / at_once
        tile = fit_tile(grid.choices(size, overlap), pixels, at_once).tile
        return grid.stage(tile, overlap, at_once=at_once)
