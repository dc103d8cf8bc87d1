"""The contact sheet, which shows at a glance whether photos and RAWs belong together.

Each row is a picture: photo, developed RAW, difference, overexposure mask. The RAW is developed by the camera
model that was fitted to the pair. So a good pair differs only by noise and local operations of the camera. Double
contours mean that the photo is shifted. A colour cast means a wrong Bayer phase or black level.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from revisp.align.alignment import FULL_SIZE
from revisp.camera.develop import develop
from revisp.camera.fit import FittedCamera
from revisp.data.entry import Entry, array_path
from revisp.data.manifest import Manifest
from revisp.errors import RevispError
from revisp.io.contact_sheet import write_contact_sheet
from revisp.io.npy import open_npy
from revisp.mask import overexposure_mask

__all__ = ["write_sheets"]

SHEET_COLUMNS = ("photo", "developed RAW", "difference x 4", "overexposure mask")
MOST_ROWS = 16
"""Most pictures on a sheet."""


def write_sheets(manifest: Manifest, *, limit: int = 96) -> list[Path]:
    """Write ``sheet.png``, ``sheet-2.png``, ... into a data set, and remove older sheets that are not needed.

    Args:
        manifest: the data set.
        limit: most pictures to show; from more pictures an evenly spread selection is shown.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from revisp.io import write_png
        >>> from revisp.prepare import PrepareOptions, prepare
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("room", "street"):
        ...         write_png(f"{folder}/{name}.png", torch.rand(3, 64, 96))
        ...     left = prepare([folder], f"{folder}/phone", PrepareOptions(demosaic="bilinear", workers=1))
        ...     [path.name for path in write_sheets(left.manifest)]
        ['sheet.png']
    """
    entries = manifest.entries
    if len(entries) > limit:
        entries = tuple(entries[round(k)] for k in np.linspace(0, len(entries) - 1, limit))
    written = []
    for start in range(0, len(entries), MOST_ROWS):
        page = start // MOST_ROWS + 1
        path = manifest.root / ("sheet.png" if page == 1 else f"sheet-{page}.png")
        rows = [_row(manifest.root, entry) for entry in entries[start : start + MOST_ROWS]]
        write_contact_sheet(path, SHEET_COLUMNS, rows)
        written.append(path)
    for old in manifest.root.glob("sheet*.png"):
        if old not in written and re.fullmatch(r"sheet(-\d+)?\.png", old.name):
            old.unlink()
    return written


def _row(root: Path, entry: Entry) -> tuple[str, list[Tensor]]:
    stored = open_npy(array_path(root, entry.name, "srgb"))
    target = open_npy(array_path(root, entry.name, "target"))
    photo = torch.from_numpy(np.array(stored).astype(np.float32) / np.iinfo(stored.dtype).max).permute(2, 0, 1)
    raw_rgb = torch.from_numpy(np.array(target).astype(np.float32))
    developed = _develop(raw_rgb, photo, entry)
    difference = (4 * (photo - developed).abs()).clamp(0, 1)
    mask = overexposure_mask(photo).expand(3, -1, -1)
    return _label(entry), [photo, developed, difference, mask]


def _develop(raw_rgb: Tensor, photo: Tensor, entry: Entry) -> Tensor:
    """Develop by the camera fitted to the pair, else plainly, as bright as the photo."""
    if entry.fitted is not None:
        try:
            return FittedCamera.from_dict(entry.fitted).develop(raw_rgb).clamp(0, 1)
        except RevispError:  # a manifest edited by hand; the pictures are still worth seeing
            pass
    wanted = float(photo.mean())
    stops = np.linspace(-1, 6, 29)
    step = max(1, photo.shape[-1] // 256)
    small = raw_rgb[:, ::step, ::step]
    means = [float(develop(small, entry.profile, exposure=float(stop)).mean()) for stop in stops]
    return develop(raw_rgb, entry.profile, exposure=float(np.interp(wanted, means, stops)))


def _label(entry: Entry) -> str:
    parts = [
        entry.name,
        entry.kind,
        entry.camera,
        entry.profile.cfa.value,
        f"{entry.width}x{entry.height}",
        entry.split,
    ]
    if entry.alignment is not None:
        parts.append(_placing(entry.alignment))
    if entry.fitted is not None and "psnr" in entry.fitted:
        parts.append(f"fitted camera {entry.fitted['psnr']:.1f} dB")
    parts.append(f"OE {100 * entry.oe_share:.2f} %")
    return "   ".join(parts)


def _placing(alignment: dict[str, Any]) -> str:
    """Say where the photo lies on the RAW, and how well; of a reduced one, which part of the RAW it shows."""
    if alignment["scale"] < FULL_SIZE:
        top, left, bottom, right = (round(edge) for edge in alignment["window"])
        place = f"shows [{top}:{bottom}, {left}:{right}] at {alignment['scale']:.3f}"
    else:
        dy, dx = alignment["offset"]
        place = f"offset ({dy:+.1f}, {dx:+.1f}) px"
    return f"{place}, residual {alignment['residual_median']:.2f} px (95 %: {alignment['residual_p95']:.2f})"
