"""The settings of a preparation, with the names of the options of `revisp-prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from revisp.errors import ConfigError
from revisp.io.damaged import Damaged, check_damaged

__all__ = ["PrepareOptions"]


MOST_CAMERAS = 10_000
"""Most simulated cameras for a photo; each takes a picture on the disk, and its name in memory before."""


@dataclass(frozen=True)
class PrepareOptions:
    """Settings of `prepare`.

    Attributes:
        converters: programs that render RAW files without a camera JPEG (`revisp.io.CONVERTERS`).
        styles: styles of each converter (`revisp.io.STYLES`); empty takes all.
        min_preview: least side of a camera's JPEG or embedded preview, as a share of the side of the RAW, in (0,
            1]; to within 5 %, so that 0.49 counts as half. A smaller one is not used. If the one used is smaller
            than the RAW, the RAW is reduced to its size.
        profiles: camera profiles of 16-bit mosaics, as ``(pattern of the file name, JSON file)``. The first match
            counts. It has priority over ``NAME.json`` and ``profile.json`` in the folder of the mosaic.
        demosaic: demosaicing method of the training target (`revisp.demosaic.demosaic`).
        val: names of the scenes to validate with; None draws them.
        val_share: share of the scenes that is drawn to validate with, in [0, 1).
        cameras: number of simulated cameras for each plain photo, up to `MOST_CAMERAS`.
        camera: JSON file of a camera to simulate, ``cameras/*.json`` of a prepared data set; None draws random
            cameras.
        seed: seed of the simulated cameras.
        workers: processes; 0 takes one for each core, or fewer if the memory is too small.
        gain_maps: apply the gain maps of DNG and GPR files, by which cameras even out their lens shading
            (`revisp.io.read_raw`).
        damaged: what to do with files of which a part is missing, as for `revisp.io.read_raw` and
            `revisp.io.read_photo`.

    Raises:
        ConfigError: a number is outside its range, ``damaged`` is unknown, or there is no converter.

    Example:
        >>> PrepareOptions(val_share=0.1).converters
        ('libraw',)
        >>> PrepareOptions(cameras=0)
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: cameras must be from 1 to 10000, got 0
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
    gain_maps: bool = False
    damaged: Damaged = "refuse"

    def __post_init__(self) -> None:
        check_damaged(self.damaged)
        if not 0 < self.min_preview <= 1:
            raise ConfigError(f"min_preview must lie in (0, 1], got {self.min_preview}")
        if not 0 <= self.val_share < 1:
            raise ConfigError(f"val_share must lie in [0, 1), got {self.val_share}")
        if not 1 <= self.cameras <= MOST_CAMERAS:
            raise ConfigError(f"cameras must be from 1 to {MOST_CAMERAS}, got {self.cameras}")
        if self.workers < 0:
            raise ConfigError(f"workers must not be negative, got {self.workers}")
        if not self.converters:
            raise ConfigError("at least one converter is needed")
