"""The cameras of a data set, measured on all their pairs: a file each, by which photos can be simulated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from revisp.camera.fit import fit_camera
from revisp.camera.noise import fit_noise
from revisp.camera.profile import CameraProfile
from revisp.data.manifest import Entry, Manifest, array_path
from revisp.errors import RevispError
from revisp.io.camera_file import save_camera

__all__ = ["write_cameras"]

RENDERED_BY_CAMERA = ("raw+jpeg", "raw+preview", "pair")
"""Kinds of pictures whose photo the camera itself made."""

MAX_PAIRS = 8
"""Most pairs of a camera that are measured."""

MAX_PIXELS = 4_000_000
"""Most pixels of a pair that are measured: the middle of a larger one."""


def write_cameras(manifest: Manifest) -> list[Path]:
    """Measure each camera that made photos of its own, and write ``cameras/MAKE-MODEL.json``.

    Only training pictures are measured. Shots of one camera differ in white balance: each RAW is brought to that
    of the first. A camera whose pictures allow no measurement (black, flat) gets no file.

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
            _measure(manifest.root, entries[:MAX_PAIRS], path)
        except RevispError:
            continue
        written.append(path)
    return written


def _measure(root: Path, entries: Sequence[Entry], path: Path) -> None:
    profile = entries[0].profile
    fitted = fit_camera([_pair(root, entry, profile) for entry in entries])
    noises = [fit_noise(_middle(root, entry), entry.profile.cfa, scale=_noise_scale(entry)) for entry in entries]
    middle = sorted(noises, key=lambda levels: levels.shot)[len(noises) // 2]
    save_camera(path, fitted.profile(profile), fitted, middle)


def _pair(root: Path, entry: Entry, reference: CameraProfile) -> tuple[Tensor, Tensor, None]:
    """Return photo and demosaiced RAW, the latter in the white balance of the reference."""
    rows, columns = _window(entry)
    stored = np.load(array_path(root, entry.name, "srgb"), mmap_mode="r", allow_pickle=False)
    target = np.load(array_path(root, entry.name, "target"), mmap_mode="r", allow_pickle=False)
    photo = np.array(stored[rows, columns], np.float32) / np.iinfo(stored.dtype).max
    ratio = np.array(entry.profile.gains) / np.array(reference.gains)
    raw_rgb = np.array(target[:, rows, columns], np.float32) * ratio.astype(np.float32).reshape(3, 1, 1)
    return torch.from_numpy(photo).permute(2, 0, 1).contiguous(), torch.from_numpy(raw_rgb), None


def _middle(root: Path, entry: Entry) -> Tensor:
    rows, columns = _window(entry)
    stored = np.load(array_path(root, entry.name, "raw"), mmap_mode="r", allow_pickle=False)
    return torch.from_numpy(entry.profile.normalise(np.array(stored[rows, columns]))).unsqueeze(0)


def _noise_scale(entry: Entry) -> int:
    """Return the scale at which noise is measured: GPR's wavelet compression has removed the finest."""
    return 3 if entry.sources and entry.sources[0]["path"].lower().endswith(".gpr") else 1


def _window(entry: Entry) -> tuple[slice, slice]:
    """Return the middle of a picture, of at most `MAX_PIXELS` pixels, at an even place."""
    share = min(1.0, (MAX_PIXELS / (entry.height * entry.width)) ** 0.5)
    spans = []
    for side in (entry.height, entry.width):
        length = int(side * share) // 2 * 2
        start = (side - length) // 4 * 2
        spans.append(slice(start, start + length))
    return spans[0], spans[1]
