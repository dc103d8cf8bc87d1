import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from revisp.errors import ConfigError, ShapeError
from revisp.inference.tiles import tile_apply, tile_spans, tile_weights


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 700), units=st.integers(1, 12), align=st.sampled_from([2, 4, 16]), data=st.data())
def test_spans_cover_all_overlap_enough_and_weigh_one(size, units, align, data):
    tile = units * align
    overlap = data.draw(st.integers(0, min(tile // 2, tile - align)))
    spans = tile_spans(size, tile, overlap, align)
    assert spans[0][0] == 0
    assert spans[-1][1] == size
    total = torch.zeros(size)
    for (start, stop), weight in zip(spans, tile_weights(spans, overlap), strict=True):
        assert start % align == 0
        assert stop - start < tile + align
        assert weight.min() > 0
        total[start:stop] += weight
    assert torch.allclose(total, torch.ones(size), atol=1e-6)
    for (_, stop), (start, _) in itertools.pairwise(spans):
        assert stop - start >= overlap


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.sampled_from([16, 32]),
    align=st.sampled_from([2, 8]),
)
def test_a_pointwise_function_does_not_notice_tiles(height, width, tile, align):
    x = torch.rand(1, 2, height, width)
    result = tile_apply(lambda part: part.square(), x, tile=tile, overlap=4, channels=2, align=align)
    assert torch.allclose(result, x.square(), atol=1e-6)


def test_a_seam_vanishes_where_the_overlap_covers_the_reach():
    """A 9x9 blur reaches 4 pixels, and the ramps give little weight to pixels that near a tile's edge."""
    x = torch.rand(1, 1, 100, 130)
    kernel = torch.ones(1, 1, 9, 9) / 81

    def blur(part):
        return F.conv2d(F.pad(part, (4, 4, 4, 4), mode="reflect"), kernel)

    whole = blur(x)
    rough = (tile_apply(blur, x, tile=40, overlap=0, channels=1) - whole).abs()
    smooth = (tile_apply(blur, x, tile=40, overlap=20, channels=1) - whole).abs()
    assert rough.max() > 0.02
    assert smooth.max() < rough.max() / 3
    steps = (tile_apply(blur, x, tile=40, overlap=20, channels=1) - whole).diff(dim=-1).abs()
    assert steps.max() < rough.diff(dim=-1).abs().max() / 4


def test_tiles_are_bounded_and_counted():
    seen, counts = [], []

    def look(part):
        seen.append(tuple(part.shape[-2:]))
        return part

    x = torch.rand(1, 1, 101, 70)
    tile_apply(look, x, tile=32, overlap=8, channels=1, progress=lambda done, total: counts.append((done, total)))
    assert max(max(size) for size in seen) <= 33
    assert counts == [(i + 1, len(seen)) for i in range(len(seen))]
    seen.clear()
    tile_apply(look, x, tile=102, overlap=8, channels=1)
    assert seen == [(101, 70)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"tile": 0}, "positive multiple of 2"),
        ({"tile": 33}, "positive multiple of 2"),
        ({"tile": 32, "overlap": 8, "align": 32}, r"at least overlap \+ 32"),
        ({"overlap": 17}, "overlap must lie between 0 and half a tile"),
        ({"overlap": -1}, "overlap must not be negative"),
    ],
)
def test_nonsense_is_refused(arguments, reason):
    settings = {"tile": 32, "overlap": 8, "channels": 1} | arguments
    with pytest.raises(ConfigError, match=reason):
        tile_apply(lambda part: part, torch.rand(1, 1, 64, 64), **settings)


def test_a_function_that_changes_the_size_is_named():
    x = torch.rand(1, 1, 64, 64)
    with pytest.raises(ShapeError, match=r"a tile of 32x32 pixels came back as \[1, 1, 31, 32\]"):
        tile_apply(lambda part: part[..., 1:, :], x, tile=32, overlap=8, channels=1)
    with pytest.raises(ShapeError, match="one picture"):
        tile_apply(lambda part: part, x.expand(2, -1, -1, -1), tile=32, overlap=8, channels=1)
