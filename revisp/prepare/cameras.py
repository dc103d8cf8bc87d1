"""Measure the cameras of a data set on their pairs, and write a camera file for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.noise import NoiseLevels, fit_noise
from revisp.camera.profile import CameraProfile
from revisp.data.entry import Entry
from revisp.data.manifest import Manifest
from revisp.data.prepared import PreparedPicture
from revisp.errors import OutputError, RevispError
from revisp.io.camera_file import IsoNoise, read_camera, save_camera
from revisp.io.exif import PhotoMetadata
from revisp.io.header import metadata_of
from revisp.io.raw.ceilings import find_ceilings
from revisp.io.raw.rawimage import RawImage
from revisp.prepare.camera_sheet import write_camera_sheet
from revisp.prepare.store import RENDERED_BY_CAMERA

__all__ = ["write_cameras"]

MAX_PIXELS = 40_000_000
"""Most pixels of a camera's pairs that are measured: three of 12 megapixels, or as many smaller ones as fit."""


def write_cameras(manifest: Manifest) -> list[Path]:
    """Measure each camera that rendered photos itself, and write ``cameras/MAKE-MODEL.json`` and ``.png``.

    Only training pictures are measured. Shots of one camera differ in white balance, so each RAW is converted to
    that of the first. A camera whose pictures cannot be measured (black, flat) gets no file.

    Raises:
        OutputError: a file cannot be written.
    """
    cameras: dict[str, list[Entry]] = {}
    for entry in manifest.entries:
        if entry.kind in RENDERED_BY_CAMERA and entry.split == "train":
            cameras.setdefault(entry.camera, []).append(entry)
    written = []
    for camera, entries in cameras.items():
        path = manifest.root / "cameras" / (re.sub(r"[^\w.+-]+", "-", camera, flags=re.ASCII) + ".json")
        try:
            path.parent.mkdir(exist_ok=True)
            _measure(manifest.root, _enough(entries), path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        except OutputError:
            raise
        except RevispError:
            continue
        written.append(path)
    return written


def _enough(entries: Sequence[Entry]) -> list[Entry]:
    """Return the first pictures, up to `MAX_PIXELS` pixels, at least one."""
    pixels = np.cumsum([entry.height * entry.width for entry in entries])
    return list(entries[: max(1, int((pixels <= MAX_PIXELS).sum()))])


def _measure(root: Path, entries: Sequence[Entry], path: Path) -> None:
    """Measure rendering, noise, ceilings, and lens shading if all photos are whole; those of pairs may be cut."""
    profile, whole = entries[0].profile, all(entry.whole for entry in entries)
    pictures = [PreparedPicture(root, entry) for entry in entries]
    fitted = fit_camera([_pair(picture, profile) for picture in pictures], shading=whole)
    noises = [(_iso(entry), _noise(picture)) for entry, picture in zip(entries, pictures, strict=True)]
    save_camera(
        path,
        fitted.profile(profile),
        fitted,
        _middle([levels for _, levels in noises]),
        noise_by_iso=_by_iso(noises),
        ceilings=_ceilings(pictures),
        size=(entries[0].height, entries[0].width) if whole else None,
    )
    shown = pictures[0]
    write_camera_sheet(path.with_suffix(".png"), read_camera(path), shown.read(0, 0, shown.height, shown.width))


def _pair(picture: PreparedPicture, reference: CameraProfile) -> FitPair:
    """Return photo, demosaiced RAW in the white balance of the reference, and valid pixels."""
    sample = picture.read(0, 0, picture.height, picture.width)
    ratio = np.array(picture.entry.profile.gains) / np.array(reference.gains)
    return FitPair(sample.srgb, sample.target * sample.target.new_tensor(ratio).view(3, 1, 1), sample.valid)


def _middle(noises: Sequence[NoiseLevels]) -> NoiseLevels:
    return sorted(noises, key=lambda levels: levels.shot)[len(noises) // 2]


def _iso(entry: Entry) -> int | None:
    """Return the ISO speed that the first source of a picture tells."""
    return metadata_of(Path(entry.sources[0]["path"])).iso if entry.sources else None


def _by_iso(noises: Sequence[tuple[int | None, NoiseLevels]]) -> list[IsoNoise]:
    """Return the noise at each ISO speed, from the lowest up; pictures without one come first."""
    found = []
    for iso in sorted({iso for iso, _ in noises}, key=lambda iso: iso or 0):
        some = [levels for other, levels in noises if other == iso]
        spread = float(np.std([levels.shot for levels in some], ddof=1)) if len(some) > 1 else None
        found.append(IsoNoise(iso, *_middle(some), spread, len(some)))
    return found


def _ceilings(pictures: Sequence[PreparedPicture]) -> list[float | None]:
    """Return where R, Gr, Gb, B saturate, normalised: the median of the pictures that tell."""
    found: list[list[float]] = [[], [], [], []]
    for picture in pictures:
        profile = picture.entry.profile
        stored = picture.window(0, 0, picture.height, picture.width).raw
        ceilings = find_ceilings(RawImage(stored, profile, PhotoMetadata(), orientation=1))
        for levels, ceiling, black in zip(found, ceilings, profile.black_level, strict=True):
            if ceiling is not None:
                levels.append((ceiling.level - black) / (profile.white_level - black))
    return [float(np.median(levels)) if levels else None for levels in found]


def _noise(picture: PreparedPicture) -> NoiseLevels:
    """Measure the noise, at a coarser scale if the wavelet compression of GPR removed the finest scale."""
    path = picture.entry.sources[0]["path"] if picture.entry.sources else ""
    bayer = picture.read(0, 0, picture.height, picture.width).bayer
    return fit_noise(bayer, picture.entry.profile.cfa, scale=3 if path.lower().endswith(".gpr") else 1)
