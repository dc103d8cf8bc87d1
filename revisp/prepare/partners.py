"""Find the camera's own photo of each RAW: by name, by date and exposure, and by what it shows.

Names come first: in the same folder, then in the whole given folder, unless date or settings contradict. What is
left is joined by date, camera and settings, or else by the picture that is embedded in the RAW: where there is
exactly one match both ways.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from revisp.errors import RevispError
from revisp.io.exif import PhotoMetadata
from revisp.io.file_names import RAW_ENDINGS
from revisp.io.header import metadata_of
from revisp.io.photo import read_srgb
from revisp.io.raw.preview import read_preview

__all__ = [
    "JPEG_ENDINGS",
    "SAME_SECONDS",
    "Partners",
    "different_setting",
    "seconds_between",
    "shot",
]

K = TypeVar("K", bound=Hashable)

JPEG_ENDINGS = (".jpg", ".jpeg")

SAME_SECONDS = 2.0
"""Most seconds between the dates of the files of one exposure, which are written one after the other."""

SAME_EXPOSURE_EV = 0.1
"""Most EV between exposure times, f-numbers and ISO of one exposure: makers round them differently."""

_MARKS = re.compile(r"(\.raw-\d+|\.mp|\.cover|\.original|[-_. ](raw|dng|jpe?g))+$")
"""What phones append to the names of a shot's files: PXL_1.RAW-01.MP.COVER.jpg and PXL_1.RAW-02.ORIGINAL.dng."""

_SIDE = 32  # pixels of the pictures that are compared
_ALIKE, _AHEAD = 0.95, 0.05  # correlation of pictures of one shot, and how far it is above all others
_MOST_COMPARED = 32  # files whose pictures are compared


def shot(file: Path) -> str:
    """Return the name of the shot that a file belongs to.

    Example:
        >>> shot(Path("PXL_1.RAW-02.ORIGINAL.dng")) == shot(Path("PXL_1.RAW-01.MP.COVER.jpg")) == "pxl_1"
        True
    """
    return _MARKS.sub("", file.stem.lower())


class Partners:
    """The photo of each RAW.

    Args:
        files: all files of a given folder and its subfolders.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        files = list(files)
        self._raws = [file for file in files if file.suffix.lower() in RAW_ENDINGS]
        self._photos = [file for file in files if file.suffix.lower() in JPEG_ENDINGS]
        self._of: dict[Path, Path] = {}
        by_shot = _grouped(self._photos, shot)
        for raw in self._raws:
            beside = [photo for photo in by_shot.get(shot(raw), ()) if photo.parent == raw.parent]
            exact = [photo for photo in beside if photo.stem.lower() == raw.stem.lower()]
            if exact or len(beside) == 1:
                self._of[raw] = (exact or beside)[0]
        self._join_by_name(_contradict_not)
        self._join_by_name(_agree)
        self._join_by_date()
        self._join_by_picture()

    @property
    def taken(self) -> set[Path]:
        """Photos that belong to a RAW."""
        return set(self._of.values())

    def of(self, raw: Path) -> Path | None:
        """Return the photo of a RAW; None if it has none."""
        return self._of.get(raw)

    def _free(self) -> tuple[list[Path], list[Path]]:
        taken = self.taken
        return (
            [raw for raw in self._raws if raw not in self._of],
            [photo for photo in self._photos if photo not in taken],
        )

    def _join_by_name(self, fit: Callable[[Path, Path], bool]) -> None:
        """Join files without partner of the same shot's name that fit each other."""
        raws, photos = self._free()
        groups = _grouped(photos, shot)
        self._settle({raw: [one for one in groups.get(shot(raw), ()) if fit(raw, one)] for raw in raws})

    def _join_by_date(self) -> None:
        """Join files without partner of one camera that were taken at the same time, with the same settings."""
        raws, photos = self._free()
        if not raws or not photos:
            return
        groups = _grouped(photos, _second)
        found = {}
        for raw in raws:
            second = _second(raw)
            near = range(second - int(SAME_SECONDS), second + int(SAME_SECONDS) + 1) if second is not None else ()
            found[raw] = [one for at in near for one in groups.get(at, ()) if _agree(raw, one)]
        self._settle(found)

    def _join_by_picture(self) -> None:
        """Join files of one folder without partner by the picture that is embedded in the RAW."""
        raws, photos = self._free()
        of_folder = _grouped(photos, lambda photo: photo.parent)
        for folder, here in _grouped(raws, lambda raw: raw.parent).items():
            there = of_folder.get(folder, [])
            if there and max(len(here), len(there)) <= _MOST_COMPARED:
                self._of |= _alike(here, there)

    def _settle(self, candidates: Mapping[Path, Sequence[Path]]) -> None:
        """Join each RAW that has one candidate, which is no other's."""
        wanted = Counter(photo for found in candidates.values() for photo in found)
        for raw, found in candidates.items():
            if len(found) == 1 and wanted[found[0]] == 1:
                self._of[raw] = found[0]


def _grouped(files: Iterable[Path], key: Callable[[Path], K]) -> dict[K, list[Path]]:
    groups: dict[K, list[Path]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups


def _alike(raws: Sequence[Path], photos: Sequence[Path]) -> dict[Path, Path]:
    """Return the photos that show what a RAW shows, where there is no doubt."""
    seen = {raw: picture for raw in raws if (picture := _picture(raw, read_preview)) is not None}
    shown = (
        {photo: picture for photo in photos if (picture := _picture(photo, read_srgb)) is not None} if seen else {}
    )
    if not shown:
        return {}
    likeness = torch.stack([torch.stack([(one * two).sum() for two in shown.values()]) for one in seen.values()])
    found = {}
    for row, raw in enumerate(seen):
        column = int(likeness[row].argmax())
        best = float(likeness[row, column])
        photo = list(shown)[column]
        others = likeness.clone()
        others[row, column] = -1
        ahead = best - max(float(others[row].max()), float(others[:, column].max())) > _AHEAD
        if best >= _ALIKE and ahead and _contradict_not(raw, photo):
            found[raw] = photo
    return found


def _picture(file: Path, read: Callable[[Path], Tensor | None]) -> Tensor | None:
    """Return a small grey picture as a vector of length 1, without its mean; None if there is none."""
    try:
        pixels = read(file)
    except RevispError:
        return None
    if pixels is None:
        return None
    small = F.adaptive_avg_pool2d(pixels.mean(dim=0, keepdim=True), _SIDE).flatten()
    small = small - small.mean()
    length = small.norm()
    return small / length if float(length) > 0 else None


def _agree(raw: Path, photo: Path) -> bool:
    """Whether date, camera and settings of a photo are those of a RAW, and known."""
    one, two = metadata_of(raw), metadata_of(photo)
    seconds = seconds_between(one, two)
    camera = _camera(one)
    return seconds is not None and camera is not None and camera == _camera(two) and _contradict_not(raw, photo)


def _camera(told: PhotoMetadata) -> str | None:
    """Return the model without the maker, whose name some programs put before it; None if it is not stated."""
    if told.model is None:
        return None
    maker = (told.make or "").partition(" ")[0].lower()
    return told.model.lower().removeprefix(maker).strip()


def _contradict_not(raw: Path, photo: Path) -> bool:
    """Whether neither date nor settings of a photo say that it is not that of a RAW."""
    one, two = metadata_of(raw), metadata_of(photo)
    seconds = seconds_between(one, two)
    return (seconds is None or abs(seconds) <= SAME_SECONDS) and different_setting(one, two) is None


def _second(file: Path) -> int | None:
    time = _time(metadata_of(file).date)
    return None if time is None else int((time - datetime(1970, 1, 1)).total_seconds())


def different_setting(one: PhotoMetadata, two: PhotoMetadata) -> str | None:
    """Return the setting in which two exposures differ, of those that both state; None if there is none."""
    for what in ("exposure_time", "f_number", "iso"):
        a, b = getattr(one, what), getattr(two, what)
        if a and b and abs(math.log2(a / b)) > SAME_EXPOSURE_EV:
            return what
    return None


def seconds_between(one: PhotoMetadata, two: PhotoMetadata) -> float | None:
    """Return how many seconds the second was taken after the first; None if a date is missing."""
    first, second = _time(one.date), _time(two.date)
    return None if first is None or second is None else (second - first).total_seconds()


def _time(date: str | None) -> datetime | None:
    try:
        return datetime.strptime(date or "", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
