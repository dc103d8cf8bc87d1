"""Predict the RAW of another camera than the model's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from revisp.camera.cameras import known_profile
from revisp.camera.profile import CameraProfile
from revisp.camera.target import as_camera
from revisp.challenges import of_profile
from revisp.errors import ConfigError
from revisp.inference.demosaic import demosaic_tiled
from revisp.inference.tiles import tile_apply
from revisp.io.camera_file import load_profile
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.cfa import CFA
    from revisp.pipeline import Reconstruction

__all__ = ["check_source", "find_camera", "is_camera_path", "mosaic_of", "planes_of", "refined_rgb"]

TILE_SIDE = 1024
"""Side of the tiles that are re-expressed, which bounds the memory."""


def find_camera(camera: str | Path | CameraProfile) -> CameraProfile:
    """Return a camera by its name (`known_profile`) or by a JSON file (`load_profile`).

    Args:
        camera: the name, the path of a file, which exists or ends in ``.json``, or the profile itself.

    Raises:
        UnknownNameError: no such camera; the message suggests similar names.
        ConfigError: the file is missing or holds no profile.

    Example:
        >>> find_camera("Canon EOS 5D Mark II").bits
        14
    """
    if isinstance(camera, CameraProfile):
        return camera
    return load_profile(camera) if is_camera_path(camera) else known_profile(str(camera))


def is_camera_path(camera: str | Path) -> bool:
    """Return whether what a user calls a camera is a file rather than a name: it exists, or ends in ``.json``.

    Example:
        >>> is_camera_path("cameras/x.json"), is_camera_path("Nikon D850")
        (True, False)
    """
    path = Path(camera)
    return path.suffix.lower() == ".json" or path.is_file()


def check_source(profile: CameraProfile | None) -> CameraProfile:
    """Require a model's camera whose colours are known, and return it.

    Raises:
        ConfigError: the model knows no camera, or that of a challenge, whose colours nobody has published.
    """
    if profile is None:
        raise ConfigError("the model knows no camera profile, so its RAW cannot become that of another camera")
    if of_profile(profile) is not None:
        raise ConfigError(
            f"the colours of {profile.name} are not known, so its RAW cannot become that of another camera"
        )
    return profile


def mosaic_of(predicted: Reconstruction, source: CameraProfile, target: CameraProfile) -> Tensor:
    """Re-express a prediction by `as_camera` and sample it through the target's colour filter array.

    What the refinement changes in the model's own mosaic is spread to all pixels first.

    Args:
        predicted: from `revisp.predict`, of one photo without batch axis.
        source: the model's camera.
        target: the other camera.

    Returns:
        The mosaic ``[1, H, W]`` in [0, 1], black 0, white 1.

    Example:
        >>> import torch
        >>> import revisp
        >>> model = revisp.from_pretrained()
        >>> predicted = revisp.predict(model, torch.rand(3, 32, 49))
        >>> mosaic_of(predicted, model.profile, find_camera("Nikon D850")).shape
        torch.Size([1, 32, 49])
    """

    def part(raw: Tensor) -> Tensor:
        return mosaic(as_camera(raw, source, target), target.cfa)

    return tile_apply(
        part, refined_rgb(predicted, source.cfa)[None], tile=TILE_SIDE, overlap=0, channels=1, reach=0
    )[0]


def planes_of(predicted: Reconstruction, source: CameraProfile, target: CameraProfile) -> Tensor:
    """Re-express a prediction by `as_camera`, demosaiced.

    Args:
        predicted: as for `mosaic_of`.
        source: the model's camera.
        target: the other camera.

    Returns:
        Demosaiced RAW ``[3, H, W]`` in [0, 1], black 0, white 1.
    """

    def part(raw: Tensor) -> Tensor:
        return as_camera(raw, source, target)

    return tile_apply(
        part, refined_rgb(predicted, source.cfa)[None], tile=TILE_SIDE, overlap=0, channels=3, reach=0
    )[0]


def refined_rgb(predicted: Reconstruction, cfa: CFA) -> Tensor:
    """Return the demosaiced RAW ``[3, H, W]`` of a prediction, with what the refinement changed in its mosaic."""
    if predicted.bayer is predicted.mosaiced:
        return predicted.raw_rgb
    return predicted.raw_rgb + demosaic_tiled((predicted.bayer - predicted.mosaiced)[None], cfa)[0]
