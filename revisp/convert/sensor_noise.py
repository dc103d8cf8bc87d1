"""The noise of a sensor on a predicted mosaic, which has far less than a sensor's own RAW."""

from __future__ import annotations

import math
import os
import zlib
from typing import TYPE_CHECKING

from revisp.camera.draw import generator_of
from revisp.camera.noise import NoiseLevels, add_noise
from revisp.convert.target import is_camera_path
from revisp.errors import ConfigError
from revisp.io.camera_file import read_camera

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["parse_noise", "with_noise"]


def parse_noise(text: str, camera: str | None) -> NoiseLevels:
    """Read what a user says of the noise: an ISO speed of a camera file, or shot and read variance.

    Args:
        text: ``"800"`` or ``"2e-4,1e-6"``.
        camera: the camera that the RAW shall be of; a camera file of revisp-prepare for an ISO speed.

    Raises:
        ConfigError: it is neither; or the camera file is not valid, or has no noise of that ISO speed.

    Example:
        >>> parse_noise("2e-4,1e-6", None)
        NoiseLevels(shot=0.0002, read=1e-06)
    """
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 2 and all(0 <= value <= 1 for value in values):
        return NoiseLevels(*values)
    if len(values) != 1 or not 0 < values[0] < math.inf:
        raise ConfigError(f"noise must be an ISO speed, or shot and read variance such as 2e-4,1e-6, got {text!r}")
    if camera is None or not is_camera_path(camera):
        raise ConfigError(
            f"noise at ISO {text} needs a camera file of revisp-prepare: give it, or shot and read variance"
        )
    return read_camera(camera).noise_at(values[0])


def with_noise(bayer: Tensor, levels: NoiseLevels, name: str) -> Tensor:
    """Add the noise of a sensor to a mosaic. A photo's name always gives the same noise.

    Saturated samples keep their value, as in a camera whose photosites hold more than its greatest number.

    Args:
        bayer: ``[1, H, W]``, black 0, white 1.
        levels: the noise of these values.
        name: that of the photo.

    Example:
        >>> import torch
        >>> noisy = with_noise(torch.full((1, 64, 64), 0.25), NoiseLevels(0.01, 0.0001), "photo.jpg")
        >>> round(noisy.var().item(), 3)
        0.003
    """
    generator = generator_of(zlib.crc32(os.fsencode(name)))
    noisy = add_noise(bayer.cpu(), levels, generator)
    return noisy.where(bayer.cpu() < 1, bayer.cpu())
