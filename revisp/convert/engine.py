"""Engines turn a photo into a mosaic: a pipeline in torch, or an exported graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from revisp.camera.fitted import FittedCamera
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.convert.settings import ModelFiles
from revisp.convert.target import check_source, mosaic_of, planes_of, refined_rgb
from revisp.inference.gain_level import GainLevel, level_of_gain, levels_by_gain
from revisp.inference.predict import predict, predict_bayer
from revisp.inference.tiles import Progress
from revisp.io.photo_gain import GainMap
from revisp.pipeline import MINIMUM_SIZE, Reconstruction, ReverseISP

__all__ = ["Engine", "Sensor", "TorchEngine", "as_engine"]


class Sensor(Protocol):
    """The source of mosaics: a camera, if it is known, and a Bayer phase."""

    @property
    def profile(self) -> CameraProfile | None:
        """The camera; None if it is unknown."""

    @property
    def cfa(self) -> CFA:
        """Phase of the mosaics."""


class Engine(Sensor, Protocol):
    """Predicts mosaics of one camera: `TorchEngine`, or an exported graph.

    Example:
        >>> import torch
        >>> engine: Engine = TorchEngine(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}))
        >>> engine.bayer(torch.rand(3, 32, 48)).shape, engine.cfa.value
        (torch.Size([1, 32, 48]), 'RGGB')
    """

    def bayer(self, srgb: Tensor, *, tile: int | None = None, progress: Progress | None = None) -> Tensor:
        """Predict the mosaic ``[1, H, W]`` in [0, 1] of a photo ``[3, H, W]`` in [0, 1].

        Args:
            srgb: the photo.
            tile: height and width of the tiles in pixels; None lets the engine choose.
            progress: called after each tile.
        """


@dataclass(frozen=True)
class TorchEngine:
    """An engine that runs a pipeline by `revisp.predict`.

    Attributes:
        model: the pipeline.
        memory: bytes that a prediction may take, as for `revisp.predict`.
        camera: the camera for which the RAW is re-expressed (`revisp.camera.as_camera`); None: the model's own.
        headroom: told of all photos, as for `revisp.predict`.
        curve: told of all photos, as for `revisp.predict`.
        name: the model's name in the files that are written.
        files: the files of the model.

    Raises:
        ConfigError: a camera is given, but the colours of the model's own are not known; or headroom or curve
            cannot be told to this model.

    Example:
        >>> import torch
        >>> engine = TorchEngine(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}))
        >>> engine.bayer(torch.rand(3, 32, 48)).shape
        torch.Size([1, 32, 48])
    """

    model: ReverseISP
    memory: int | None = None
    camera: CameraProfile | None = None
    headroom: float | None = None
    curve: Sequence[float] | FittedCamera | None = None
    name: str = ""
    files: ModelFiles = field(default_factory=ModelFiles)

    def __post_init__(self) -> None:
        if self.camera is not None:
            check_source(self.model.profile)
        device = next(self.model.parameters()).device
        blank = torch.zeros(1, 3, MINIMUM_SIZE, MINIMUM_SIZE, device=device)
        self.model.estimate(blank, headroom=self.headroom, curve=self.curve)  # before any photo is read

    @property
    def profile(self) -> CameraProfile | None:
        """The camera of the mosaics."""
        return self.camera or self.model.profile

    @property
    def cfa(self) -> CFA:
        """Phase of the mosaics."""
        return self.model.cfa if self.camera is None else self.camera.cfa

    def bayer(self, srgb: Tensor, *, tile: int | None = None, progress: Progress | None = None) -> Tensor:
        """Predict the mosaic ``[1, H, W]`` of a photo ``[3, H, W]``."""
        if self.camera is None:
            return predict_bayer(self.model, srgb, tile=tile, progress=progress, **self._known)
        return self._mosaic(self._predict(srgb, tile, progress))

    def raw_rgb(self, srgb: Tensor, *, tile: int | None = None, progress: Progress | None = None) -> Tensor:
        """Predict the demosaiced RAW ``[3, H, W]`` of a photo ``[3, H, W]``, black 0, white 1."""
        return self._planes(self._predict(srgb, tile, progress))

    def bayer_by_gain(
        self, srgb: Tensor, gain: GainMap, *, tile: int | None = None, progress: Progress | None = None
    ) -> tuple[Tensor, GainLevel | None]:
        """Predict a mosaic whose overexposed pixels take their level from the photo's gain map.

        Returns:
            The mosaic ``[1, H, W]``, and what the map has changed; None if nothing: no pixel is overexposed, the
            map does not fit the photo, or the model's camera is unknown.
        """
        predicted, levelled = self._predict_by_gain(srgb, gain, tile, progress)
        return self._mosaic(predicted), levelled

    def raw_rgb_by_gain(
        self, srgb: Tensor, gain: GainMap, *, tile: int | None = None, progress: Progress | None = None
    ) -> tuple[Tensor, GainLevel | None]:
        """Predict as `bayer_by_gain` does, but the demosaiced RAW ``[3, H, W]`` of `raw_rgb`."""
        predicted, levelled = self._predict_by_gain(srgb, gain, tile, progress)
        return self._planes(predicted), levelled

    def _predict_by_gain(
        self, srgb: Tensor, gain: GainMap, tile: int | None, progress: Progress | None
    ) -> tuple[Reconstruction, GainLevel | None]:
        """Predict by networks that see the map or, of a model without such, by their prediction and the map."""
        profile, seen = self.model.profile, self.model.config["gain_channel"]
        predicted = self._predict(srgb, tile, progress, gain.above_mid_grey(srgb) if seen else None)
        if profile is None:
            return predicted, None
        by_gain = level_of_gain if seen else levels_by_gain
        levelled = by_gain(predicted, srgb, gain, profile.as_shot_neutral)
        return (predicted if levelled is None else levelled.out), levelled

    def _predict(
        self, srgb: Tensor, tile: int | None, progress: Progress | None, gain: Tensor | None = None
    ) -> Reconstruction:
        return predict(self.model, srgb, tile=tile, gain=gain, progress=progress, **self._known)

    @property
    def _known(self) -> dict[str, Any]:
        return {"memory": self.memory, "headroom": self.headroom, "curve": self.curve}

    def _mosaic(self, predicted: Reconstruction) -> Tensor:
        if self.camera is None:
            return predicted.bayer
        return mosaic_of(predicted, check_source(self.model.profile), self.camera)

    def _planes(self, predicted: Reconstruction) -> Tensor:
        if self.camera is None:
            return refined_rgb(predicted, self.model.cfa)
        return planes_of(predicted, check_source(self.model.profile), self.camera)


def as_engine(model: ReverseISP | Engine) -> Engine:
    """Wrap a pipeline as an engine; return an engine unchanged."""
    return TorchEngine(model) if isinstance(model, ReverseISP) else model
