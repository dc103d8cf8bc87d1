"""From a photo file to a RAW file: one function a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from revisp.camera.develop import develop
from revisp.camera.profile import CameraProfile
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, OutputError
from revisp.inference.predict import predict
from revisp.inference.tiling import tile_apply
from revisp.io.challenge import CHALLENGE_PROFILES, write_challenge_npy
from revisp.io.dng import write_dng
from revisp.io.image import read_photo, write_png
from revisp.io.metadata import PhotoMetadata
from revisp.io.mosaic import write_mosaic
from revisp.pipeline import ReverseISP

__all__ = ["WRITERS", "convert_photo", "preview_path"]

Writer = Callable[[Path, Tensor, ReverseISP, PhotoMetadata, int], None]


def convert_photo(
    model: ReverseISP,
    photo: str | Path,
    output: str | Path,
    *,
    bits: int = 10,
    preview: bool = False,
    tile: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Read a photo, reconstruct its RAW and write it.

    Args:
        model: the pipeline.
        photo: what `revisp.io.read_srgb` reads.
        output: its ending chooses the format, one of `WRITERS`: ``.dng``; ``.npy``: the challenges' packed array;
            ``.tiff``, ``.tif`` or ``.png``: the 16-bit mosaic in the units of the model's camera.
        bits: of ``.npy``: 10 or 12.
        preview: write the developed RAW beside it, as `preview_path` names it.
        tile: as for `revisp.predict`.
        progress: as for `revisp.predict`.

    Returns:
        The files written.

    Raises:
        ImageError: the photo cannot be read.
        OutputError: a file cannot be written, or its ending is none of `WRITERS`.
        ConfigError: the model knows no camera, which the format needs.
    """
    output = Path(output)
    writer = WRITERS.get(output.suffix.lower())
    if writer is None:
        raise OutputError(f"cannot write {output}: its ending must be one of {', '.join(WRITERS)}")
    picture = read_photo(photo)
    bayer = predict(model, picture.srgb, tile=tile, progress=progress).bayer
    writer(output, bayer, model, picture.metadata, bits)
    if not preview:
        return (output,)
    write_png(preview_path(output), _develop_mosaic(bayer, _camera(model)))
    return output, preview_path(output)


def preview_path(output: Path) -> Path:
    """Return where the preview of ``photo.dng`` goes: ``photo.preview.png``."""
    return output.with_suffix(".preview.png")


def _camera(model: ReverseISP) -> CameraProfile:
    if model.profile is None:
        raise ConfigError("the model knows no camera profile, so it can only write .npy: give it one in training")
    return model.profile


def _develop_mosaic(bayer: Tensor, profile: CameraProfile) -> Tensor:
    """Develop ``[1, H, W]`` to sRGB ``[3, H, W]``, as a RAW converter would show the file."""

    def part(mosaic: Tensor) -> Tensor:
        return develop(demosaic(mosaic, profile.cfa), profile)

    return tile_apply(part, bayer[None], tile=1024, overlap=8, channels=3)[0]


def _dng(path: Path, bayer: Tensor, model: ReverseISP, metadata: PhotoMetadata, bits: int) -> None:
    write_dng(path, bayer, _camera(model), metadata=metadata)


def _npy(path: Path, bayer: Tensor, model: ReverseISP, metadata: PhotoMetadata, bits: int) -> None:
    profile = model.profile
    own = next((x for x in CHALLENGE_PROFILES.values() if profile and x.model == profile.model), None)
    if own is None:
        write_challenge_npy(path, bayer, model.cfa, bits=bits)
        return
    if bits != own.bits:
        raise ConfigError(f"the model predicts {own.make} {own.model}, which stores {own.bits} bits, not {bits}")
    write_challenge_npy(path, bayer, model.cfa, bits=bits, black=own.black_level[0], white=own.white_level)


def _mosaic(path: Path, bayer: Tensor, model: ReverseISP, metadata: PhotoMetadata, bits: int) -> None:
    write_mosaic(path, bayer, _camera(model))


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {".dng": _dng, ".npy": _npy, ".tiff": _mosaic, ".tif": _mosaic, ".png": _mosaic}
)
"""What writes each format, by the file's ending."""
