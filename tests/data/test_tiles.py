"""Tiles: they cover a picture once, begin with the data set's phase, and are chosen evenly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisp.cfa import CFA
from revisp.data.picture import PHASES, PictureTable
from revisp.data.tiles import picture_tiles, spread, spread_tiles

phases = st.sampled_from(list(CFA))


def _table(height: int, width: int, cfa: CFA) -> PictureTable:
    return PictureTable(*(np.array([value]) for value in (height, width, PHASES.index(cfa), False)))


@given(phases, phases, st.integers(12, 150), st.integers(12, 150), st.integers(32, 60))
def test_tiles_cover_a_picture_once_in_phase(stored, cfa, half_height, half_width, half_side):
    picture = SimpleNamespace(height=2 * half_height, width=2 * half_width, cfa=stored)
    tiles = picture_tiles(_table(picture.height, picture.width, stored), 0, cfa, 2 * half_side)
    seen = np.zeros((picture.height, picture.width), int)
    for tile in tiles:
        assert stored.crop(tile.top, tile.left) is cfa
        assert tile.height % 2 == tile.width % 2 == 0
        assert max(tile.height, tile.width) <= 2 * half_side
        seen[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    top, left = stored.offset_to(cfa)
    inside = (slice(top, picture.height - top), slice(left, picture.width - left))
    assert (seen[inside] == 1).all()
    assert seen.sum() == seen[inside].size
    sides = [tile.height for tile in tiles], [tile.width for tile in tiles]
    assert all(max(side) - min(side) <= 2 for side in sides)


def test_without_a_limit_a_picture_is_whole():
    table = _table(3000, 4000, CFA.GRBG)
    assert picture_tiles(table, 0, CFA.GRBG, None) == [(0, 0, 0, 3000, 4000)]
    assert picture_tiles(table, 0, CFA.BGGR, None) == [(0, 1, 0, 2998, 4000)]
    assert len(picture_tiles(table, 0, CFA.GRBG, 512)) == 6 * 8


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [
        (5, None, [0, 1, 2, 3, 4]),
        (5, 9, [0, 1, 2, 3, 4]),
        (5, 1, [2]),
        (9, 3, [1, 4, 7]),
        (4, 2, [1, 3]),
        (3, 0, []),
    ],
)
def test_few_are_spread_over_many(count, limit, expected):
    assert spread(range(count), limit) == expected


def test_tiles_are_spread_over_pictures_first():
    pictures = [SimpleNamespace(height=400, width=400, cfa=CFA.RGGB, has_overexposed=False) for _ in range(10)]
    few = spread_tiles(pictures, CFA.RGGB, 100, 5)
    assert [tile.image for tile in few] == [1, 3, 5, 7, 9]
    assert {(tile.top, tile.left) for tile in few} == {(200, 0)}
    many = spread_tiles(pictures, CFA.RGGB, 100, 35)
    assert [tile.image for tile in many] == [image for image in range(10) for _ in range(3)]
    assert len(set(many)) == 30
    assert len(spread_tiles(pictures[:2], CFA.RGGB, 100, 1000)) == 32
    assert spread_tiles([], CFA.RGGB, 100, 5) == []
