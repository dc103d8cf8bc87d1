"""What a preparation may be told; the same words as `revisp-prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from revisp.errors import ConfigError

__all__ = ["PrepareOptions"]


@dataclass(frozen=True)
class PrepareOptions:
    """Settings of `prepare`.

    Attributes:
        converters: programs that render RAW files which have no camera JPEG of their own (`revisp.io.CONVERTERS`).
        styles: renderings by each of them (`revisp.io.STYLES`); empty takes all.
        min_preview: least size of a camera's JPEG or embedded preview, as a share of the RAW's side, in (0, 1].
            One below it is not used; one below 1 brings the RAW down to its own size.
        profiles: camera profiles of 16-bit mosaics, ``(pattern of the file's name, JSON file)``; the first match
            counts, before ``NAME.json`` and ``profile.json`` beside the mosaic.
        demosaic: method of the training target (`revisp.demosaic.demosaic`).
        val: scenes to validate with, by name; None draws them.
        val_share: share of the scenes that is drawn to validate with, in [0, 1).
        cameras: simulated cameras that photograph each plain photo.
        camera: JSON file of a camera to simulate, ``cameras/*.json`` of a prepared data set; None draws random
            ones.
        seed: of the simulated cameras.
        workers: processes; 0 takes one a core, or fewer where the memory is too small for so many.

    Raises:
        ConfigError: a number outside its range.

    Example:
        >>> PrepareOptions(val_share=0.1).converters
        ('libraw',)
        >>> PrepareOptions(cameras=0)
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: cameras must be at least 1, got 0
    """

    converters: tuple[str, ...] = ("libraw",)
    styles: tuple[str, ...] = ()
    min_preview: float = 0.5
    profiles: tuple[tuple[str, Path], ...] = ()
    demosaic: Literal["bilinear", "malvar", "demosaicnet"] = "demosaicnet"
    val: tuple[str, ...] | None = None
    val_share: float = 0.2
    cameras: int = 1
    camera: Path | None = None
    seed: int = 0
    workers: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.min_preview <= 1:
            raise ConfigError(f"min_preview must lie in (0, 1], got {self.min_preview}")
        if not 0 <= self.val_share < 1:
            raise ConfigError(f"val_share must lie in [0, 1), got {self.val_share}")
        if self.cameras < 1:
            raise ConfigError(f"cameras must be at least 1, got {self.cameras}")
        if self.workers < 0:
            raise ConfigError(f"workers must not be negative, got {self.workers}")
        if not self.converters:
            raise ConfigError("at least one converter is needed")
