"""Convert a photo file to a RAW file, with one writer for each format."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from revisp.camera.brightness import Brightness, match_brightness
from revisp.camera.develop import develop
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile, camera_name
from revisp.challenges import of_profile
from revisp.convert.engine import Engine, Sensor, TorchEngine, as_engine
from revisp.convert.jobs import preview_path
from revisp.convert.measured_noise import measured_noise
from revisp.convert.sensor_noise import with_noise
from revisp.convert.settings import settings_digest
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, OutputError
from revisp.inference.tiles import Progress, tile_apply
from revisp.io.challenge_npy import write_challenge_npy
from revisp.io.damaged import Damaged, check_damaged
from revisp.io.dng.codec import find_compression
from revisp.io.dng.provenance import Provenance
from revisp.io.dng.write import write_dng, write_linear_dng
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import write_mosaic
from revisp.io.photo import Photo, read_photo, write_png
from revisp.io.photo_record import read_record
from revisp.pipeline import ReverseISP

__all__ = [
    "WRITERS",
    "Choice",
    "Origin",
    "check_writable",
    "convert_photo",
    "origin_of",
    "predict_raw",
    "write_raw",
]


LEAST_DNG_BITS, DNG_BITS = 12, 14
"""Least and most bits of a mosaic in a DNG, as cameras have them. One that was brightened needs a bit less for
each EV, as its steps grow with its values. Further bits would hold rounding noise, which no compression reduces:
3 MB a bit for 24 megapixels."""


class Origin(NamedTuple):
    """What is known of the photo that a mosaic was predicted from.

    Attributes:
        metadata: how the photo was taken.
        photo: its file; None: nothing is carried over from it.
        brightness: how to brighten a DNG.
    """

    metadata: PhotoMetadata = PhotoMetadata()
    photo: Path | None = None
    brightness: Brightness = Brightness()


@dataclass(frozen=True)
class Choice:
    """How photos are converted.

    Attributes:
        bits: bits of ``.npy``: 10 or 12.
        preview: also write the developed RAW, to `preview_path`.
        tile: height and width of the tiles in pixels; None lets the engine choose.
        compression: of ``.dng``, as for `revisp.io.write_dng`.
        plain_dng: write ``.dng`` without thumbnail and preview, uncompressed, with the values as predicted.
        strip_location: leave coordinates and names of places out of ``.dng``.
        linear_dng: write ``.dng`` of three planes, demosaiced (`revisp.io.dng.write_linear_dng`).
        gain_map: whether overexposed pixels take their level from the photo's gain map, if it has one.
        damaged: what to do with photos of which a part is missing, as for `revisp.io.read_photo`.
        noise: noise of a sensor that is added to the stored mosaic, in units of its normalised values; None: none.

    Raises:
        ConfigError: an unknown compression or value of ``damaged``, or a DNG that is linear, and plain or noisy.

    Example:
        >>> Choice(bits=12, tile=512).bits
        12
    """

    bits: int = 10
    preview: bool = False
    tile: int | None = None
    compression: str = "jpeg"
    plain_dng: bool = False
    strip_location: bool = False
    linear_dng: bool = False
    gain_map: bool = True
    damaged: Damaged = "refuse"
    noise: NoiseLevels | None = None

    def __post_init__(self) -> None:
        find_compression(self.compression)
        check_damaged(self.damaged)
        if self.plain_dng and self.linear_dng:
            raise ConfigError("a plain DNG is a mosaic: ask for a plain or a linear one, not both")
        if self.noise is not None and self.linear_dng:
            raise ConfigError("the noise of a sensor is that of a mosaic: leave it out for a linear DNG")


Writer = Callable[[Path, Tensor, Sensor, Origin, Choice], None]


def convert_photo(
    model: ReverseISP | Engine,
    photo: str | Path,
    output: str | Path,
    *,
    bits: int = 10,
    preview: bool = False,
    tile: int | None = None,
    gain_map: bool = True,
    damaged: Damaged = "refuse",
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
        gain_map: as for `Choice`.
        damaged: as for `Choice`.
        progress: called after each tile.

    Returns:
        The files written.

    Raises:
        ImageError: the photo cannot be read.
        OutputError: a file cannot be written, or its ending is not in `WRITERS`.
        ConfigError: the format needs a camera and the model has none, or the camera has other bits.
    """
    engine, output = as_engine(model), Path(output)
    choice = Choice(bits, preview, tile, gain_map=gain_map, damaged=damaged)
    check_writable(engine, output, choice)
    picture = read_photo(photo, damaged=damaged)
    raw, _ = predict_raw(engine, picture, choice, progress)
    return write_raw(output, raw, engine, origin_of(Path(photo), picture, raw, engine), choice)


def predict_raw(
    engine: Engine, photo: Photo, choice: Choice, progress: Progress | None = None
) -> tuple[Tensor, str]:
    """Predict the mosaic ``[1, H, W]`` of a photo, or its demosaiced RAW ``[3, H, W]`` for a linear DNG.

    Returns:
        The RAW, and a note on the gain map; empty if it was not used.
    """
    if photo.gain is not None and choice.gain_map and getattr(engine, "sees_gain", False):
        gain = photo.gain.above_mid_grey(photo.srgb)
        raw = engine.bayer(photo.srgb, tile=choice.tile, gain=gain, progress=progress)  # type: ignore[call-arg]
        return raw, f"with the gain map ({photo.gain.origin})"
    if photo.gain is None or not choice.gain_map or not isinstance(engine, TorchEngine):
        predict = engine.raw_rgb if choice.linear_dng else engine.bayer  # type: ignore[attr-defined]  # checked before
        return predict(photo.srgb, tile=choice.tile, progress=progress), ""
    by_gain = engine.raw_rgb_by_gain if choice.linear_dng else engine.bayer_by_gain
    raw, levelled = by_gain(photo.srgb, photo.gain, tile=choice.tile, progress=progress)
    if levelled is None:
        return raw, ""
    pixels = f"{levelled.share:.2%} of the pixels by the gain map ({photo.gain.origin})"
    if levelled.most is None:
        return raw, pixels
    return raw, f"{pixels}, stored up to {levelled.most:.1f} EV above the photo's white"


def origin_of(path: Path, photo: Photo, raw: Tensor, sensor: Sensor) -> Origin:
    """Return what a RAW file tells of the photo at ``path``, from which ``raw`` was predicted."""
    profile = sensor.profile
    if profile is None or of_profile(profile) is not None:
        return Origin(photo.metadata, path)
    return Origin(photo.metadata, path, match_brightness(raw, photo.srgb, profile))


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
    if choice.linear_dng and ending != ".dng":
        raise ConfigError(f"cannot write {output} linear: that is a kind of .dng")
    if choice.linear_dng and not hasattr(sensor, "raw_rgb"):
        raise ConfigError("an exported graph predicts mosaics: take its model folder for a linear DNG")


def write_raw(output: Path, raw: Tensor, sensor: Sensor, origin: Origin, choice: Choice) -> tuple[Path, ...]:
    """Write what `predict_raw` returned, and its preview if ``choice`` asks for it; return the files written.

    A DNG that is not plain is brightened as ``origin`` says. Then noise is added, if ``choice`` has some.

    Raises:
        OutputError: a file cannot be written.
    """
    if output.suffix.lower() != ".dng" or choice.plain_dng:
        origin = origin._replace(brightness=Brightness())
    raw = origin.brightness.apply(raw)
    if choice.noise is not None:
        raw = with_noise(raw, choice.noise, output.stem if origin.photo is None else origin.photo.name)
    WRITERS[output.suffix.lower()](output, raw, sensor, origin, choice)
    if not choice.preview:
        return (output,)
    write_png(preview_path(output), _developed(raw, _camera(sensor), origin.brightness.rest))
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


def _developed(raw: Tensor, profile: CameraProfile, exposure: float) -> Tensor:
    """Develop a mosaic or demosaiced RAW to sRGB ``[3, H, W]``, as the preview in a DNG shows it."""

    def part(tile: Tensor) -> Tensor:
        raw_rgb = tile if tile.shape[-3] == 3 else demosaic(tile, profile.cfa)
        return develop(raw_rgb, profile, exposure=exposure, highlights="shoulder")

    return tile_apply(part, raw[None], tile=1024, overlap=4, channels=3, reach=2)[0]


def _dng(path: Path, raw: Tensor, sensor: Sensor, origin: Origin, choice: Choice) -> None:
    told: dict[str, Any] = {"metadata": origin.metadata, "exposure": origin.brightness.rest}
    if origin.photo is not None:
        record = read_record(origin.photo)
        told["record"] = record.without_location() if choice.strip_location else record
        told["provenance"] = Provenance.of_photo(
            origin.photo,
            model=getattr(sensor, "name", ""),
            camera=camera_name(origin.metadata.make or "", origin.metadata.model or ""),
            gain=origin.brightness.gain,
            settings=settings_digest(sensor, choice, path.suffix.lower()),
        )
    told["compression"] = choice.compression
    if choice.linear_dng:
        write_linear_dng(path, raw, _camera(sensor), **told)
    elif choice.plain_dng:
        write_dng(path, raw, _camera(sensor), plain=True, **told)
    else:
        told["noise"] = choice.noise or measured_noise(raw, sensor.cfa)
        write_dng(path, raw, _of_fewer_bits(_camera(sensor), origin.brightness.gain), **told)


def _of_fewer_bits(profile: CameraProfile, gain: float) -> CameraProfile:
    """Return a camera of the same ratios of levels, with the bits for a mosaic brightened by ``gain`` EV."""
    bits = max(LEAST_DNG_BITS, DNG_BITS - math.floor(gain))
    scale = 2.0 ** max(0, profile.bits - bits)
    if scale == 1:
        return profile
    black = tuple(level / scale for level in profile.black_level)
    return profile.replace(bits=bits, black_level=black, white_level=float(profile.white_level // scale))


def _npy(path: Path, bayer: Tensor, sensor: Sensor, origin: Origin, choice: Choice) -> None:
    own = _challenge(sensor, choice.bits)
    if own is None:
        write_challenge_npy(path, bayer, sensor.cfa, bits=choice.bits, predicted=True)
    else:
        black, white = own.black_level[0], own.white_level
        write_challenge_npy(path, bayer, sensor.cfa, bits=choice.bits, black=black, white=white, predicted=True)


def _mosaic(path: Path, bayer: Tensor, sensor: Sensor, origin: Origin, choice: Choice) -> None:
    write_mosaic(path, bayer, _camera(sensor), note=settings_digest(sensor, choice, path.suffix.lower()))


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {".dng": _dng, ".npy": _npy, ".tiff": _mosaic, ".tif": _mosaic, ".png": _mosaic}
)
"""The writer of each format, by the ending of the file."""
