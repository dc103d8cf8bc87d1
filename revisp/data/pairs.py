"""A folder of real pairs: camera renderings and the RAW mosaics that they were made from.

Layout::

    ROOT/profile.json            the camera (`revisp.CameraProfile`)
    ROOT/srgb/NAME.png|jpg|...   the rendering, aligned with the RAW to the pixel
    ROOT/raw/NAME.png|tiff|npy   the mosaic: one channel of 16 bits, in the profile's stored units
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from revisp.camera.profile import CameraProfile
from revisp.data.datasets import Pair
from revisp.errors import DataError, ImageError
from revisp.io.image import read_srgb
from revisp.io.mosaic import read_mosaic

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PairsFolder"]

SRGB_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
RAW_ENDINGS = (".png", ".npy", ".tif", ".tiff")
VAL_SHARE = 0.2


class PairsFolder:
    """Source of the pairs in a folder. Files are read on demand; names are checked at once.

    Args:
        root: the folder.
        val: names (without ending) of the pairs to validate with; None takes the last fifth in natural order
            (``img2`` before ``img10``), at least one.

    Raises:
        DataError: a folder is missing or empty, a photo has no RAW or the reverse, a name is there twice or is not
            there at all, or nothing is left to train or to validate with.
        ConfigError: ``profile.json`` is missing or not a profile.
    """

    def __init__(self, root: str | Path, val: Sequence[str] | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder of pairs")
        self.profile = CameraProfile.load(self.root / "profile.json")
        self._photos = _files(self.root / "srgb", SRGB_ENDINGS)
        self._mosaics = _files(self.root / "raw", RAW_ENDINGS)
        if lonely := sorted(set(self._photos) ^ set(self._mosaics), key=_natural):
            half = "raw" if lonely[0] in self._photos else "srgb"
            raise DataError(f"{self.root}: {lonely[0]!r} has no file in {half}/ ({len(lonely)} such names)")
        self.train_names, self.val_names = self._split(val)

    def train_pairs(self) -> list[Pair]:
        """Read the pairs to learn from.

        Raises:
            DataError: see `read`.
        """
        return [self.read(name) for name in self.train_names]

    def val_pairs(self) -> list[Pair]:
        """Read the pairs to validate with.

        Raises:
            DataError: see `read`.
        """
        return [self.read(name) for name in self.val_names]

    def read(self, name: str) -> Pair:
        """Read one pair; an odd last row or column is left out.

        Raises:
            DataError: a file cannot be read, the sizes differ, or values exceed the profile's white level.
        """
        try:
            srgb, stored = read_srgb(self._photos[name]), read_mosaic(self._mosaics[name])
        except ImageError as error:
            raise DataError(str(error)) from error
        height, width = stored.shape
        if tuple(srgb.shape[-2:]) != (height, width):
            raise DataError(
                f"{self._photos[name]} is {srgb.shape[-2]}x{srgb.shape[-1]}, but its RAW is {height}x{width}: "
                "align and crop them first"
            )
        if (highest := int(stored.max())) > self.profile.white_level:
            raise DataError(
                f"{self._mosaics[name]} holds {highest}, above the white level {self.profile.white_level:g} of "
                f"{self.root / 'profile.json'}: is it another camera's, or a scaled picture?"
            )
        bayer = torch.from_numpy(self.profile.normalise(stored)).unsqueeze(0)
        even = (..., slice(height // 2 * 2), slice(width // 2 * 2))
        return Pair(name, srgb[even], bayer[even])

    def _split(self, val: Sequence[str] | None) -> tuple[list[str], list[str]]:
        names = sorted(self._photos, key=_natural)
        chosen = list(val) if val is not None else names[len(names) - max(1, round(VAL_SHARE * len(names))) :]
        if unknown := [name for name in chosen if name not in self._photos]:
            raise DataError(f"{self.root}: no pair is named {unknown[0]!r}; val takes names without ending")
        train = [name for name in names if name not in set(chosen)]
        if not chosen or not train:
            raise DataError(
                f"{self.root}: {len(names)} pairs leave {len(train)} to train and {len(chosen)} to validate with; "
                "at least one of each is needed"
            )
        return train, chosen


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in endings:
            continue
        if path.stem in found:
            raise DataError(f"{folder}: both {found[path.stem].name} and {path.name} are named {path.stem!r}")
        found[path.stem] = path
    if not found:
        raise DataError(f"{folder}: no files that end in {', '.join(endings)}")
    return found


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Order digits as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
