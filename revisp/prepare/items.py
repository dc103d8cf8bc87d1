"""Items of a preparation: files that belong together, and their kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from revisp.prepare.options import PrepareOptions

__all__ = [
    "ChallengeTile",
    "Item",
    "LonelyPhoto",
    "MosaicFile",
    "PairFile",
    "PlainPhoto",
    "RawFile",
    "picture_names",
    "rendering_name",
    "shot_name",
]


@dataclass(frozen=True)
class Item:
    """Files that become pictures of the data set or a rejection.

    Attributes:
        name: name of its picture, or prefix of the names of several.
        files: absolute or relative paths; the RAW comes before the photo.
    """

    name: str
    files: tuple[Path, ...]

    @property
    def scene(self) -> str:
        """The scene: all pictures of one exposure, which must stay on one side of a split."""
        return self.name


@dataclass(frozen=True)
class RawFile(Item):
    """A camera RAW file, alone or with the JPEG of the same name."""


@dataclass(frozen=True)
class MosaicFile(Item):
    """A mosaic of 16 bits in a picture or array file.

    Attributes:
        profile: JSON file of the camera profile.
    """

    profile: Path


@dataclass(frozen=True)
class PairFile(Item):
    """An aligned pair of a pairs folder.

    Attributes:
        pair: name of the pair in that folder.
    """

    pair: str


@dataclass(frozen=True)
class ChallengeTile(Item):
    """A tile of AIM 2022 or NTIRE 2025. With a single file, the photo or the RAW is missing.

    Attributes:
        challenge: "s7", "p20", "ntire2025", or "damaged" for an array of another shape.
        whole: the scene that the tile was cut from.
    """

    challenge: str
    whole: str

    @property
    def scene(self) -> str:
        """The photo that the tile was cut from."""
        return self.whole


@dataclass(frozen=True)
class PlainPhoto(Item):
    """A photo for simulated cameras."""


@dataclass(frozen=True)
class LonelyPhoto(Item):
    """A photo in a folder of RAW files that belongs to none of them.

    Attributes:
        raws: the RAW files in the same folder.
        is_mosaic: whether it looks like a mosaic whose camera profile is missing.
    """

    raws: tuple[Path, ...]
    is_mosaic: bool = False


def rendering_name(item: Item, converter: str, style: str) -> str:
    """Return the name of a rendering of a RAW."""
    return f"{item.name}_{converter}_{style}"


def shot_name(item: Item, index: int, cameras: int) -> str:
    """Return the name of the shot of a photo by the simulated camera ``index``, counted from 0."""
    return item.name if cameras == 1 else f"{item.name}_{index + 1}"


def picture_names(item: Item, options: PrepareOptions) -> set[str]:
    """Return all names that pictures of an item may get."""
    if isinstance(item, PlainPhoto):
        return {shot_name(item, index, options.cameras) for index in range(options.cameras)}
    if not isinstance(item, RawFile | MosaicFile):
        return {item.name}
    from revisp.io.converters import STYLES

    styles = options.styles or tuple(STYLES)
    return {item.name, *(rendering_name(item, d, style) for d in options.converters for style in styles)}
