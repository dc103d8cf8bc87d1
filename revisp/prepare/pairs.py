"""Folders of pairs that are aligned already.

Layout::

    FOLDER/profile.json            the camera (`revisp.CameraProfile`)
    FOLDER/srgb/NAME.png|jpg|...   its rendering, aligned with the RAW pixel by pixel
    FOLDER/raw/NAME.png|tiff|npy   the mosaic: one channel of 16 bits, in the profile's stored units
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from revisp.camera.profile import CameraProfile
from revisp.errors import DataError
from revisp.io.file_names import MOSAIC_ENDINGS, PHOTO_ENDINGS, natural_key
from revisp.io.photo import read_srgb
from revisp.io.raw.read import read_mosaic_raw
from revisp.prepare.frame import Frame, is_deep, measure
from revisp.prepare.items import PairFile
from revisp.prepare.options import PrepareOptions
from revisp.prepare.plausible import require_bayer, warn_of_levels
from revisp.prepare.store import AlignedPair

__all__ = ["find_pairs", "is_pairs_folder", "pair_picture"]


def is_pairs_folder(folder: Path) -> bool:
    """Whether a folder has the layout of pairs."""
    return (folder / "profile.json").is_file() and (folder / "srgb").is_dir() and (folder / "raw").is_dir()


def find_pairs(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Yield the name and files of each pair, RAW first. A single file means that the other half is missing.

    Raises:
        DataError: two photos or two RAW files have the same name.
    """
    raws, photos = _files(folder / "raw", MOSAIC_ENDINGS), _files(folder / "srgb", PHOTO_ENDINGS)
    for name in sorted({*raws, *photos}, key=natural_key):
        yield name, tuple(half[name] for half in (raws, photos) if name in half)


def pair_picture(item: PairFile, options: PrepareOptions) -> AlignedPair:
    """Make the picture of a pair. Its pixels are not moved; their offset is measured.

    Raises:
        RevispError: photo or RAW is missing, cannot be read, or has another size; a value is above the white
            level; or the samples do not lie as a Bayer mosaic's do.
    """
    if len(item.files) == 1:
        half = "raw" if item.files[0].parent.name == "srgb" else "srgb"
        raise DataError(f"{item.files[0]}: its other half is missing in {half}/")
    profile = CameraProfile.load(item.files[0].parent.parent / "profile.json")
    raw = read_mosaic_raw(item.files[0], profile, damaged=options.damaged)
    photo = read_srgb(item.files[1], damaged=options.damaged)
    require_bayer(raw, item.files[0])
    warn_of_levels(raw, item.files[0])
    if tuple(photo.shape[-2:]) != raw.mosaic.shape:
        height, width = raw.mosaic.shape
        raise DataError(
            f"{item.files[1]}: is {photo.shape[-2]}x{photo.shape[-1]}, but its RAW is {height}x{width}: a pairs "
            "folder holds aligned pairs; give the camera's own RAW and JPEG files to have them aligned"
        )
    return AlignedPair(
        item.name, "pair", profile, raw.mosaic, photo, is_deep(photo), alignment=measure(photo, Frame(raw))
    )


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from error
    for path in paths:
        if path.suffix.lower() in endings and not path.name.startswith("."):
            other = found.setdefault(path.stem, path)
            if other != path:
                raise DataError(f"{folder}: both {other.name} and {path.name} are named {path.stem!r}")
    return found
