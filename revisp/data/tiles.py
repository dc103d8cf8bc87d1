"""Tiles of pictures for validation: all tiles of a picture, or some that are spread evenly over many pictures."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from torch.utils.data import Dataset

from revisp.data.picture import PHASES, Sample, know_places, table_of, with_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from revisp.cfa import CFA
    from revisp.data.picture import Picture, PictureTable

__all__ = ["PictureTile", "TileDataset", "picture_tiles", "spread", "spread_tiles"]

T = TypeVar("T")


class PictureTile(NamedTuple):
    """A window of a picture that has the data set's Bayer phase.

    Attributes:
        image: index of the picture in its data set.
        top: first row.
        left: first column.
        height: rows, even.
        width: columns, even.
    """

    image: int
    top: int
    left: int
    height: int
    width: int


def picture_tiles(table: PictureTable, image: int, cfa: CFA, side: int | None) -> list[PictureTile]:
    """Cut a picture into tiles of about equal size that do not overlap.

    They cover the picture. If the picture has another Bayer phase than the data set, its outermost rows or columns
    are left out on both sides, so that every tile begins with the data set's phase.

    Args:
        table: what is known of the pictures of the data set (`table_of`).
        image: index of the picture.
        cfa: the data set's Bayer phase.
        side: longest side of a tile in pixels, even; None takes the picture whole.
    """
    top, left = PHASES[table.cfa[image]].offset_to(cfa)
    rows = _cuts(top, int(table.height[image]) - 2 * top, side)
    columns = _cuts(left, int(table.width[image]) - 2 * left, side)
    return [PictureTile(image, y, x, height, width) for y, height in rows for x, width in columns]


def spread_tiles(pictures: Sequence[Picture], cfa: CFA, side: int | None, limit: int) -> list[PictureTile]:
    """Choose tiles that are spread over as many pictures as possible, and evenly within each.

    Args:
        pictures: the pictures of the data set.
        cfa: its Bayer phase.
        side: longest side of a tile in pixels, even; None takes pictures whole.
        limit: most tiles to return.
    """
    chosen = spread(range(len(pictures)), limit)
    each = limit // max(1, len(chosen))
    table = table_of(pictures)
    return [tile for image in chosen for tile in spread(picture_tiles(table, image, cfa, side), each)]


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """Return at most ``limit`` items, at even distances and in order; None returns all."""
    if limit is None or len(items) <= limit:
        return list(items)
    return [items[(2 * at + 1) * len(items) // (2 * limit)] for at in range(limit)]


def _cuts(start: int, size: int, longest: int | None) -> list[tuple[int, int]]:
    """Cut an even number of pixels into even parts of about equal size: (first pixel, pixels) of each."""
    count = 1 if longest is None else -(-size // longest)
    edges = [start + 2 * (size // 2 * at // count) for at in range(count + 1)]
    return [(low, high - low) for low, high in itertools.pairwise(edges)]


class TileDataset(Dataset[Sample]):
    """Tiles of pictures, in order. If all pictures know their place, so do the tiles.

    Args:
        pictures: the pictures of the data set.
        tiles: the tiles to read.
    """

    def __init__(self, pictures: Sequence[Picture], tiles: Sequence[PictureTile]) -> None:
        self.pictures = pictures
        self.tiles = tiles
        self.placed = know_places(pictures)

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> Sample:
        tile = self.tiles[index]
        picture = self.pictures[tile.image]
        sample = picture.read(tile.top, tile.left, tile.height, tile.width)
        return with_place(sample, picture, tile.top, tile.left) if self.placed else sample
