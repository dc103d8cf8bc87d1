"""The algebra of Bayer phases, against what geometry really does to the positions of the samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA, PLANES, pack, sample_mask, unpack
from revisp.errors import ConfigError, RevispError, ShapeError

cfas = st.sampled_from(list(CFA))
sides = st.integers(2, 9)


def phase_of(mask: torch.Tensor) -> str:
    """Read the phase off a sample mask [3, H, W]: the letters of its top-left tile."""
    return "".join("RGB"[int(mask[:, row, column].int().argmax())] for row in (0, 1) for column in (0, 1))


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides)
def test_every_photosite_measures_one_colour_and_half_are_green(cfa, height, width):
    mask = sample_mask(cfa, 2 * height, 2 * width)
    assert (mask.sum(0) == 1).all()
    assert mask.sum((1, 2)).tolist() == [height * width, 2 * height * width, height * width]
    assert phase_of(mask) == cfa.value


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides, st.integers(0, 3), st.integers(0, 3))
def test_crop(cfa, height, width, top, left):
    mask = sample_mask(cfa, height + top, width + left)
    assert cfa.crop(top, left).value == phase_of(mask[:, top:, left:])
    assert cfa.crop(top, left).crop(-top, -left) is cfa


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides)
def test_flips_and_transpose(cfa, height, width):
    mask = sample_mask(cfa, height, width)
    assert cfa.hflip(width).value == phase_of(mask.flip(-1))
    assert cfa.vflip(height).value == phase_of(mask.flip(-2))
    assert cfa.transpose().value == phase_of(mask.mT)


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides, st.integers(-5, 5))
def test_quarter_turns(cfa, height, width, k):
    assert cfa.rot90(k, height, width).value == phase_of(torch.rot90(sample_mask(cfa, height, width), k, (-2, -1)))


@settings(deadline=None, derandomize=True)
@given(cfas, cfas)
def test_offset_to_is_the_crop_that_gives_the_target(cfa, target):
    top, left = cfa.offset_to(target)
    assert {top, left} <= {0, 1}
    assert cfa.crop(top, left) is target


@settings(deadline=None, derandomize=True)
@given(cfas, st.lists(st.integers(1, 3), max_size=2), sides, sides, st.sampled_from([np.uint16, np.float32]))
def test_pack_and_unpack_undo_each_other(cfa, lead, height, width, dtype):
    mosaic = np.random.default_rng(0).integers(0, 1024, (*lead, 1, 2 * height, 2 * width)).astype(dtype)
    packed = pack(mosaic, cfa)
    assert packed.shape == (*lead, 4, height, width)
    assert packed.dtype == dtype
    np.testing.assert_array_equal(unpack(packed, cfa), mosaic)
    tensor = torch.from_numpy(mosaic)
    np.testing.assert_array_equal(pack(tensor, cfa).numpy(), packed)
    assert torch.equal(unpack(pack(tensor, cfa), cfa), tensor)


@pytest.mark.parametrize("cfa", CFA)
def test_packed_planes_are_red_green_green_blue(cfa):
    """The planes mean the same in every phase, and Gr is the green that shares red's row."""
    mask = sample_mask(cfa, 4, 6)
    colours = pack(mask.int().argmax(0)[None], cfa)
    assert [plane.unique().tolist() for plane in colours] == [[0], [1], [1], [2]]
    rows = torch.arange(4)[:, None].expand(4, 6)[None]
    red, gr, gb, blue = pack(rows, cfa)
    assert torch.equal(gr, red)
    assert torch.equal(gb, blue)
    assert PLANES == ("R", "Gr", "Gb", "B")


def test_pack_rggb_by_hand():
    mosaic = torch.arange(16.0).reshape(1, 4, 4)
    assert pack(mosaic, "RGGB").flatten(1).tolist() == [
        [0, 2, 8, 10],
        [1, 3, 9, 11],
        [4, 6, 12, 14],
        [5, 7, 13, 15],
    ]
    assert torch.equal(pack(mosaic, "RGGB"), torch.pixel_unshuffle(mosaic, 2))


def test_pack_drops_an_odd_edge_and_says_so():
    with pytest.warns(UserWarning, match="odd mosaic 5x7"):
        assert pack(torch.zeros(1, 5, 7), "RGGB").shape == (4, 2, 3)


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="1, H, W"):
        pack(torch.zeros(shape), "RGGB")
    with pytest.raises(ShapeError, match="4, h, w"):
        unpack(np.zeros(shape), "RGGB")


@pytest.mark.parametrize(
    ("pattern", "cfa"),
    [
        ([[0, 1], [3, 2]], CFA.RGGB),  # rawpy and LibRaw call the second green 3
        ([[3, 2], [0, 1]], CFA.GBRG),
        (np.array([[2, 3], [1, 0]]), CFA.BGGR),
        ([[1, 0], [2, 1]], CFA.GRBG),  # DNG calls both greens 1
    ],
)
def test_from_indices(pattern, cfa):
    assert CFA.from_indices(pattern) is cfa


@pytest.mark.parametrize("pattern", [[[0, 0], [1, 2]], [[0, 1], [4, 2]], np.ones((6, 6), int), [[0]]])
def test_from_indices_refuses_other_filter_arrays(pattern):
    with pytest.raises(ConfigError, match="not a 2x2 Bayer tile"):
        CFA.from_indices(pattern)


def test_indices_are_those_of_the_name():
    assert [cfa.indices for cfa in CFA] == [(0, 1, 1, 2), (1, 0, 2, 1), (1, 2, 0, 1), (2, 1, 1, 0)]


def test_parse():
    assert CFA.parse("rggb") is CFA.RGGB
    assert CFA.parse(CFA.GRBG) is CFA.GRBG
    with pytest.raises(RevispError, match=r"unknown CFA 'BG'.*RGGB"):
        CFA.parse("BG")
