"""Make pictures of camera RAW files, with the rendering of the camera if there is one, else of a converter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from revisp.align import Alignment, align
from revisp.camera.profile import CameraProfile
from revisp.errors import AlignmentError, DataError
from revisp.io.converters import STYLES, develop_raw
from revisp.io.dng.provenance import read_provenance
from revisp.io.exif import PhotoMetadata, read_metadata
from revisp.io.header import metadata_of
from revisp.io.photo import read_photo
from revisp.io.raw.preview import read_preview
from revisp.io.raw.read import RawImage, read_mosaic_raw, read_raw
from revisp.mosaic import mosaic
from revisp.prepare.frame import Frame, is_deep, measure, summarise
from revisp.prepare.items import LonelyPhoto, MosaicFile, RawFile, rendering_name
from revisp.prepare.options import PrepareOptions
from revisp.prepare.partners import SAME_SECONDS, different_setting, seconds_between
from revisp.prepare.plausible import require_bayer, warn_of_levels
from revisp.prepare.store import AlignedPair
from revisp.symmetry import Symmetry

__all__ = ["camera_pictures", "why_lonely"]

MAX_SHIFT = 0.5
"""Largest allowed shift, in pixels, between the rendering of a converter and its RAW."""

NEARLY = 0.95
"""Share of the wanted size that counts as that size: pictures of half the size are often some pixels smaller."""

NEARBY_SECONDS = 3600
"""Most seconds between two shots that a message mentions together."""


def camera_pictures(item: RawFile | MosaicFile, options: PrepareOptions) -> Iterator[AlignedPair]:
    """Make the pictures of one RAW file.

    Raises:
        RevispError: a file cannot be read, or photo and RAW do not belong together; the message names the file.
    """
    source = item.files[0]
    read = _read(item, options)
    require_bayer(read, source)
    warn_of_levels(read, source)
    raw = read.upright()
    frame = Frame(raw)
    if len(item.files) > 1:
        photo = read_photo(item.files[1], damaged=options.damaged)
        _require_one_exposure(source, raw.metadata, item.files[1], photo.metadata)
        if _is_large_enough(photo.srgb, raw, options):
            yield _paired(item.name, "raw+jpeg", frame, photo.srgb, item.files[1], source)
            return
    preview = read_preview(source) if isinstance(item, RawFile) else None
    if preview is not None and _is_large_enough(preview, raw, options):
        yield _paired(item.name, "raw+preview", frame, preview, f"preview in {source.name}", source)
        return
    for converter in options.converters:
        for style in options.styles or tuple(STYLES):
            yield _rendered(rendering_name(item, converter, style), frame, converter, style)


def _rendered(name: str, frame: Frame, converter: str, style: str) -> AlignedPair:
    """Develop a RAW by a converter. The rendering must be aligned; this is measured if there is enough texture.

    Raises:
        AlignmentError: the rendering is shifted.
    """
    photo = develop_raw(frame.raw, converter, style)
    measured = measure(photo, frame)
    if measured is not None and max(map(abs, measured["offset"])) > MAX_SHIFT:
        raise AlignmentError(f"{converter} moves the picture by {measured['offset']} pixels")
    raw = frame.raw
    return AlignedPair(
        name,
        "raw+developer",
        raw.profile,
        raw.mosaic,
        photo,
        deep=True,
        alignment=measured,
        converter=converter,
        style=style,
    )


def _paired(name: str, kind: str, frame: Frame, photo: Tensor, what: object, source: Path) -> AlignedPair:
    """Register a photo to its RAW, and resample both to one grid.

    Raises:
        AlignmentError: photo and RAW do not belong together; the message names both.
    """
    raw = frame.raw
    try:
        found = align(photo, frame.reference, window=raw.crop)
    except AlignmentError as error:
        raise AlignmentError(f"{what} does not fit {source}: {error}") from error
    if found.same_exposure is False:
        raise AlignmentError(
            f"{what} is not the exposure of {source}: it shows the same, but its noise is another "
            f"(correlation {found.noise_correlation:.2f})"
        )
    figures, deep = summarise(found), is_deep(photo)
    if not found.is_reduced:
        turned = _turned(raw, found)
        srgb, valid = found.warp(photo, *turned.mosaic.shape), found.valid(*turned.mosaic.shape)
        return AlignedPair(name, kind, turned.profile, turned.mosaic, srgb, deep, valid, figures)
    raw_rgb = found.symmetry.apply(frame.raw_rgb)
    valid = (found.reduced(found.valid(*raw_rgb.shape[-2:])) > 0.99).float()
    stored = raw.profile.quantise(mosaic(found.reduced(raw_rgb), raw.profile.cfa)[0].numpy())
    return AlignedPair(name, kind, raw.profile, stored, found.cropped(photo), deep, valid, figures)


def _turned(raw: RawImage, found: Alignment) -> RawImage:
    """Apply the symmetry that turns the RAW onto the photo; it is the identity if EXIF gave the orientation."""
    orientation = next(value for value in range(1, 9) if Symmetry.of_orientation(value) == found.symmetry)
    return replace(raw, orientation=orientation).upright()


def _read(item: RawFile | MosaicFile, options: PrepareOptions) -> RawImage:
    if isinstance(item, MosaicFile):
        return read_mosaic_raw(item.files[0], CameraProfile.load(item.profile), damaged=options.damaged)
    path = item.files[0]
    note = read_provenance(path)
    if note is not None:
        raise DataError(
            f"{path}: its RAW was predicted from {note.source or 'a photo'}, not read by a sensor: take it out"
        )
    return read_raw(path, gain_maps=options.gain_maps, damaged=options.damaged)


def _is_large_enough(photo: Tensor, raw: RawImage, options: PrepareOptions) -> bool:
    """Whether a photo is as large as `PrepareOptions.min_preview` wants it, of the camera's own crop."""
    window = raw.mosaic.shape if raw.crop is None else (raw.crop.height, raw.crop.width)
    return max(photo.shape[-2:]) >= NEARLY * options.min_preview * max(window)


def _require_one_exposure(source: Path, raw: PhotoMetadata, photo_file: Path, photo: PhotoMetadata) -> None:
    """Require that photo and RAW have the same time and exposure.

    Raises:
        DataError: time or exposure differ.
    """
    seconds = seconds_between(raw, photo)
    if seconds is not None and abs(seconds) > SAME_SECONDS:
        raise DataError(f"{photo_file} is not the exposure of {source}: it was taken {seconds:+.0f} s from it")
    what = different_setting(raw, photo)
    if what is not None:
        one, two = (float(getattr(metadata, what)) for metadata in (raw, photo))
        raise DataError(
            f"{photo_file} is not the exposure of {source}: {what.replace('_', ' ')} {two:.4g}, not {one:.4g}"
        )


def why_lonely(item: LonelyPhoto) -> str:
    """Return why a photo in a folder of RAW files cannot be used; name the RAW that was shot nearest to it."""
    photo = item.files[0]
    if item.is_mosaic:
        return (
            f"{photo}: one channel of 16 bits: if it is a mosaic, put its camera profile next to it as "
            f"{photo.with_suffix('.json').name}, or name it by --profile"
        )
    shot = read_metadata(photo)
    near: tuple[float, Path] | None = None
    for file in item.raws:
        seconds = seconds_between(metadata_of(file), shot)
        if seconds is not None and (near is None or abs(seconds) < abs(near[0])):
            near = (seconds, file)
    if near is not None and abs(near[0]) <= SAME_SECONDS:
        return (
            f"{photo}: was taken with {near[1].name}, but has another name: if it is the camera's rendering of "
            f"it, call it {near[1].stem}{photo.suffix}"
        )
    if near is not None and abs(near[0]) < NEARBY_SECONDS:
        when = f"{abs(near[0]):.0f} s {'earlier' if near[0] > 0 else 'later'}"
        return (
            f"{photo}: not the same exposure as any RAW here ({near[1].name} was taken {when}), and a pair needs "
            "one exposure"
        )
    if not item.raws:
        return (
            f"{photo}: a mosaic and its photo make a pair in a folder with raw/, srgb/ and profile.json; give the "
            "photo alone to send it through simulated cameras"
        )
    return f"{photo}: no RAW of its name here; give it alone to send it through simulated cameras"
