"""Recognise the given files and folders: find the photo of each RAW, and files that cannot be used.

Names, file headers and array shapes decide, so a large folder is planned in seconds. Pictures are decoded only if
these do not join a few RAW files and photos of one folder.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revisp.challenges import CHALLENGES, by_photo, by_tile
from revisp.data.manifest import MANIFEST
from revisp.errors import DataError, ImageError
from revisp.io.file_names import MOSAIC_ENDINGS, PHOTO_ENDINGS, RAW_ENDINGS, natural_key
from revisp.io.header import photo_size
from revisp.io.npy import open_npy
from revisp.prepare.items import (
    ChallengeTile,
    Item,
    LonelyPhoto,
    MosaicFile,
    PairFile,
    PlainPhoto,
    RawFile,
    picture_names,
)
from revisp.prepare.journal import JOURNAL
from revisp.prepare.options import PrepareOptions
from revisp.prepare.pairs import find_pairs, is_pairs_folder
from revisp.prepare.partners import JPEG_ENDINGS, Partners, shot

__all__ = ["Plan", "recognise"]

KNOWN_ENDINGS = (*RAW_ENDINGS, *PHOTO_ENDINGS, *MOSAIC_ENDINGS)
CHALLENGE_NAME = re.compile(r"(?P<scene>.+)_(?P<tile>\d+)")
MAX_NAME_BYTES = 160
"""Most bytes of an item's name: those of its pictures and of their arrays are longer."""


@dataclass(frozen=True)
class Plan:
    """The plan of a preparation.

    Attributes:
        items: the items, in natural order of their names, which are unique.
        explicit: names of the items whose file was given by name, not found in a folder.

    Example:
        >>> plan = Plan((PlainPhoto("street", (Path("street.jpg"),)),), frozenset({"street"}))
        >>> [item.name for item in plan.items]
        ['street']
    """

    items: tuple[Item, ...]
    explicit: frozenset[str]


def recognise(inputs: Sequence[Path], options: PrepareOptions, output: Path) -> Plan:
    """Find the items in files and folders.

    A folder is searched with its subfolders; hidden folders, links to folders, and prepared data sets are left
    out. A file that is found twice is taken once. In each folder these are items:

    * ``profile.json`` with ``srgb/`` and ``raw/``: a folder of aligned pairs (`revisp.prepare.pairs`);
    * ``SCENE_TILE.npy`` of the size of a challenge: tiles of AIM 2022 (with .jpg) or NTIRE 2025 (with .png);
    * camera RAW files, each with its photo (`revisp.prepare.partners`);
    * 16-bit mosaics: files that have a camera profile by ``options.profiles``, ``NAME.json`` or ``profile.json``;
    * other photos: for simulated cameras if the folder has no RAW, else rejected.

    Raises:
        DataError: an input does not exist, is the data set itself, or holds no usable file; or two files would get
            the same name.
    """
    found: dict[str, Item] = {}
    names: dict[str, Item] = {}
    explicit = set()
    for given, listings in _listings(inputs, output):
        partners = Partners(file for listing in listings for file in listing.files)
        items = [item for listing in listings for item in _items_of(listing, partners, options)]
        if not items:
            raise DataError(f"{given}: neither photos nor RAW files in it that revisp-prepare knows")
        for item in items:
            known = found.setdefault(os.path.realpath(item.files[0]), item)
            explicit |= set() if given.is_dir() else {known.name}
            for name in picture_names(item, options) if known is item else ():
                if (other := names.setdefault(name, item)) is not item:
                    raise DataError(
                        f"{item.files[0]} and {other.files[0]} would both be called {name!r}: "
                        "rename one, or prepare them into two data sets"
                    )
    return Plan(tuple(sorted(found.values(), key=lambda item: natural_key(item.name))), frozenset(explicit))


@dataclass(frozen=True)
class Listing:
    """The files of one folder.

    Attributes:
        folder: the folder.
        files: its files, sorted.
        root: the given folder that it belongs to.
    """

    folder: Path
    files: tuple[Path, ...]
    root: Path

    def name(self, stem: str) -> str:
        """Return the name of an item: its path below the root, with only characters that a file name may have."""
        place = unicodedata.normalize("NFC", (self.folder.relative_to(self.root) / stem).as_posix())
        return _shortened(re.sub(r"[^\w.+-]+", "-", place).strip("-.") or "unnamed")


def _shortened(name: str) -> str:
    """Cut a name that is too long, and add a hash, so that names with the same beginning stay different."""
    data = name.encode()
    if len(data) <= MAX_NAME_BYTES:
        return name
    return f"{data[: MAX_NAME_BYTES - 9].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def _listings(inputs: Sequence[Path], output: Path) -> Iterator[tuple[Path, list[Listing]]]:
    """Yield each given folder with its subfolders, and the files given by name, grouped by folder."""
    files: dict[Path, list[Path]] = {}
    for given in inputs:
        if given.is_dir():
            if _is_data_set(given):
                raise DataError(
                    f"{given}: is a data set itself: give the files to prepare, and another -o DATASET"
                )
            if given.resolve() == output.resolve():
                raise DataError(f"{given}: the data set would be written among its files: give another -o DATASET")
            yield given, list(_folders(given, output))
        else:
            _check_regular(given)
            files.setdefault(given.parent, []).append(given)
    for folder, names in files.items():
        listing = Listing(folder, tuple(sorted({*names, *_beside(folder, names)}, key=_by_name)), folder)
        for file in names:
            if file.suffix.lower() not in KNOWN_ENDINGS:
                warnings.warn(f"{file}: neither a photo nor a RAW file by its name, left out", stacklevel=3)
        yield names[0], [listing]


def _check_regular(file: Path) -> None:
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(f"{file}: {'no such file or folder' if missing else error.strerror}") from error
    if not regular:
        raise DataError(f"{file}: is neither a file nor a folder")


def _beside(folder: Path, names: Sequence[Path]) -> list[Path]:
    """Return the photos in a folder that belong to files given by name: to a RAW or to an array of a challenge."""
    raws = {shot(file) for file in names if file.suffix.lower() in RAW_ENDINGS}
    arrays = {file.stem for file in names if _challenge_kind(file) is not None}
    try:
        photos = [file for file in folder.iterdir() if file.suffix.lower() in (*JPEG_ENDINGS, ".png")]
    except OSError:  # a folder whose files can be read, but not listed
        return []
    of_raws = [file for file in photos if file.suffix.lower() in JPEG_ENDINGS and shot(file) in raws]
    return of_raws + [file for file in photos if file.stem in arrays]


def _is_data_set(folder: Path) -> bool:
    """Whether a folder was prepared, or is being prepared."""
    return (folder / "arrays").is_dir() and any((folder / name).is_file() for name in (MANIFEST, JOURNAL))


def _folders(root: Path, output: Path) -> Iterator[Listing]:
    def unreadable(error: OSError) -> None:
        message = f"{error.filename}: {error.strerror}"
        if Path(error.filename) == root:
            raise DataError(message) from error
        warnings.warn(f"{message}, left out", stacklevel=2)

    for folder, below, names in os.walk(root, onerror=unreadable):
        here = Path(folder)
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".")
            and (here / name).resolve() != output.resolve()
            and not _is_data_set(here / name)
        )
        if is_pairs_folder(here):
            below[:] = [name for name in below if name not in ("srgb", "raw")]
        files = [here / name for name in names if not name.startswith(".")]
        # Pipes are left out; broken links are kept, so that they are reported.
        files = [file for file in files if file.is_file() or not file.exists()]
        yield Listing(here, tuple(sorted(files, key=_by_name)), root)


def _by_name(file: Path) -> Any:
    return natural_key(file.name)


def _items_of(listing: Listing, partners: Partners, options: PrepareOptions) -> list[Item]:
    if is_pairs_folder(listing.folder):
        return [PairFile(listing.name(name), files, name) for name, files in find_pairs(listing.folder)]
    mosaics = {file: profile for file in listing.files if (profile := _sidecar(file, options)) is not None}
    challenge, rest = _challenge_tiles(listing, [file for file in listing.files if file not in mosaics])
    raws = [file for file in rest if file.suffix.lower() in RAW_ENDINGS]
    items: list[Item] = [*challenge]
    for raw in raws:
        photo = partners.of(raw)
        items.append(RawFile(listing.name(raw.stem), (raw,) if photo is None else (raw, photo)))
    for mosaic, profile in mosaics.items():
        items.append(MosaicFile(listing.name(mosaic.stem), (mosaic,), profile))
    has_mosaics = bool(mosaics) or any(_looks_like_mosaic(file) for file in rest if file.suffix.lower() == ".png")
    photos = [file for file in rest if file.suffix.lower() in PHOTO_ENDINGS and file not in partners.taken]
    stems = {raw.stem.lower() for raw in raws}
    for photo in photos:
        if photo.stem.lower() not in stems:  # else it is a second rendering of a RAW that has its JPEG
            items.append(_photo_item(listing, photo, tuple(raws), has_mosaics=has_mosaics))
    return items


def _photo_item(listing: Listing, photo: Path, raws: tuple[Path, ...], *, has_mosaics: bool) -> Item:
    name = listing.name(photo.stem)
    if _looks_like_mosaic(photo):
        return LonelyPhoto(name + photo.suffix.lower(), (photo,), (), is_mosaic=True)
    if raws or has_mosaics:
        return LonelyPhoto(name + photo.suffix.lower(), (photo,), raws)
    return PlainPhoto(name, (photo,))


def _challenge_tiles(listing: Listing, files: list[Path]) -> tuple[list[Item], list[Path]]:
    """Split the files of a folder into challenge tiles and others; a tile without photo or RAW is kept."""
    kinds = {file: kind for file in files if (kind := _challenge_kind(file)) is not None}
    kind = next((kind for kind in kinds.values() if kind != "damaged"), next(iter(kinds.values()), None))
    kind = kind or _challenge_of_photos(files)
    if kind is None:
        return [], files
    ending = CHALLENGES[kind].photo_ending if kind in CHALLENGES else ".jpg"
    photos = {file.stem: file for file in files if file.suffix.lower() == ending}
    items: list[Item] = []
    used: set[Path] = set()
    for raw in kinds:
        photo = photos.pop(raw.stem, None)
        used |= {raw} if photo is None else {raw, photo}
        items.append(_tile(listing, kinds[raw], (raw,) if photo is None else (raw, photo), raw.stem))
    for stem, photo in photos.items():
        if CHALLENGE_NAME.fullmatch(stem) and (found := by_photo(photo_size(photo))) and found.name == kind:
            used.add(photo)
            items.append(_tile(listing, kind, (photo,), stem))
    return items, [file for file in files if file not in used and file.suffix.lower() != ".pkl"]


def _tile(listing: Listing, kind: str, files: tuple[Path, ...], stem: str) -> ChallengeTile:
    match = CHALLENGE_NAME.fullmatch(stem)
    scene = match["scene"] if match else stem
    return ChallengeTile(listing.name(stem), files, kind, listing.name(scene))


def _challenge_kind(file: Path) -> str | None:
    """Return the challenge whose arrays have the shape of a file; only the header is read."""
    if file.suffix.lower() != ".npy":
        return None
    try:
        array = open_npy(file)
    except ImageError:
        return "damaged" if CHALLENGE_NAME.fullmatch(file.stem) else None
    if array.ndim == 3 and array.shape[-1] == 4:
        if challenge := by_tile(array.shape[:2]):
            return challenge.name
        return "damaged" if CHALLENGE_NAME.fullmatch(file.stem) else None
    return None


def _challenge_of_photos(files: list[Path]) -> str | None:
    """Return the challenge of a folder without arrays, by the name, ending and size of one photo."""
    named = (file for file in files if CHALLENGE_NAME.fullmatch(file.stem))
    found = (by_photo(photo_size(file)) for file in named if file.suffix.lower() == ".jpg")
    return next((challenge.name for challenge in found if challenge and challenge.photo_ending == ".jpg"), None)


def _sidecar(file: Path, options: PrepareOptions) -> Path | None:
    """Return the camera profile of a 16-bit mosaic; None if the file is not a mosaic."""
    if file.suffix.lower() not in MOSAIC_ENDINGS:
        return None
    for pattern, profile in options.profiles:
        if fnmatch.fnmatch(file.name, pattern):
            return profile
    if file.suffix.lower() == ".png" and not _is_grey(file):
        return None
    sidecars = (file.with_suffix(".json"), file.parent / "profile.json")
    return next((sidecar for sidecar in sidecars if sidecar.is_file()), None)


def _looks_like_mosaic(file: Path) -> bool:
    """Whether a PNG has one channel of 16 bits, by its header."""
    return _png_layout(file) == (16, 0)


def _is_grey(file: Path) -> bool:
    """Whether a PNG has one channel, of any depth: beside a camera profile it is a mosaic, right or wrong."""
    layout = _png_layout(file)
    return layout is not None and layout[1] == 0


def _png_layout(file: Path) -> tuple[int, int] | None:
    """Return bit depth and colour type of a PNG, by its header; None for other files."""
    try:
        with file.open("rb") as opened:
            head = opened.read(26)
    except OSError:  # said when it is read
        return None
    return (head[24], head[25]) if head[:4] == b"\x89PNG" and len(head) == 26 else None
