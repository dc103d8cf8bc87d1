"""One piece of work each: the files that belong together, and what they are."""

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
    """Files that become pictures of the data set, or a reason why not.

    Attributes:
        name: what the pictures are called, or begin with.
        files: absolute or relative paths; the RAW before the photo.
    """

    name: str
    files: tuple[Path, ...]

    @property
    def scene(self) -> str:
        """What must stay on one side of a split: the pictures of one exposure."""
        return self.name


@dataclass(frozen=True)
class RawFile(Item):
    """A camera's RAW file, alone or with the JPEG of its name."""


@dataclass(frozen=True)
class MosaicFile(Item):
    """A mosaic of 16 bits in a picture or array file.

    Attributes:
        profile: JSON file of its camera.
    """

    profile: Path


@dataclass(frozen=True)
class PairFile(Item):
    """A pair of a pairs folder, aligned already.

    Attributes:
        pair: its name in that folder.
    """

    pair: str


@dataclass(frozen=True)
class ChallengeTile(Item):
    """A tile of AIM 2022 or NTIRE 2025; one file alone lacks its other half.

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
    """A photo in a folder of RAW files that is none of theirs.

    Attributes:
        raws: the RAW files beside it.
        is_mosaic: it looks like a mosaic whose camera profile is missing.
    """

    raws: tuple[Path, ...]
    is_mosaic: bool = False


def rendering_name(item: Item, converter: str, style: str) -> str:
    """Return what to call a rendering of a RAW."""
    return f"{item.name}_{converter}_{style}"


def shot_name(item: Item, index: int, cameras: int) -> str:
    """Return what to call a photo as the simulated camera ``index``, from 0, of several takes it."""
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
