"""Convert a photo file to a RAW file, with one writer for each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from revisp.camera.develop import develop
from revisp.camera.profile import CameraProfile
from revisp.challenges import of_profile
from revisp.convert.engine import Engine, Sensor, as_engine
from revisp.convert.jobs import preview_path
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, OutputError
from revisp.inference.tiles import Progress, tile_apply
from revisp.io.challenge_npy import write_challenge_npy
from revisp.io.dng import write_dng
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import write_mosaic
from revisp.io.photo import read_photo, write_png
from revisp.pipeline import ReverseISP

__all__ = ["WRITERS", "Choice", "check_writable", "convert_photo", "write_raw"]

Writer = Callable[[Path, Tensor, Sensor, PhotoMetadata, int], None]


@dataclass(frozen=True)
class Choice:
    """How photos are converted.

    Attributes:
        bits: bits of ``.npy``: 10 or 12.
        preview: also write the developed RAW, to `preview_path`.
        tile: height and width of the tiles in pixels; None lets the engine choose.

    Example:
        >>> Choice()
        Choice(bits=10, preview=False, tile=None)
        >>> Choice(bits=12, tile=512).bits
        12
    """

    bits: int = 10
    preview: bool = False
    tile: int | None = None


def convert_photo(
    model: ReverseISP | Engine,
    photo: str | Path,
    output: str | Path,
    *,
    bits: int = 10,
    preview: bool = False,
    tile: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Read a photo, reconstruct its RAW and write it.

    Args:
        model: the pipeline or another engine.
        photo: a file that `revisp.io.read_srgb` reads.
        output: the file to write. Its ending chooses the format, one of `WRITERS`: ``.dng``; ``.npy`` for the
            packed array of the challenges; ``.tiff``, ``.tif`` or ``.png`` for the 16-bit mosaic in the units of
            the camera.
        bits: as for `Choice`.
        preview: as for `Choice`.
        tile: as for `Choice`.
        progress: called after each tile.

    Returns:
        The files written.

    Raises:
        ImageError: the photo cannot be read.
        OutputError: a file cannot be written, or its ending is not in `WRITERS`.
        ConfigError: the format needs a camera and the model has none, or the camera has other bits.
    """
    engine, output, choice = as_engine(model), Path(output), Choice(bits, preview, tile)
    check_writable(engine, output, choice)
    picture = read_photo(photo)
    bayer = engine.bayer(picture.srgb, tile=tile, progress=progress)
    return write_raw(output, bayer, engine, picture.metadata, choice)


def check_writable(sensor: Sensor, output: Path, choice: Choice) -> None:
    """Require that mosaics can be written to a file of this name.

    Raises:
        OutputError: its ending is not in `WRITERS`.
        ConfigError: the format needs a camera and it is unknown, or the camera has other bits.
    """
    ending = output.suffix.lower()
    if ending not in WRITERS:
        raise OutputError(f"cannot write {output}: its ending must be one of {', '.join(WRITERS)}")
    if ending != ".npy" or choice.preview:
        _camera(sensor)
    if ending == ".npy":
        _challenge(sensor, choice.bits)


def write_raw(
    output: Path, bayer: Tensor, sensor: Sensor, metadata: PhotoMetadata, choice: Choice
) -> tuple[Path, ...]:
    """Write a mosaic ``[1, H, W]``, and its preview if ``choice`` asks for it; return the files written.

    Raises:
        OutputError: a file cannot be written.
    """
    WRITERS[output.suffix.lower()](output, bayer, sensor, metadata, choice.bits)
    if not choice.preview:
        return (output,)
    write_png(preview_path(output), _develop_mosaic(bayer, _camera(sensor)))
    return output, preview_path(output)


def _camera(sensor: Sensor) -> CameraProfile:
    if sensor.profile is None:
        raise ConfigError("the model knows no camera profile, so it can only write .npy: give it one in training")
    return sensor.profile


def _challenge(sensor: Sensor, bits: int) -> CameraProfile | None:
    """Return the camera of the challenge that the mosaics belong to, if any; require that it has these bits."""
    challenge = of_profile(sensor.profile)
    if challenge is None:
        return None
    own = challenge.profile
    if bits != own.bits:
        raise ConfigError(f"the model predicts {own.name}, which stores {own.bits} bits, not {bits}")
    return own


def _develop_mosaic(bayer: Tensor, profile: CameraProfile) -> Tensor:
    """Develop ``[1, H, W]`` to sRGB ``[3, H, W]``, as a RAW converter would show the file."""

    def part(mosaic: Tensor) -> Tensor:
        return develop(demosaic(mosaic, profile.cfa), profile)

    return tile_apply(part, bayer[None], tile=1024, overlap=4, channels=3, reach=2)[0]


def _dng(path: Path, bayer: Tensor, sensor: Sensor, metadata: PhotoMetadata, bits: int) -> None:
    write_dng(path, bayer, _camera(sensor), metadata=metadata)


def _npy(path: Path, bayer: Tensor, sensor: Sensor, metadata: PhotoMetadata, bits: int) -> None:
    own = _challenge(sensor, bits)
    if own is None:
        write_challenge_npy(path, bayer, sensor.cfa, bits=bits)
    else:
        write_challenge_npy(path, bayer, sensor.cfa, bits=bits, black=own.black_level[0], white=own.white_level)


def _mosaic(path: Path, bayer: Tensor, sensor: Sensor, metadata: PhotoMetadata, bits: int) -> None:
    write_mosaic(path, bayer, _camera(sensor))


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {".dng": _dng, ".npy": _npy, ".tiff": _mosaic, ".tif": _mosaic, ".png": _mosaic}
)
"""The writer of each format, by the ending of the file."""
