"""Measure the cameras of a data set on their pairs, and write a camera file for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.noise import NoiseLevels, fit_noise
from revisp.camera.profile import CameraProfile
from revisp.data.manifest import Entry, Manifest
from revisp.data.prepared import PreparedPicture
from revisp.errors import OutputError, RevispError
from revisp.io.camera_file import save_camera
from revisp.prepare.store import RENDERED_BY_CAMERA

__all__ = ["write_cameras"]

MAX_PIXELS = 40_000_000
"""Most pixels of a camera's pairs that are measured: three of 12 megapixels, or as many smaller ones as fit."""


def write_cameras(manifest: Manifest) -> list[Path]:
    """Measure each camera that rendered photos itself, and write ``cameras/MAKE-MODEL.json``.

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
    """Measure rendering and noise, and lens shading if all photos are whole; those of pairs may be cut."""
    profile, whole = entries[0].profile, all(entry.whole for entry in entries)
    pictures = [PreparedPicture(root, entry) for entry in entries]
    fitted = fit_camera([_pair(picture, profile) for picture in pictures], shading=whole)
    noises = [_noise(picture) for picture in pictures]
    middle = sorted(noises, key=lambda levels: levels.shot)[len(noises) // 2]
    save_camera(path, fitted.profile(profile), fitted, middle)


def _pair(picture: PreparedPicture, reference: CameraProfile) -> FitPair:
    """Return photo, demosaiced RAW in the white balance of the reference, and valid pixels."""
    sample = picture.read(0, 0, picture.height, picture.width)
    ratio = np.array(picture.entry.profile.gains) / np.array(reference.gains)
    return FitPair(sample.srgb, sample.target * sample.target.new_tensor(ratio).view(3, 1, 1), sample.valid)


def _noise(picture: PreparedPicture) -> NoiseLevels:
    """Measure the noise, at a coarser scale if the wavelet compression of GPR removed the finest scale."""
    path = picture.entry.sources[0]["path"] if picture.entry.sources else ""
    bayer = picture.read(0, 0, picture.height, picture.width).bayer
    return fit_noise(bayer, picture.entry.profile.cfa, scale=3 if path.lower().endswith(".gpr") else 1)
